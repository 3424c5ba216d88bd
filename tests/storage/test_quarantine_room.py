"""The quarantine is bounded, says so before and when it is full, and what it no longer keeps leaves a trace."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from ingest.delivery import Delivery, Fate, Reject
from ingest.errors import Misconfigured
from ingest.intake import Intake
from ingest.model import Reading, RegisterSpec
from storage import quarantine_room
from storage.database import Database
from storage.quarantine_write import keep
from storage.readings import PostgresStore
from tests.storage.fleet_rig import rows
from tests.storage.rows import install

AT = datetime(2026, 3, 1, tzinfo=UTC)


def bad(number: int, size: int = 10) -> tuple[str, Reject]:
    return "mqtt:t", Reject("malformed", "not ours", f"{number}".encode().ljust(size, b"x"))


async def put(database: Database, *refused: tuple[str, Reject]) -> None:
    async with database.connection() as conn:
        await keep(conn, refused)


async def room(database: Database) -> quarantine_room.Room:
    async with database.connection() as conn:
        return await quarantine_room.look(conn)


async def limit(database: Database, most_rows: int | None = None, most_bytes: int | None = None) -> None:
    async with database.connection() as conn:
        await quarantine_room.limit(conn, most_rows, most_bytes)


async def events(database: Database) -> list[object]:
    return [kind for (kind,) in await rows(database, "SELECT kind FROM event ORDER BY id")]


async def test_a_piece_that_comes_again_is_counted_not_kept_twice(database: Database) -> None:
    await put(database, bad(1), bad(2), bad(1))
    await put(database, bad(1))
    assert await rows(database, "SELECT times FROM quarantine ORDER BY raw") == [(3,), (1,)]
    now = await room(database)
    assert (now.rows, now.bytes) == (2, 20)


@pytest.mark.parametrize("full", [False, True])
async def test_a_count_that_can_go_no_further_refuses_nobody(database: Database, full: bool) -> None:
    await put(database, bad(1))
    async with database.connection() as conn:
        await conn.execute("UPDATE quarantine SET times = 2147483646")
    if full:
        await limit(database, most_rows=1)
    await put(database, bad(1), bad(1), bad(1))
    await put(database, bad(1))
    assert await rows(database, "SELECT times FROM quarantine") == [(2147483647,)]


async def test_what_is_counted_follows_whoever_deletes(database: Database) -> None:
    await put(database, bad(1), bad(2, 30))
    async with database.connection() as conn:
        await conn.execute("DELETE FROM quarantine WHERE octet_length(raw) = 30")
    now = await room(database)
    assert (now.rows, now.bytes) == (1, 10)
    async with database.connection() as conn:
        await conn.execute("TRUNCATE quarantine")
    now = await room(database)
    assert (now.rows, now.bytes) == (0, 0)


async def test_the_alert_comes_once_before_and_once_when_it_is_full(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    await limit(database, most_rows=10)
    with caplog.at_level(logging.WARNING, "storage.quarantine_room"):
        for number in range(14):
            await put(database, bad(number))
    assert await events(database) == ["quarantine_filling", "quarantine_full"]
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING"]
    assert "8 of 10 rows" in caplog.text
    assert "amr quarantine room" in caplog.text


async def test_the_oldest_stay_and_what_is_not_kept_is_counted_by_road_and_reason(database: Database) -> None:
    await limit(database, most_rows=2)
    await put(database, bad(1), bad(2))
    await put(database, bad(2), bad(3), bad(3), bad(4, 30), ("import:a.csv", Reject("malformed", "row 7", b"1,2")))
    assert await rows(database, "SELECT left(convert_from(raw, 'utf8'), 1), times FROM quarantine ORDER BY 1") == [
        ("1", 1),
        ("2", 2),
    ]
    async with database.connection() as conn:
        lost = {(one.road, one.reason): one for one in await quarantine_room.unkept(conn)}
        assert lost["mqtt", "malformed"].times == 3
        assert lost["mqtt", "malformed"].bytes == 40
        assert lost["import", "malformed"].last_origin == "import:a.csv"
    await put(database, bad(5))
    async with database.connection() as conn:
        assert await quarantine_room.settle(conn, "petrova") == 5
        assert await quarantine_room.unkept(conn) == []
    assert await rows(database, "SELECT detail FROM event WHERE kind = 'quarantine_unkept'") == [
        ({"times": {"import malformed": 1, "mqtt malformed": 4}, "author": "petrova"},)
    ]


async def test_a_full_quarantine_stops_no_reading(database: Database) -> None:
    await limit(database, most_rows=1)
    await put(database, bad(1))
    await install(database, "m1", [RegisterSpec("1.8.0")])
    good, stranger = (Reading(meter, "1.8.0", AT, Decimal(5)) for meter in ("m1", "m9"))
    outcome = await Intake(PostgresStore(database)).accept(Delivery("mqtt:t", (good, stranger)))
    assert [verdict.fate for verdict in outcome.verdicts] == [Fate.STORED, Fate.QUARANTINED]
    assert await rows(database, "SELECT reason, last_detail LIKE '%m9%' FROM quarantine_unkept") == [
        ("unknown_meter", True)
    ]


async def test_bytes_are_limited_too_and_room_made_is_used_again(database: Database) -> None:
    await limit(database, most_bytes=100)
    await put(database, bad(1, 60), bad(2, 60))
    await put(database, bad(3, 60))
    assert (await room(database)).rows == 2
    async with database.connection() as conn:
        await conn.execute("DELETE FROM quarantine")
    await put(database, bad(3, 60))
    assert (await room(database)).rows == 1
    await put(database, bad(4, 60))
    assert await events(database) == ["quarantine_full", "quarantine_full"]


async def test_more_than_one_statement_carries(database: Database) -> None:
    await put(database, *(bad(number, 9 << 20) for number in range(3)))
    assert (await room(database)).bytes == 27 << 20


async def test_writers_at_once_lose_no_count(database: Database) -> None:
    await asyncio.gather(*(put(database, *(bad(number) for number in range(start, start + 30))) for start in range(8)))
    assert (await room(database)).rows == 37
    assert await rows(database, "SELECT sum(times) FROM quarantine") == [(240,)]


@pytest.mark.parametrize(("most_rows", "most_bytes"), [(0, None), (None, -1)])
async def test_a_limit_of_nothing_is_refused(database: Database, most_rows: int | None, most_bytes: int | None) -> None:
    with pytest.raises(Misconfigured, match="above zero"):
        await limit(database, most_rows, most_bytes)
