"""The figures of a point and its months, out of PostgreSQL."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from ingest.delivery import Delivery
from ingest.errors import NotFound
from ingest.intake import Intake
from ingest.model import IntervalReading, Quality, Reading, RegisterSpec, Source
from ingest.statistics import Statistics
from ingest.substitutes import SubstituteRule
from storage.database import Database
from storage.readings import PostgresStore
from storage.statistics import months, point_statistics
from tests.ingest.memory_store import spec
from tests.storage.rows import install

VOLGOGRAD = ZoneInfo("Europe/Volgograd")
ZONES = [RegisterSpec(f"1.8.{n}", 6, 3, Decimal(15)) for n in (1, 2)]
LATER = datetime(2040, 1, 1, tzinfo=VOLGOGRAD)


def local(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=VOLGOGRAD)


def reading(at: str, value: float, channel: str = "1.8.0", source: Source = Source.AUTOMATIC) -> Reading:
    return Reading("m1", channel, local(at), Decimal(str(value)), source)


async def give(database: Database, *readings: Reading, intervals: tuple[IntervalReading, ...] = ()) -> None:
    await Intake(PostgresStore(database), now=lambda: LATER).accept(Delivery("test", readings, intervals=intervals))


async def figures(database: Database, now: str, channel: str = "1.8.0") -> Statistics:
    async with database.connection() as conn:
        return await point_statistics(conn, "MP-m1", channel, now=local(now))


async def test_the_figures_of_an_automatic_meter(database: Database) -> None:
    await install(database, "m1", [spec()], zone="Europe/Volgograd", ct=Decimal(20))
    days = [(local("2025-02-01T00:00") + timedelta(days=n)).strftime("%Y-%m-%dT00:00") for n in range(400)]
    await give(database, *(reading(day, 100 + number) for number, day in enumerate(days)))
    found = await figures(database, "2026-03-07T10:00")
    assert found.as_of is not None
    assert (found.as_of.at, found.as_of.source) == (local("2026-03-07T00:00"), Source.AUTOMATIC)
    assert found.month_to_date.amount.amount == 6 * 20
    assert found.previous_month.amount.amount == 28 * 20
    assert found.same_month_last_year.amount.amount == 31 * 20
    assert found.month_to_date.average_per_day == 20
    assert found.completeness == (Decimal(6 * 24) / Decimal(6 * 24 + 10)).quantize(Decimal("0.0001"), "ROUND_DOWN")


async def test_a_total_of_zones_is_known_as_of_the_older_of_them(database: Database) -> None:
    await install(database, "m1", ZONES, zone="Europe/Volgograd")
    await give(
        database,
        *(reading(day, kwh, "1.8.1") for day, kwh in (("2026-03-01T00:00", 10), ("2026-03-03T00:00", 40))),
        *(reading(day, kwh, "1.8.2") for day, kwh in (("2026-03-01T00:00", 10), ("2026-03-02T00:00", 20))),
    )
    found = await figures(database, "2026-03-03T12:00")
    assert found.as_of is not None
    assert found.as_of.at == local("2026-03-02T00:00")
    assert found.month_to_date.amount.amount == 15 + 10
    assert [zone.share for zone in found.month_to_date.zones] == [Decimal("0.6000"), Decimal("0.4000")]


async def test_suspect_readings_and_estimates_are_nothing_known(database: Database) -> None:
    await install(database, "m1", [spec()], zone="Europe/Volgograd")
    await give(database, reading("2026-03-01T00:00", 100), reading("2026-03-02T00:00", 101))
    await give(database, reading("2026-03-03T00:00", 900_000))
    await give(database, reading("2026-03-04T00:00", 120, source=Source.ESTIMATE))
    found = await figures(database, "2026-03-05T00:00")
    assert found.as_of is not None
    assert found.as_of.at == local("2026-03-02T00:00")


async def test_a_profile_alone_has_an_as_of(database: Database) -> None:
    await install(database, "m1", [spec()], zone="Europe/Volgograd")
    half_hour = timedelta(minutes=30)
    begin = local("2026-03-01T00:00")
    slots = tuple(IntervalReading("m1", "1.8.0", begin + n * half_hour, half_hour, Decimal("0.5")) for n in range(60))
    await give(database, intervals=slots)
    found = await figures(database, "2026-03-05T00:00")
    assert found.as_of is not None
    assert found.as_of.at == local("2026-03-02T06:00")
    assert (found.month_to_date.amount.amount, found.month_to_date.amount.quality) == (Decimal(30), Quality.GOOD)


async def test_a_channel_nobody_meters_and_a_point_nobody_knows(database: Database) -> None:
    await install(database, "m1", [spec()], zone="Europe/Volgograd")
    found = await figures(database, "2026-03-05T00:00", "3.8.0")
    assert (found.as_of, found.month_to_date.amount.amount, found.unit) == (None, None, "kvarh")
    async with database.connection() as conn:
        with pytest.raises(NotFound, match="MP-9"):
            await point_statistics(conn, "MP-9", now=LATER)
        with pytest.raises(NotFound, match="MP-9"):
            await months(conn, "MP-9", "1.8.0", local("2026-01-01"), local("2026-02-01"), now=LATER)


async def test_months_without_readings_are_substituted_until_one_arrives(database: Database) -> None:
    await install(database, "m1", [spec()], zone="Europe/Volgograd")
    firsts = ["2024-12-01", *(f"2025-{n:02}-01" for n in range(1, 11))]
    await give(
        database, *(reading(f"{day}T00:00", 1000 + 100 * n, source=Source.CONSUMER) for n, day in enumerate(firsts))
    )

    async def told() -> list[tuple[object, ...]]:
        since, until, now = local("2025-09-15T00:00"), local("2026-03-01T00:00"), local("2026-03-05T00:00")
        async with database.connection() as conn:
            found = await months(conn, "MP-m1", "1.8.0", since, until, now=now)
        assert [one.begin for one in found][:2] == [local("2025-09-01T00:00"), local("2025-10-01T00:00")]
        return [(one.amount, one.reasons) for one in found]

    assert await told() == [
        (100, ()),
        (100, ("gap", "substitute_average")),
        (100, ("gap", "substitute_average")),
        (100, ("gap", "substitute_last_year")),
        (100, ("gap", "substitute_last_year")),
        (100, ("gap", "substitute_last_year")),
    ]
    await give(database, reading("2026-03-01T00:00", 2000 + 151, source=Source.CONSUMER))
    after = await told()
    assert [amount for amount, _ in after[1:]] == [31, 30, 31, 31, 28]
    assert all(reasons == ("distributed", "interpolated") for _, reasons in after[1:])


async def test_how_many_months_make_an_average_is_configuration(database: Database) -> None:
    await install(database, "m1", [spec()], zone="Europe/Volgograd")
    await give(database, *(reading(f"2026-0{n}-01T00:00", 100 * n, source=Source.CONSUMER) for n in (1, 2)))
    async with database.connection() as conn:
        [february] = await months(
            conn, "MP-m1", "1.8.0", local("2026-02-01T00:00"), local("2026-03-01T00:00"),
            now=local("2026-03-05T00:00"), rule=SubstituteRule(at_least=1),
        )  # fmt: skip
    assert february.amount == 100
