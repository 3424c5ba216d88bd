"""The memory of midnights changes no result, whatever arrives in whichever order; and it is there when it should be."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from ingest.calendar_cuts import Step, cuts
from ingest.consumption import Boundary, Stretch
from ingest.delivery import Delivery, Fate
from ingest.instants import micros
from ingest.intake import Intake
from ingest.model import Reading, RegisterSpec, Source
from storage import boundaries, midnights, ranges, series
from storage.database import Database
from storage.midnights import remember
from storage.probes import Ask
from storage.readings import PostgresStore
from storage.stretches import stretches
from tests.storage.columnstore import compress
from tests.storage.rows import install

ZONE = ZoneInfo("Europe/Samara")
FIRST = datetime(2026, 3, 1, tzinfo=ZONE)
DAYS = 20
NOW = datetime(2026, 5, 1, tzinfo=UTC)
TOTAL = RegisterSpec("1.8.0", digits=6, decimals=3, max_rate=Decimal(10))
HALF_HOUR = timedelta(minutes=30)


def polled(day: float, days: float, value: str = "100", late: int = 41) -> list[Reading]:
    """Half-hours with a rate of one, each some seconds behind its time."""
    return [
        Reading(
            "m1", "1.8.0", FIRST + timedelta(days=day, seconds=late) + n * HALF_HOUR, Decimal(value) + n / Decimal(2)
        )
        for n in range(int(days * 48))
    ]


async def put(database: Database, *readings: Reading) -> None:
    outcome = await Intake(PostgresStore(database)).accept(Delivery("test", readings))
    assert Fate.QUARANTINED not in outcome.counts()


async def selected(database: Database, step: Step, *, memory: bool = True) -> list[Stretch]:
    edges = cuts(FIRST, FIRST + timedelta(days=DAYS), step, ZONE)
    async with database.connection() as conn, conn.transaction(force_rollback=True):
        if not memory:
            await conn.execute("DELETE FROM midnight")
        return (await stretches(conn, "MP-m1", ["1.8.0"], edges))["1.8.0"]


async def check(database: Database) -> None:
    for step in (Step.DAY, Step.MONTH):
        assert await selected(database, step) == await selected(database, step, memory=False)


async def kept(database: Database) -> list[datetime]:
    async with database.connection() as conn:
        return [at for (at,) in await (await conn.execute("SELECT cut FROM midnight ORDER BY cut")).fetchall()]


async def at(database: Database, cut: datetime) -> Boundary:
    [stretch] = await selected(database, Step.DAY)
    return next(one for one in stretch.counters[0].boundaries if one.at == micros(cut))


def midnight(day: int) -> datetime:
    return FIRST + timedelta(days=day)


async def test_every_midnight_between_two_near_readings_is_remembered_once(database: Database) -> None:
    await install(database, "m1", [TOTAL], zone="Europe/Samara")
    await put(database, *polled(0, 5))
    assert await remember(database, NOW) == 4
    assert await kept(database) == [midnight(day) for day in (1, 2, 3, 4)]
    assert await remember(database, NOW) == 0
    await check(database)
    await put(database, *polled(5, 2, "220"))
    assert await remember(database, NOW) == 2
    await check(database)


async def test_a_backlog_after_a_silence_is_remembered_too(database: Database) -> None:
    await install(database, "m1", [TOTAL], zone="Europe/Samara")
    await put(database, *polled(0, 2))
    await remember(database, NOW)
    await put(database, *polled(8, 2, "500"))
    await remember(database, NOW)
    assert await kept(database) == [midnight(1), midnight(9)]
    await put(database, *polled(2, 6, "200"))
    await check(database)
    await remember(database, NOW)
    assert await kept(database) == [midnight(day) for day in range(1, 10)]
    await check(database)


async def test_what_is_not_old_enough_or_not_yet_followed_waits(database: Database) -> None:
    await install(database, "m1", [TOTAL], zone="Europe/Samara")
    await put(database, *polled(0, 3))
    assert await remember(database, midnight(1) + timedelta(hours=7)) == 1
    assert await remember(database, midnight(9)) == 1
    assert await kept(database) == [midnight(1), midnight(2)]


async def test_a_late_reading_beside_a_midnight_takes_it_back(database: Database) -> None:
    await install(database, "m1", [TOTAL], zone="Europe/Samara")
    await put(database, *polled(0, 8))
    await remember(database, NOW)
    late = Reading("m1", "1.8.0", midnight(4) + timedelta(seconds=5), Decimal("196.002"))
    await put(database, late)
    assert midnight(4) not in await kept(database)
    assert midnight(1) in await kept(database)
    await check(database)
    assert await remember(database, NOW) > 0
    assert await kept(database) == [midnight(day) for day in range(1, 8)]
    [boundary] = [
        one for one in (await selected(database, Step.DAY))[0].counters[0].boundaries if one.at == micros(midnight(4))
    ]
    assert boundary.after[0].at == micros(late.taken_at)


async def test_a_judgement_that_changes_beside_a_midnight_takes_it_back(database: Database) -> None:
    await install(database, "m1", [TOTAL], zone="Europe/Samara")
    rows = polled(0, 6)
    wild = Reading("m1", "1.8.0", rows[143].taken_at, Decimal(5000))
    await put(database, *rows[:143], wild)
    await put(database, *rows[144:])
    await remember(database, NOW)
    await check(database)
    for n in range(1, 6):
        await put(database, Reading("m1", "1.8.0", wild.taken_at + n * timedelta(seconds=9), Decimal(5000)))
        await check(database)
    await remember(database, NOW)
    await check(database)


async def test_people_are_found_beside_the_memory(database: Database) -> None:
    await install(database, "m1", [TOTAL], zone="Europe/Samara")
    await put(database, *polled(0, 6))
    await remember(database, NOW)
    typed = Reading("m1", "1.8.0", midnight(3) - timedelta(hours=2), Decimal(170), Source.CONSUMER)
    await put(database, typed)
    assert midnight(3) in await kept(database)
    await check(database)
    [boundary] = [
        one for one in (await selected(database, Step.DAY))[0].counters[0].boundaries if one.at == micros(midnight(3))
    ]
    assert [mark.source for mark in boundary.before] == [Source.AUTOMATIC, Source.CONSUMER]


async def test_readings_of_another_point_are_not_taken_from_the_memory(database: Database) -> None:
    await install(database, "m1", [TOTAL], point="MP-2", zone="Europe/Samara")
    await put(database, *polled(0, 6))
    await remember(database, NOW)
    moved = midnight(3) - timedelta(minutes=10)
    async with database.connection() as conn:
        await conn.execute("UPDATE installation SET until = %s", (moved,))
        await conn.execute("INSERT INTO point (code, zone) VALUES ('MP-m1', 'Europe/Samara')")
        await conn.execute(
            "INSERT INTO installation (point_id, meter_id, since)"
            " SELECT p.id, m.id, %s FROM point p, meter m WHERE p.code = 'MP-m1'",
            (moved,),
        )
        await conn.execute("UPDATE installation SET until = NULL WHERE since = %s", (moved,))
    await check(database)
    [stretch] = await selected(database, Step.DAY)
    assert all(mark.at >= micros(moved) for one in stretch.counters[0].boundaries for mark in one.before)


@pytest.mark.parametrize("seed", range(6))
async def test_any_order_of_arrival_selects_the_same_with_and_without_memory(database: Database, seed: int) -> None:
    dice = random.Random(seed)
    await install(database, "m1", [TOTAL], zone="Europe/Samara")
    rows = [row for row in polled(0, 12) if dice.random() < 0.6]
    restart = dice.randrange(len(rows))
    rows = [
        Reading("m1", "1.8.0", row.taken_at, row.value if n < restart else row.value % 50, row.source)
        for n, row in enumerate(rows)
    ]
    del rows[100 : 100 + dice.choice((0, 120, 160))]
    late = [rows.pop(dice.randrange(len(rows))) for _ in range(60)]
    for batch in range(0, len(rows), 90):
        await put(database, *rows[batch : batch + 90])
        await put(database, *[late.pop() for _ in range(min(len(late), dice.randrange(12)))])
        if dice.random() < 0.5:
            await remember(database, NOW)
        await check(database)
    await put(database, *late)
    await check(database)
    await remember(database, NOW)
    await check(database)


async def test_late_writers_and_the_job_at_once_leave_no_stale_memory(database: Database) -> None:
    await install(database, "m1", [TOTAL], zone="Europe/Samara")
    rows = polled(0, 15)
    dice = random.Random(7)
    late = [rows.pop(n) for n in sorted(dice.sample(range(1, len(rows) - 1), 120), reverse=True)]
    await put(database, *rows)

    async def write(mine: list[Reading]) -> None:
        for reading in mine:
            await put(database, reading)

    async def work() -> None:
        for _ in range(15):
            await remember(database, NOW)
            await asyncio.sleep(0)

    await asyncio.gather(write(late[:60]), write(late[60:]), work(), work())
    await check(database)
    await remember(database, NOW)
    assert len(await kept(database)) == 14
    await check(database)


async def test_the_memory_is_forgotten_and_found_again_in_the_columnstore(hypertables: Database) -> None:
    await install(hypertables, "m1", [TOTAL], zone="Europe/Samara")
    await put(hypertables, *polled(0, 8))
    await remember(hypertables, NOW)
    assert await compress(hypertables, "midnight") == 1
    assert await compress(hypertables, "stored_reading") >= 1
    await put(hypertables, Reading("m1", "1.8.0", midnight(4) + timedelta(seconds=5), Decimal("196.002")))
    assert midnight(4) not in await kept(hypertables)
    await check(hypertables)
    await remember(hypertables, NOW)
    assert await kept(hypertables) == [midnight(day) for day in range(1, 8)]


async def test_a_range_and_single_probes_find_the_same(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    await install(database, "m1", [TOTAL], zone="Europe/Samara")
    await put(database, *polled(0, 3), *polled(9, 1, "700"))
    low, high = micros(midnight(1)), micros(midnight(10))
    ask, instants = Ask(1, low, high), [micros(midnight(0)) + n * 1_700_000_000 for n in range(500)]
    async with database.connection() as conn:
        present = await series.sources(conn, {1: [int(Source.AUTOMATIC)]})
        monkeypatch.setattr(ranges, "_PAGE", 7)
        monkeypatch.setattr(ranges, "_RANGE", ranges._RANGE.replace("LIMIT 10000", "LIMIT 7"))
        [dense] = await boundaries.boundaries(conn, [(ask, instants)], present)
        single = [(await boundaries.boundaries(conn, [(ask, [at])], present))[0][0] for at in instants]
    assert sorted(dense) == single
    assert any(one.before and one.after for one in dense)
    assert any(not one.before for one in dense)


async def test_a_failing_night_is_told_and_tried_again(
    database: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    await install(database, "m1", [TOTAL], zone="Europe/Samara")
    await put(database, *polled(0, 5))
    monkeypatch.setattr(midnights, "_PAUSE", timedelta(milliseconds=1))
    async with database.connection() as conn:
        await conn.execute("ALTER TABLE midnight RENAME TO elsewhere")
    task = asyncio.create_task(midnights.remember_always(database))
    while "set aside" not in caplog.text:  # noqa: ASYNC110 - a log line wakes nobody
        await asyncio.sleep(0.01)
    async with database.connection() as conn:
        await conn.execute("ALTER TABLE elsewhere RENAME TO midnight")
    while not await kept(database):  # noqa: ASYNC110 - nor does a row
        await asyncio.sleep(0.01)
    task.cancel()
