"""Completeness: slots that hold a reading of those the schedule promised, by point and day."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from ingest.delivery import Delivery
from ingest.errors import AmrError, StoreRejected, StoreUnavailable
from ingest.intake import Intake
from ingest.model import Reading, RegisterSpec, Source
from storage import completeness
from storage.completeness import Day, count, of_day, recount
from storage.database import Database
from storage.readings import PostgresStore
from tests.storage.rows import install

MOSCOW = ZoneInfo("Europe/Moscow")
DAY = date(2026, 11, 10)
MIDNIGHT = datetime(2026, 11, 10, tzinfo=MOSCOW)
LATER = datetime(2026, 11, 20, tzinfo=UTC)
HALF_HOUR = timedelta(minutes=30)


async def stored(
    database: Database, meter: str, instants: Iterable[datetime], source: Source = Source.AUTOMATIC
) -> None:
    readings = [Reading(meter, "1.8.0", at, Decimal(100), source) for at in instants]
    await Intake(PostgresStore(database), now=lambda: LATER).accept(Delivery("test", readings, gateway="gw"))


async def days(database: Database, since: date, until: date, now: datetime = LATER) -> list[Day]:
    async with database.connection() as conn:
        codes = [code for (code,) in await (await conn.execute("SELECT code FROM point")).fetchall()]
        return await count(conn, codes, since, until, now)


async def one_day(database: Database) -> tuple[int, int]:
    (found,) = await days(database, DAY, DAY + timedelta(days=1))
    return found.expected, found.received


async def test_a_whole_day_in_the_points_own_zone(database: Database) -> None:
    await install(database, "m1", [RegisterSpec("1.8.0")], gateway="gw")
    await stored(database, "m1", [MIDNIGHT + n * HALF_HOUR for n in range(48)])
    assert await one_day(database) == (48, 48)
    around = await days(database, DAY - timedelta(days=1), DAY + timedelta(days=2))
    assert [one.received for one in around] == [0, 48, 0]


async def test_two_readings_of_one_slot_do_not_make_up_for_an_empty_one(database: Database) -> None:
    await install(database, "m1", [RegisterSpec("1.8.0")], gateway="gw")
    await stored(database, "m1", [MIDNIGHT + timedelta(minutes=minute) for minute in (0, 5, 29, 30, 90)])
    assert await one_day(database) == (48, 3)


async def test_what_people_typed_in_does_not_count(database: Database) -> None:
    await install(database, "m1", [RegisterSpec("1.8.0")], gateway="gw")
    await stored(database, "m1", [MIDNIGHT], Source.IMPORT)
    assert await one_day(database) == (48, 0)


async def test_a_meter_put_up_at_noon_owes_half_a_day(database: Database) -> None:
    await install(database, "m1", [RegisterSpec("1.8.0")], gateway="gw", since=MIDNIGHT + timedelta(hours=12))
    assert await one_day(database) == (24, 0)


async def test_a_meter_read_by_people_owes_nothing(database: Database) -> None:
    await install(database, "m1", [RegisterSpec("1.8.0")])
    assert await days(database, DAY, DAY + timedelta(days=1)) == []


async def test_a_day_of_25_hours_owes_50_half_hours(database: Database) -> None:
    await install(database, "m1", [RegisterSpec("1.8.0")], gateway="gw", zone="Europe/Berlin")
    (found,) = await days(database, date(2026, 10, 25), date(2026, 10, 26))
    assert found.expected == 50


async def test_the_current_day_counts_up_to_now(database: Database) -> None:
    await install(database, "m1", [RegisterSpec("1.8.0")], gateway="gw")
    await stored(database, "m1", [MIDNIGHT])
    (found,) = await days(database, DAY, DAY + timedelta(days=9), now=MIDNIGHT + timedelta(hours=2))
    assert (found.day, found.expected, found.received) == (DAY, 4, 1)


async def test_counts_are_kept_and_follow_what_comes_late(database: Database) -> None:
    await install(database, "m1", [RegisterSpec("1.8.0")], gateway="gw")
    await install(database, "m2", [RegisterSpec("1.8.0")], gateway="gw")
    await stored(database, "m1", [MIDNIGHT + n * HALF_HOUR for n in range(48)])
    now = MIDNIGHT + timedelta(days=1, hours=6)
    assert await recount(database, now)
    async with database.connection() as conn:
        before = await of_day(conn, DAY)
    assert (before.points, before.expected, before.received, before.lacking) == (2, 96, 48, 1)
    assert before.worst == (Day(DAY, "MP-m2", 48, 0),)
    await stored(database, "m2", [MIDNIGHT])
    assert await recount(database, now)
    async with database.connection() as conn:
        assert (await of_day(conn, DAY)).received == 49


async def test_a_count_that_fails_is_told_and_tried_again(
    database: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It used to end the collector it runs in."""
    again = asyncio.Event()
    failures: list[AmrError] = [StoreRejected("out of range"), StoreUnavailable("away")]

    async def fails(database: Database, now: datetime) -> bool:
        if failures:
            raise failures.pop()
        again.set()
        return True

    monkeypatch.setattr(completeness, "recount", fails)
    monkeypatch.setattr(completeness, "EVERY", timedelta(0))
    counting = asyncio.create_task(completeness.recount_hourly(database))
    async with asyncio.timeout(60):
        await again.wait()
    counting.cancel()
    assert "could not be counted" in caplog.text
    assert "is not counted: away" in caplog.text
