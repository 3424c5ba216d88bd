"""Why the schedule brought nothing: failed attempts as stretches, and slots without a reading with their cause."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from ingest.delivery import Contact, Delivery
from ingest.errors import NotFound
from ingest.intake import Intake
from ingest.model import Reading, RegisterSpec
from storage.database import Database
from storage.missed import NOT_ASKED, Missing, missing, note
from storage.readings import PostgresStore
from tests.storage.rows import install

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SLOT = timedelta(minutes=30)
"""The period of a meter of these tests."""


async def tell(database: Database, *slots: int, failure: str | None = "timeout", since: int | None = None) -> None:
    """An attempt in the middle of each slot."""
    intake = Intake(PostgresStore(database))
    for slot in slots:
        at = NOON + (slot + 0.5) * SLOT
        begun = None if since is None else NOON + since * SLOT
        readings = [Reading("m1", "1.8.0", at, Decimal(100) + slot)] if failure is None else []
        contact = Contact("m1", at, failure, failure and "nobody there", since=begun)
        await intake.accept(Delivery("test", readings, contacts=[contact]))


async def gaps(database: Database, slots: int = 12) -> list[tuple[int, str]]:
    """(how many slots, cause) of each gap, oldest first."""
    async with database.connection() as conn:
        found = await missing(conn, "m1", NOON, NOON + slots * SLOT)
    assert [one.since for one in found] == sorted(one.since for one in found)
    return [(one.slots, one.cause) for one in found]


async def stretches(database: Database) -> int:
    async with database.connection() as conn:
        rows = await (await conn.execute("SELECT count(*) FROM missed_poll")).fetchall()
    return int(rows[0][0])


@pytest.fixture(autouse=True)
async def meter(database: Database) -> None:
    await install(database, "m1", [RegisterSpec("1.8.0"), RegisterSpec("32.7.0")])


async def test_a_filled_schedule_has_no_gap(database: Database) -> None:
    await tell(database, *range(12), failure=None)
    assert await gaps(database) == []


async def test_a_slot_nobody_asked_in_is_told_apart_from_one_without_an_answer(database: Database) -> None:
    await tell(database, 0, 1, 2, 6, 7, 10, 11, failure=None)
    await tell(database, 3)
    async with database.connection() as conn:
        found = await missing(conn, "m1", NOON, NOON + 12 * SLOT)
    assert found == [
        Missing(NOON + 3 * SLOT, NOON + 4 * SLOT, 1, "timeout", "nobody there"),
        Missing(NOON + 4 * SLOT, NOON + 6 * SLOT, 2, NOT_ASKED, None),
        Missing(NOON + 8 * SLOT, NOON + 10 * SLOT, 2, NOT_ASKED, None),
    ]


async def test_attempts_in_a_row_are_one_stretch_whatever_their_order(database: Database) -> None:
    await tell(database, 5, 3, 4, 2)
    assert await stretches(database) == 1
    assert await gaps(database) == [(2, NOT_ASKED), (4, "timeout"), (6, NOT_ASKED)]


async def test_other_causes_and_far_attempts_are_stretches_of_their_own(database: Database) -> None:
    await tell(database, 0, 9)
    await tell(database, 1, failure="line_down")
    assert await stretches(database) == 3
    assert await gaps(database) == [(1, "timeout"), (1, "line_down"), (7, NOT_ASKED), (1, "timeout"), (2, NOT_ASKED)]


async def test_a_reading_between_two_failures_fills_its_own_slot(database: Database) -> None:
    await tell(database, 0, 2)
    await tell(database, 1, failure=None)
    assert await gaps(database, 3) == [(1, "timeout"), (1, "timeout")]


async def test_a_stretch_told_at_once_covers_all_of_it(database: Database) -> None:
    """What a full spool dropped is told afterwards, as one."""
    await tell(database, 8, failure="spool_full", since=2)
    assert await gaps(database) == [(2, NOT_ASKED), (7, "spool_full"), (3, NOT_ASKED)]


async def test_told_twice_changes_nothing(database: Database) -> None:
    for _ in range(2):
        await tell(database, 3)
    assert await gaps(database) == [(3, NOT_ASKED), (1, "timeout"), (8, NOT_ASKED)]


async def test_news_of_an_unknown_meter_is_nobodys_and_its_gaps_are_not_found(database: Database) -> None:
    await Intake(PostgresStore(database)).accept(Delivery("test", contacts=[Contact("m2", NOON, "timeout")]))
    assert await stretches(database) == 0
    async with database.connection() as conn:
        with pytest.raises(NotFound, match="'m2'"):
            await missing(conn, "m2", NOON, NOON + SLOT)


async def all_stretches(database: Database, failure: str = "timeout") -> list[tuple[int, int, str]]:
    """(first slot, last slot, detail) of each stretch of m1, oldest first."""
    question = "SELECT since, until, detail FROM missed_poll JOIN meter m ON m.id = meter_id WHERE serial = 'm1'"
    async with database.connection() as conn:
        rows = await (await conn.execute(f"{question} AND failure = %s ORDER BY since".encode(), (failure,))).fetchall()
    return [((since - NOON) // SLOT, (until - NOON) // SLOT, detail) for since, until, detail in rows]


def attempt(first: int, last: int | None = None, meter: str = "m1", detail: str = "new") -> Contact:
    """All attempts from a slot to another."""
    at = NOON + (first if last is None else last) * SLOT
    return Contact(meter, at, "timeout", detail, since=None if last is None else NOON + first * SLOT)


async def tell_at_once(database: Database, *attempts: Contact) -> None:
    async with database.connection() as conn:
        await note(conn, attempts)


async def test_what_lies_between_two_stretches_makes_them_one(database: Database) -> None:
    """The later one, widened to where the earlier begins, used to be refused for standing there already."""
    await tell_at_once(database, attempt(10, 20, detail="old"))
    await tell_at_once(database, attempt(30, 40, detail="late"))
    await tell_at_once(database, attempt(10, 35))
    assert await all_stretches(database) == [(10, 40, "late")]


async def test_a_batch_is_one_statement_whatever_it_brings(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    await install(database, "m2", [RegisterSpec("1.8.0")])
    await tell_at_once(database, attempt(4, detail="old"), attempt(50, 60, detail="old"))
    asked = []
    execute = psycopg.AsyncConnection.execute

    async def counted(conn: Any, query: Any, *rest: Any, **options: Any) -> Any:
        asked.append(query)
        return await execute(conn, query, *rest, **options)

    batch = [attempt(6), attempt(2), attempt(20, 25), attempt(12), attempt(20), attempt(3, meter="m2"), attempt(48)]
    async with database.connection() as conn:
        monkeypatch.setattr(psycopg.AsyncConnection, "execute", counted)
        await note(conn, [*batch, attempt(3, meter="nobody")])
    assert len(asked) == 1
    assert await all_stretches(database) == [(2, 6, "new"), (12, 12, "new"), (20, 25, "new"), (48, 60, "old")]
    assert await stretches(database) == 5


@pytest.mark.parametrize("seed", range(8))
async def test_however_attempts_are_told_the_stretches_are_the_same(database: Database, seed: int) -> None:
    chance = random.Random(seed)
    firsts = [chance.randrange(60) for _ in range(12)]
    spans = [(first, first + chance.choice((0, 0, 0, 1, 7))) for first in firsts]
    left = [attempt(*span) for span in spans]
    while left:
        size = chance.randrange(1, 5)
        await tell_at_once(database, *left[:size])
        left = left[size:]
    expected: list[tuple[int, int]] = []
    for first, last in sorted(spans):
        if expected and first <= expected[-1][1] + 2:
            expected[-1] = (expected[-1][0], max(expected[-1][1], last))
        else:
            expected.append((first, last))
    assert [found[:2] for found in await all_stretches(database)] == expected
