"""Replay: what was refused comes in with its own time once the reason is gone, and else stays with the new one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from collectors.formats_in_use import Formats, load_formats
from collectors.payload import Message
from ingest.delivery import Delivery, Fate, Reject
from ingest.errors import NotFound
from ingest.intake import Intake
from ingest.model import IntervalReading, Reading, RegisterSpec, Source
from ingest.written_out import WHOLE
from storage import quarantine, quarantine_room
from storage.database import Database
from storage.held import Parse
from storage.quarantine import Which
from storage.readings import PostgresStore
from storage.replay import Replayed, replay
from tests.storage.fleet_rig import rows
from tests.storage.rows import install

AT = datetime(2026, 3, 1, tzinfo=UTC)
TOTAL = RegisterSpec("1.8.0", digits=6, decimals=3, max_rate=Decimal(10))
TOPIC = "amr/v1/gw-1/readings"
OWN = load_formats()


def own(topic: str, payload: bytes, received_at: datetime) -> Delivery:
    return OWN.parse(Message(topic, payload, received_at))


def reading_with(formats: Formats) -> Parse:
    return lambda topic, payload, received_at: formats.parse(Message(topic, payload, received_at))


def message(*readings: Sequence[Any]) -> bytes:
    names = ("meter", "channel", "at", "value")
    return json.dumps({"readings": [dict(zip(names, one, strict=True)) for one in readings]}).encode()


def one(meter: str, hours: int, value: str, channel: str = "1.8.0") -> tuple[str, str, str, str]:
    return meter, channel, (AT + timedelta(hours=hours)).isoformat(), value


async def push(database: Database, payload: bytes, topic: str = TOPIC, understand: Parse = own) -> None:
    await Intake(PostgresStore(database)).accept(understand(topic, payload, datetime.now(UTC)))


async def bring(database: Database, which: Which | None = None, understand: Parse = own, **more: Any) -> Replayed:
    return await replay(database, understand, which or Which(), **more)


async def stored(database: Database) -> list[tuple[object, ...]]:
    return await rows(
        database,
        "SELECT m.serial, extract(epoch FROM r.taken_at - timestamptz '2026-03-01 00:00Z')::int / 3600,"
        " r.value / 1000000, r.quality"
        " FROM reading r JOIN register g ON g.id = r.register_id JOIN meter m ON m.id = g.meter_id ORDER BY 1, 2",
    )


async def lying(database: Database) -> list[tuple[object, ...]]:
    return await rows(database, "SELECT reason, meter, channel, times FROM quarantine ORDER BY id")


async def test_readings_of_a_meter_added_later_come_in_with_their_own_times(database: Database) -> None:
    await push(database, message(one("m1", 0, "5"), one("m1", 1, "6"), one("m2", 0, "7")))
    await push(database, message(one("m1", 2, "7")))
    assert await lying(database) == [
        ("unknown_meter", "m1", "1.8.0", 2),
        ("unknown_meter", "m2", "1.8.0", 1),
        ("unknown_meter", "m1", "1.8.0", 1),
    ]
    await install(database, "m1", [TOTAL], gateway="gw-1")
    before = datetime.now(UTC)
    said = await bring(database)
    assert (said.tried, said.left, said.fates, said.stay) == (3, 2, {Fate.STORED: 3}, {"unknown_meter": 1})
    assert await stored(database) == [("m1", 0, 5, 0), ("m1", 1, 6, 0), ("m1", 2, 7, 0)]
    assert await lying(database) == [("unknown_meter", "m2", "1.8.0", 1)]
    [(received,)] = await rows(database, "SELECT min(received_at) FROM reading")
    assert isinstance(received, datetime)
    assert received >= before
    again = await bring(database)
    assert (again.tried, again.left, again.fates) == (1, 0, {})


async def test_what_was_stored_meanwhile_is_repeated_and_leaves(database: Database) -> None:
    await push(database, message(one("m1", 0, "5")))
    await install(database, "m1", [TOTAL], gateway="gw-1")
    await push(database, message(one("m1", 0, "5"), one("m1", 1, "6")))
    said = await bring(database)
    assert (said.left, said.fates) == (1, {Fate.REPEATED: 1})
    assert await stored(database) == [("m1", 0, 5, 0), ("m1", 1, 6, 0)]
    await push(database, message(one("m1", 2, "7")))
    assert [row[2] for row in await stored(database)] == [5, 6, 7]


async def test_a_piece_stays_under_its_number_with_its_new_reason_and_its_first_time(database: Database) -> None:
    await push(database, message(one("m1", 0, "5")))
    await push(database, message(one("m1", 0, "5")))
    before = await rows(database, "SELECT id, first_at, last_at, times FROM quarantine")
    await install(database, "m1", [RegisterSpec("2.8.0")], gateway="gw-1")
    assert (await bring(database)).stay == {"unknown_channel": 1}
    assert await rows(database, "SELECT id, first_at, last_at, times FROM quarantine") == before
    async with database.connection() as conn:
        await conn.execute("UPDATE meter SET gateway = 'gw-9'")
        await conn.execute("UPDATE register SET channel = '1.8.0'")
    assert (await bring(database)).stay == {"foreign_meter": 1}
    [(detail,)] = await rows(database, "SELECT detail FROM quarantine WHERE reason = 'foreign_meter'")
    assert "gw-9" in str(detail)
    async with database.connection() as conn:
        await conn.execute("UPDATE meter SET gateway = 'gw-1'")
    assert (await bring(database)).left == 1
    assert await stored(database) == [("m1", 0, 5, 0)]


async def test_the_count_of_pieces_is_what_lies_there(database: Database) -> None:
    for hour in range(5):
        await push(database, message(one("m1", hour, str(hour)), one("m2", hour, str(hour))))
    await install(database, "m1", [TOTAL], gateway="gw-1")
    await bring(database)
    async with database.connection() as conn:
        room = await quarantine_room.look(conn)
    assert room.rows == 5
    assert await rows(database, "SELECT sum(octet_length(raw))::bigint FROM quarantine") == [(room.bytes,)]


async def test_pieces_are_chosen_by_number_reason_meter_or_origin(database: Database) -> None:
    await push(database, message(one("m1", 0, "5"), one("m2", 0, "5")))
    await push(database, message(one("m1", 1, "6")), "amr/v1/gw-2/readings")
    await push(database, b"not ours")
    for serial in ("m1", "m2"):
        await install(database, serial, [TOTAL], gateway="gw-1")
    assert (await bring(database, Which(meter="m2"))).tried == 1
    assert (await bring(database, Which(origin="mqtt:amr/v1/gw-2/"))).stay == {"foreign_meter": 1}
    assert (await bring(database, Which(reason="malformed"))).stay == {"malformed": 1}
    [(number,)] = await rows(database, "SELECT id FROM quarantine WHERE reason = 'unknown_meter'")
    assert isinstance(number, int)
    assert (await bring(database, Which(ids=[number, 10**9]))).left == 1
    assert [row[:2] for row in await stored(database)] == [("m1", 0), ("m2", 0)]


async def test_transactions_are_small_and_each_piece_is_tried_once(database: Database) -> None:
    for hour in range(10):
        await push(database, message(one("m1", hour, str(hour)), one("m2", hour, "1")))
    await install(database, "m1", [TOTAL], gateway="gw-1")
    said = await bring(database, rows=3)
    assert (said.tried, said.left, said.stay) == (20, 10, {"unknown_meter": 10})


async def test_an_imported_reading_comes_in_with_its_source_and_author(database: Database) -> None:
    typed = Reading("m1", "1.8.0", AT, Decimal(12), Source.CONSUMER, author="ivanova anna", note='said "12"')
    profile = IntervalReading("m1", "1.8.0", AT, timedelta(minutes=30), Decimal("0.25"))
    intake = Intake(PostgresStore(database))
    await intake.accept(Delivery("import:a.csv", [typed], [Reject("malformed", "row 3: value", b"m1,1.8.0,x,y")]))
    await intake.accept(Delivery("modbus:tp/1", intervals=[profile]))
    await install(database, "m1", [TOTAL])
    said = await bring(database)
    assert (said.tried, said.left, said.fates, said.intervals) == (3, 2, {Fate.STORED: 1}, 1)
    assert await rows(database, "SELECT source, author, note FROM entry") == [
        (int(Source.CONSUMER), "ivanova anna", 'said "12"')
    ]
    assert await rows(database, "SELECT energy FROM interval_reading") == [(250_000,)]
    assert await rows(database, "SELECT reason, detail FROM quarantine") == [("malformed", "row 3: value")]


async def test_an_unknown_profile_stays(database: Database) -> None:
    profile = IntervalReading("m1", "1.8.0", AT, timedelta(minutes=30), Decimal("0.25"))
    await Intake(PostgresStore(database)).accept(Delivery("modbus:tp/1", intervals=[profile]))
    assert (await bring(database)).stay == {"unknown_register": 1}
    assert len(await lying(database)) == 1


async def test_a_large_message_is_kept_reading_by_reading_and_belongs_to_its_gateway(database: Database) -> None:
    many = [one("m1", hour, str(hour)) for hour in range(100)] + [one("m2", 0, "5")]
    payload = message(*many)
    assert len(payload) > WHOLE
    await push(database, payload)
    [(largest,)] = await rows(database, "SELECT max(octet_length(raw)) FROM quarantine")
    assert isinstance(largest, int)
    assert largest < 200
    await install(database, "m1", [TOTAL], gateway="gw-1")
    await install(database, "m2", [TOTAL], gateway="gw-2")
    said = await bring(database)
    assert (said.left, said.stay) == (100, {"foreign_meter": 1})
    assert len(await stored(database)) == 100


async def test_who_sends_a_written_out_reading_himself_gains_nothing(database: Database) -> None:
    await install(database, "m1", [TOTAL], gateway="gw-1")
    forged = b"meter=m1 channel=1.8.0 taken_at=2026-03-01T00:00:00+00:00 value=999 source=inspection"
    await push(database, forged, "amr/v1/gw-2/readings")
    assert (await bring(database)).stay == {"foreign_meter": 1}
    assert await stored(database) == []


async def test_a_value_without_a_time_of_its_own_is_of_the_instant_it_first_came(database: Database) -> None:
    formats = reading_with(load_formats(("own-json", "wiren-board")))
    await push(database, b"12.5", "/devices/wb-map3e_1/controls/Total A energy", formats)
    async with database.connection() as conn:
        await conn.execute("UPDATE quarantine SET first_at = '2026-03-01 05:00Z'")
    await install(database, "wb-map3e_1", [TOTAL], gateway="wiren-board")
    assert (await bring(database, understand=formats)).left == 1
    assert [row[1] for row in await stored(database)] == [5]


async def test_a_mapping_added_later_is_used_and_what_it_finds_unknown_is_told_apart(database: Database) -> None:
    without = reading_with(load_formats())
    payload = b'{"Time": "2026-03-01T03:00:00+03:00", "ENERGY": {"Total": 12.5, "Power": 100}}'
    await push(database, payload, "tele/kitchen/SENSOR", without)
    assert await lying(database) == [("unknown_topic", None, None, 1)]
    with_it = reading_with(load_formats(("own-json", "tasmota")))
    said = await bring(database, understand=with_it)
    assert said.left == 0
    found = await lying(database)
    assert {row[0] for row in found} == {"unknown_meter"}
    assert {row[2] for row in found} >= {"1.8.0", "1.7.0"}
    assert await rows(database, "SELECT count(*) FROM quarantine WHERE first_at = last_at AND times = 1") == [
        (len(found),)
    ]


async def test_a_parser_that_breaks_stops_only_its_piece(database: Database) -> None:
    await push(database, message(one("m1", 0, "5")))
    await push(database, message(one("m1", 1, "6")))
    await install(database, "m1", [TOTAL], gateway="gw-1")

    def breaks(topic: str, payload: bytes, received_at: datetime) -> Delivery:
        if b'"5"' in payload:
            raise ZeroDivisionError("a fault of ours")
        return own(topic, payload, received_at)

    assert (await bring(database, understand=breaks)).stay == {"unparsed": 1}
    assert await stored(database) == [("m1", 1, 6, 0)]
    assert (await bring(database)).left == 1


async def test_a_piece_the_store_refuses_stays_alone(database: Database) -> None:
    for hour in range(4):
        await push(database, message(one("m1", hour, str(hour))))
    await install(database, "m1", [TOTAL], gateway="gw-1")
    async with database.connection() as conn:
        await conn.execute("ALTER TABLE stored_reading ADD CONSTRAINT not_two CHECK (value * step <> 2000000)")
    said = await bring(database)
    assert (said.tried, said.left, said.stay) == (4, 3, {"unstorable": 1})
    assert [row[0] for row in await lying(database)] == ["unstorable"]
    async with database.connection() as conn:
        await conn.execute("ALTER TABLE stored_reading DROP CONSTRAINT not_two")
    assert (await bring(database)).left == 1
    assert [row[2] for row in await stored(database)] == [0, 1, 2, 3]


async def test_two_replays_and_a_writer_at_once_lose_and_double_nothing(database: Database) -> None:
    for hour in range(60):
        await push(database, message(one("m1", hour, str(hour)), one("m2", hour, str(hour))))
    await install(database, "m1", [TOTAL], gateway="gw-1")

    async def redeliver() -> None:
        for hour in range(60):
            await push(database, message(one("m1", hour, str(hour)), one("m2", hour, str(hour))))

    await asyncio.gather(bring(database, rows=7), bring(database, rows=5), redeliver())
    await bring(database)
    assert await stored(database) == [("m1", hour, hour, 0) for hour in range(60)]
    assert {row[1] for row in await lying(database)} == {"m2"}
    assert len(await lying(database)) == 60


async def test_it_is_found_shown_summed_and_dropped_with_a_trace(database: Database) -> None:
    await push(database, message(one("m1", 0, "5"), one("m2", 0, "5")))
    await push(database, b"\xff not ours")
    async with database.connection() as conn:
        found = await quarantine.find(conn, Which(), limit=2)
        rest = await quarantine.find(conn, Which(), limit=2, before=(found[-1].last_at, found[-1].id))
        assert len({item.id for item in (*found, *rest)}) == 3
        [broken] = await quarantine.find(conn, Which(reason="malformed", origin="mqtt:amr/v1/gw-1/"))
        assert await quarantine.get(conn, broken.id) == (broken, b"\xff not ours")
        assert {one.reason: one.rows for one in await quarantine.summary(conn)} == {"malformed": 1, "unknown_meter": 2}
        assert await quarantine.drop(conn, Which(ids=[broken.id, 10**9]), "petrova") == [broken.id]
        with pytest.raises(NotFound, match="quarantine list"):
            await quarantine.get(conn, broken.id)
        assert len(await quarantine.drop(conn, Which(), most=1)) == 1
    assert await rows(database, "SELECT detail FROM event WHERE kind = 'quarantine_drop' ORDER BY id LIMIT 1") == [
        ({"dropped": {"malformed": 1}, "author": "petrova"},)
    ]
    assert len(await lying(database)) == 1
