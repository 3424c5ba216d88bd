"""Retention on both kinds of table: what is old is thinned to the first readings of its days, and totals stay."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from ingest.calendar_cuts import Step, cuts
from ingest.consumption import Amount, consumption
from ingest.delivery import Delivery
from ingest.intake import Intake
from ingest.model import IntervalReading, Reading, RegisterSpec, Source
from storage import retention, timescale_layout
from storage.database import Database
from storage.policy import StoragePolicy
from storage.readings import PostgresStore
from storage.retention import Retained, retain
from storage.stretches import stretches
from tests.storage.columnstore import compress
from tests.storage.rows import install

SAMARA = ZoneInfo("Europe/Samara")
FIRST = datetime(2026, 3, 1, tzinfo=SAMARA)
DAYS = 12
CUTOFF = datetime(2026, 3, 10, tzinfo=UTC)
KEEP = StoragePolicy(keep=timedelta(days=100), chunk=timedelta(days=1))
REMOVED = 9 * 48 + 8 - 10
"""Of nine days and four hours of half-hours all but the ten that begin a day in Samara."""
NOW = CUTOFF + timedelta(days=100, hours=15)
TOTAL = RegisterSpec("1.8.0", digits=4, decimals=3, max_rate=Decimal(10))


async def filled(database: Database, values: Iterable[tuple[datetime, str]]) -> None:
    """One meter in Samara with these readings, on chunks of a day where there are chunks."""
    await timescale_layout.adapt(database, KEEP)
    await install(database, "m1", [TOTAL], zone="Europe/Samara")
    readings = [Reading("m1", "1.8.0", at, Decimal(value)) for at, value in values]
    await Intake(PostgresStore(database)).accept(Delivery("test", readings))


def half_hours(start: str = "100", first: datetime = FIRST, days: float = DAYS) -> list[tuple[datetime, str]]:
    """A load that differs by the hour, counted from `start`."""
    value, rows = Decimal(start), []
    for n in range(int(days * 48) + 1):
        at = first + n * timedelta(minutes=30)
        rows.append((at, str(value % 10_000)))
        value += Decimal("0.25") * (1 + at.hour % 5)
    return rows


async def amounts(database: Database, step: Step, point: str = "MP-m1") -> Sequence[Amount]:
    edges = cuts(FIRST, FIRST + timedelta(days=DAYS), step, SAMARA)
    async with database.connection() as conn:
        found = await stretches(conn, point, ["1.8.0"], edges)
    return consumption(found["1.8.0"], edges)


async def stored(database: Database, where: str = "true") -> list[datetime]:
    async with database.connection() as conn:
        rows = await (await conn.execute(f"SELECT taken_at FROM reading WHERE {where} ORDER BY 1".encode())).fetchall()
    return [at for (at,) in rows]


async def test_the_first_reading_of_every_local_day_stays_and_all_younger_ones(database: Database) -> None:
    await filled(database, half_hours())
    days, whole = await amounts(database, Step.DAY), await amounts(database, Step.YEAR)
    before = await stored(database)
    assert await retain(database, KEEP, NOW) == Retained(REMOVED, CUTOFF)
    kept = await stored(database)
    midnights = [FIRST + n * timedelta(days=1) for n in range(10)]
    assert [at for at in kept if at < CUTOFF] == midnights
    assert [at for at in kept if at >= CUTOFF] == [at for at in before if at >= CUTOFF]
    assert await amounts(database, Step.DAY) == days
    assert await amounts(database, Step.YEAR) == whole


@pytest.mark.parametrize(("start", "again", "reason"), [("100", "3", "unexplained_fall"), ("9990", "142", "rollover")])
async def test_totals_survive_a_restart_and_a_rollover(database: Database, start: str, again: str, reason: str) -> None:
    broken = FIRST + timedelta(days=4, hours=7)
    await filled(database, half_hours(start, days=4.25) + half_hours(again, broken, days=3))
    whole = await amounts(database, Step.YEAR)
    assert reason in whole[0].reasons
    done = await retain(database, KEEP, NOW)
    assert done
    assert done.removed > 200
    assert await amounts(database, Step.YEAR) == whole


async def test_the_days_beside_a_silence_keep_their_amounts(database: Database) -> None:
    before = half_hours(days=2.75)
    after = half_hours(str(Decimal(before[-1][1]) + 5), FIRST + timedelta(days=6), days=3)
    await filled(database, before + after)
    days = await amounts(database, Step.DAY)
    assert days[2].amount
    assert 0 < days[2].completeness < 1
    assert await retain(database, KEEP, NOW)
    assert await amounts(database, Step.DAY) == days


async def test_a_meter_that_moves_at_noon_keeps_the_totals_of_both_points(database: Database) -> None:
    await filled(database, half_hours())
    noon = FIRST + timedelta(days=5, hours=12)
    async with database.connection() as conn:
        await conn.execute("UPDATE installation SET until = %s", (noon,))
        await conn.execute("INSERT INTO point (code, zone) VALUES ('MP-2', 'Europe/Samara')")
        await conn.execute(
            "INSERT INTO installation (point_id, meter_id, since)"
            " SELECT p.id, m.id, %s FROM point p, meter m WHERE p.code = 'MP-2'",
            (noon,),
        )
    whole = await amounts(database, Step.YEAR), await amounts(database, Step.YEAR, "MP-2")
    assert await retain(database, KEEP, NOW)
    assert (await amounts(database, Step.YEAR), await amounts(database, Step.YEAR, "MP-2")) == whole


async def test_a_believed_reading_is_kept_rather_than_an_earlier_suspect_one(database: Database) -> None:
    await filled(database, half_hours())
    at_three = FIRST + timedelta(days=3)
    async with database.connection() as conn:
        await conn.execute("UPDATE reading SET quality = 2, reasons = 2 WHERE taken_at = %s", (at_three,))
    assert await retain(database, KEEP, NOW)
    kept = await stored(database)
    assert at_three + timedelta(minutes=30) in kept
    assert at_three not in kept


async def test_compressed_chunks_are_replaced_by_what_is_kept(hypertables: Database) -> None:
    await filled(hypertables, half_hours())
    days = await amounts(hypertables, Step.DAY)
    assert await compress(hypertables) == DAYS + 1
    assert await retain(hypertables, KEEP, NOW) == Retained(REMOVED, CUTOFF)
    assert await amounts(hypertables, Step.DAY) == days


async def test_sources_are_thinned_apart(database: Database) -> None:
    await filled(database, half_hours())
    typed = FIRST + timedelta(days=2, hours=12)
    given = Reading("m1", "1.8.0", typed, Decimal(130), Source.CONSUMER, author="ivanov")
    await Intake(PostgresStore(database)).accept(Delivery("test", [given]))
    await retain(database, KEEP, NOW)
    assert await stored(database, "source = 5") == [typed]


async def test_load_profiles_of_that_age_are_gone(database: Database) -> None:
    await filled(database, [])
    hour = timedelta(hours=1)
    profile = [IntervalReading("m1", "1.8.0", FIRST + n * hour, hour, Decimal(1)) for n in range(DAYS * 24)]
    await Intake(PostgresStore(database)).accept(Delivery("test", (), intervals=profile))
    done = await retain(database, KEEP, NOW)
    assert done
    assert done.removed == sum(item.start < CUTOFF for item in profile)
    async with database.connection() as conn:
        row = await (await conn.execute("SELECT count(*), min(start) FROM interval_reading")).fetchone()
    assert row == (len(profile) - done.removed, CUTOFF)


async def test_repeating_removes_nothing_and_the_next_day_is_thinned_by_itself(database: Database) -> None:
    await filled(database, half_hours())
    assert await retain(database, KEEP, NOW)
    assert await retain(database, KEEP, NOW) == Retained(0, CUTOFF)
    day = timedelta(days=1)
    assert await retain(database, KEEP, NOW + day) == Retained(47, CUTOFF + day)


async def test_only_one_process_works_and_nothing_is_removed_without_a_limit(database: Database) -> None:
    await filled(database, half_hours())
    assert await retain(database, StoragePolicy(keep=None), NOW) == Retained(0, None)
    async with database.own_connection() as conn:
        await conn.execute(retention.LOCK)
        assert await retain(database, KEEP, NOW) is None
    done = await asyncio.gather(*(retain(database, KEEP, NOW) for _ in range(3)))
    assert sum(one.removed for one in done if one) == REMOVED


async def test_an_interrupted_run_goes_on_where_it_was(database: Database) -> None:
    await filled(database, half_hours())
    whole = await amounts(database, Step.DAY)
    first = await retain(database, KEEP, NOW - timedelta(days=4, hours=3))
    second = await retain(database, KEEP, NOW)
    assert first
    assert second
    assert first.removed + second.removed == REMOVED
    assert await amounts(database, Step.DAY) == whole
