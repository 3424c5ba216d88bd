"""What travels out of PostgreSQL for consumption, and that it says the same as all readings together."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from decimal import Decimal as D
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from ingest.calendar_cuts import Step, cuts
from ingest.consumption import Amount, Policy, Stretch, consumption
from ingest.delivery import Delivery
from ingest.intake import Intake
from ingest.model import IntervalReading, Reading, RegisterSpec, Source
from storage.database import Database
from storage.readings import PostgresStore
from storage.stretches import stretches
from tests.ingest.memory_store import spec
from tests.ingest.messy import MACHINE, MIXED, cuts_over, messy
from tests.ingest.point import DAY, HOUR, LATER, START, Point, hours, reading
from tests.storage.rows import LONG_AGO, install

POINT = "MP-m1"
MOSCOW = ZoneInfo("Europe/Moscow")


async def give(database: Database, *readings: Reading, intervals: Sequence[IntervalReading] = ()) -> None:
    door = Intake(PostgresStore(database), now=lambda: LATER)
    await door.accept(Delivery("test", readings, intervals=intervals))


async def selected(
    database: Database, cuts: Sequence[datetime], channels: Sequence[str] | None = ("1.8.0",)
) -> dict[str, list[Stretch]]:
    async with database.connection() as conn:
        return await stretches(conn, POINT, channels, cuts)


async def amounts(
    database: Database, cuts: Sequence[datetime], channel: str = "1.8.0", policy: Policy | None = None
) -> Sequence[Amount]:
    return consumption((await selected(database, cuts, [channel]))[channel], cuts, policy)


async def execute(database: Database, sql: str, *values: Any) -> None:
    async with database.connection() as conn:
        await conn.execute(sql.encode(), values)


async def stay(
    database: Database,
    meter: str,
    since: datetime,
    until: datetime | None = None,
    *,
    ct: int = 1,
    opening: int | None = None,
    closing: int | None = None,
) -> None:
    """One installation at the point, with what all registers showed at its ends (kWh)."""
    await execute(
        database,
        "INSERT INTO installation (point_id, meter_id, since, until, ct)"
        " SELECT p.id, m.id, %s, %s, %s FROM point p, meter m WHERE p.code = %s AND m.serial = %s",
        since, until, ct, POINT, meter,
    )  # fmt: skip
    await execute(
        database,
        "INSERT INTO installation_reading (installation_id, register_id, opening, closing)"
        " SELECT i.id, r.id, %s::bigint * 1000000, %s::bigint * 1000000"
        " FROM installation i JOIN register r USING (meter_id)"
        " JOIN meter m ON m.id = i.meter_id WHERE m.serial = %s AND i.since = %s",
        opening, closing, meter, since,
    )  # fmt: skip


async def fleet(database: Database, *serials: str, specs: Sequence[RegisterSpec] = (spec(),)) -> None:
    """Meters that all have these registers and stand nowhere, and the point."""
    for serial in serials:
        await install(database, serial, specs, point=POINT, since=LONG_AGO)
        await execute(database, "DELETE FROM installation")


@pytest.mark.parametrize("seed", range(8))
async def test_the_same_as_from_all_readings_in_memory(database: Database, seed: int) -> None:
    rng = Random(seed)
    readings = messy(rng, 60, faults=0.08, sources=MIXED if seed % 2 else MACHINE)
    await install(database, "m1", [spec()])
    await give(database, *readings)
    point = Point()
    point.give(*readings)
    for count in (2, 5, 20):
        borders = hours(*cuts_over(rng, readings, count))
        policy = Policy(gap_limit=timedelta(days=rng.choice([1, 400])))
        assert await amounts(database, borders, policy=policy) == point.amounts(borders, policy=policy, dense=True)


async def polled(database: Database, serial: str, minutes: int) -> None:
    """Two years of a meter that is polled so often, put straight into the table."""
    await install(database, serial, [spec()], point=POINT if serial == "m1" else f"MP-{serial}")
    await execute(
        database,
        "INSERT INTO stored_reading (register_id, source, taken_at, received_at, value, quality, reasons)"
        " SELECT r.id, 2, t, t, (extract(epoch FROM t - '2024-01-01+00')::bigint) * 100, 0, 0"
        " FROM register r JOIN meter m ON m.id = r.meter_id,"
        " generate_series('2024-01-01 00:00+00'::timestamptz, '2025-12-31 23:59+00', %s * interval '1 minute') AS t"
        " WHERE m.serial = %s",
        minutes, serial,
    )  # fmt: skip


async def test_a_year_travels_in_a_few_hundred_rows_whatever_the_polling_rate(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await polled(database, "m1", 30)
    await polled(database, "m2", 1)
    await execute(database, "ANALYZE stored_reading")
    travelled: list[int] = []

    async with database.connection() as conn:
        cursor_class = type(conn.cursor())
        fetched = cursor_class.fetchall

        async def counted(self: Any) -> list[Any]:
            rows = await fetched(self)
            travelled.append(len(rows))
            return rows

        monkeypatch.setattr(cursor_class, "fetchall", counted)
        begin = datetime.fromisoformat("2025-01-01T00:00:00+03:00")
        end = datetime.fromisoformat("2025-12-31T00:00:00+03:00")
        for step, most in ((Step.DAY, 400), (Step.MONTH, 30)):
            borders = cuts(begin, end, step, MOSCOW)
            counts, totals = [], []
            for point in (POINT, "MP-m2"):
                travelled.clear()
                found = (await stretches(conn, point, ["1.8.0"], borders))["1.8.0"]
                counts.append(sum(travelled))
                totals.append(sum(amount.amount or 0 for amount in consumption(found, borders)))
            assert counts[0] == counts[1] <= most
            assert totals == [D((end - begin) // timedelta(seconds=1)) / 10**4] * 2


async def test_an_exchange_of_meters_and_a_gap_without_any(database: Database) -> None:
    await fleet(database, "m1", "m2")
    await stay(database, "m1", START, START + 2 * HOUR, ct=10, opening=100, closing=102)
    await stay(database, "m2", START + 3 * HOUR, None, ct=20, opening=7)
    await give(database, reading(0.5, "100.5"), reading(1, 101), reading(4, 8, serial="m2"), reading(5, 9, serial="m2"))
    [whole] = await amounts(database, hours(0, 5))
    assert (whole.amount, whole.reasons) == (D(2 * 10 + 2 * 20), ("exchange", "no_meter"))
    assert (whole.ratios, whole.meters) == ((D(10), D(20)), ("m1", "m2"))
    assert (await amounts(database, hours(-5, 0)))[0].reasons == ("no_meter",)


async def test_readings_of_a_meter_count_only_while_it_stood_at_the_point(database: Database) -> None:
    await fleet(database, "m1")
    await stay(database, "m1", START + 2 * HOUR, START + 4 * HOUR)
    await give(database, *(reading(hour, 100 + hour) for hour in range(7)))
    [whole] = await amounts(database, hours(0, 6))
    assert (whole.amount, whole.completeness) == (D(2), D("0.3333"))


async def test_a_change_of_the_ratio_alone_is_cut_between_the_readings_beside_it(database: Database) -> None:
    await fleet(database, "m1")
    await stay(database, "m1", START, START + 3 * HOUR, ct=10)
    await stay(database, "m1", START + 3 * HOUR, None, ct=20)
    await give(database, reading(0, 100), reading(2, 102), reading(4, 104), reading(6, 106))
    [whole] = await amounts(database, hours(0, 6))
    assert (whole.amount, whole.completeness) == (D(3 * 10 + 3 * 20), D(1))
    assert whole.reasons == ("interpolated", "ratio_change")
    [after] = await amounts(database, hours(3, 6))
    assert after.amount == 60
    [late] = await amounts(database, hours(3.5, 6))
    assert late.amount == 50


async def test_what_was_written_down_at_a_change_of_the_ratio_counts(database: Database) -> None:
    await fleet(database, "m1")
    await stay(database, "m1", START, START + 3 * HOUR, ct=10, closing=102)
    await stay(database, "m1", START + 3 * HOUR, None, ct=20, opening=102)
    await give(database, reading(0, 100), reading(6, 106))
    [whole] = await amounts(database, hours(0, 6))
    assert (whole.amount, whole.reasons) == (D(2 * 10 + 4 * 20), ("ratio_change",))


ZONES = tuple(RegisterSpec(f"1.8.{n}", 6, 3, Decimal(15)) for n in (1, 2))


@pytest.mark.parametrize("noted", ["closing", "opening"])
async def test_what_was_written_down_on_one_side_of_a_change_of_the_ratio_counts_on_both(
    database: Database, noted: str
) -> None:
    await fleet(database, "m1")
    change = START + 12 * HOUR
    await stay(database, "m1", START, change, ct=20, closing=104 if noted == "closing" else None)
    await stay(database, "m1", change, ct=40, opening=104 if noted == "opening" else None)
    await give(database, reading(0, 100), reading(24, 112))
    [before, after] = await amounts(database, [START, change, START + DAY])
    assert (before.amount, after.amount) == (D(80), D(320))
    assert {amount.quality.label for amount in (before, after)} == {"good"}


async def test_a_total_without_a_register_comes_from_its_zones(database: Database) -> None:
    await install(database, "m1", [*ZONES, RegisterSpec("2.8.0", 6, 3, Decimal(15)), RegisterSpec("1.7.0", None, 0)])
    await give(
        database,
        *(reading(hour, 10 + hour, channel="1.8.1") for hour in (0, 1)),
        *(reading(hour, 20 + 2 * hour, channel="1.8.2") for hour in (0, 1)),
    )
    found = await selected(database, hours(0, 1), None)
    assert sorted(found) == ["1.8.0", "1.8.1", "1.8.2", "2.8.0"]
    told = {channel: consumption(here, hours(0, 1))[0].amount for channel, here in found.items()}
    assert told == {"1.8.0": 3, "1.8.1": 1, "1.8.2": 2, "2.8.0": None}


async def test_zones_typed_in_stand_in_for_a_total_register_nobody_reads(database: Database) -> None:
    await install(database, "m1", [spec(), *ZONES])
    for hour in (0, 720):
        await give(
            database,
            reading(hour, 10 + hour / 10, channel="1.8.1", source=Source.CONSUMER),
            reading(hour, 20 + hour / 10, channel="1.8.2", source=Source.CONSUMER),
        )
    [whole] = await amounts(database, hours(0, 720))
    assert (whole.amount, whole.reasons) == (D(144), ("sum_of_zones",))


async def test_a_channel_nobody_metered_is_empty_and_one_of_an_earlier_meter_is_not(database: Database) -> None:
    await fleet(database, "m1", specs=[spec(), spec("3.8.0")])
    await fleet(database, "m2")
    await stay(database, "m1", START, START + 2 * HOUR)
    await stay(database, "m2", START + 2 * HOUR)
    found = await selected(database, hours(0, 4), ["3.8.0", "2.8.0"])
    assert found["2.8.0"] == []
    assert [one.meter for one in found["3.8.0"]] == ["m1", "m2"]
    [none] = consumption(found["3.8.0"], hours(0, 4))
    assert (none.amount, none.reasons) == (None, ("no_readings",))


async def test_people_fill_the_silence_of_a_machine(database: Database) -> None:
    await install(database, "m1", [spec()])
    await give(database, *(reading(hour, 100 + hour) for hour in range(3)))
    await give(database, reading(1.5, 101, source=Source.CONSUMER), reading(240, 300, source=Source.CONSUMER))
    [whole] = await amounts(database, hours(0, 240))
    assert (whole.amount, whole.quality.label) == (D(200), "good")


async def test_breaks_just_outside_of_the_cuts_are_seen(database: Database) -> None:
    """A request for one hour inside a block of zeros, whose begin and end lie outside of it."""
    await install(database, "m1", [spec()])
    values = [100, 101, *[0] * 20, 123, 124]
    await give(database, *(reading(hour, value) for hour, value in enumerate(values)))
    [inside] = await amounts(database, hours(10, 11))
    assert (inside.quality.label, inside.reasons) == ("estimated", ("detour", "interpolated"))
    whole = await amounts(database, hours(*range(24)))
    assert (sum(a.amount or 0 for a in whole), whole[10].amount) == (D(24), inside.amount)


async def test_a_stuck_run_is_followed_back_to_its_begin(database: Database) -> None:
    await install(database, "m1", [spec()])
    values = [100, *[101] * 40, 401, 402]
    await give(database, *(reading(hour, value) for hour, value in enumerate(values)))
    [whole] = await amounts(database, hours(0, 42))
    assert (whole.amount, whole.quality.label, whole.reasons) == (D(302), "good", ("stuck",))
    [tail] = await amounts(database, hours(39, 41))
    assert (tail.amount, tail.quality.label) == (D(15), "estimated")


def profile(*kwh: str, minutes: int = 30, source: Source = Source.AUTOMATIC, first: float = 0) -> list[IntervalReading]:
    length = timedelta(minutes=minutes)
    return [
        IntervalReading("m1", "1.8.0", START + first * HOUR + n * length, length, Decimal(value), source)
        for n, value in enumerate(kwh)
    ]


async def test_a_profile_cuts_a_step_of_the_register(database: Database) -> None:
    await install(database, "m1", [spec()], ct=Decimal(30))
    await give(database, reading(0, 100), reading(2, 104), intervals=profile("0.5", "1.5", "1.25", "0.75"))
    found = await amounts(database, hours(0, 0.5, 1, 2))
    assert [(a.amount, a.quality.label) for a in found] == [(D(15), "good"), (D(45), "good"), (D(60), "good")]


async def test_a_profile_alone_is_enough(database: Database) -> None:
    await install(database, "m1", [spec()])
    await give(database, intervals=profile("0.5", "1.5", "1.25", "0.75"))
    found = await amounts(database, hours(0, 1, 2, 3))
    assert [(a.amount, a.completeness) for a in found] == [(D(2), D(1)), (D(2), D(1)), (None, D(0))]


async def test_a_cut_or_a_reading_inside_a_profile_interval_divides_it_and_loses_nothing(database: Database) -> None:
    await install(database, "m1", [spec()])
    await give(database, intervals=profile("1.000001", "0.999999", minutes=60))
    found = await amounts(database, hours(0, 0.25, 0.5, 1, 2))
    assert [a.amount for a in found] == [Decimal(text) for text in ("0.25", "0.25", "0.500001", "0.999999")]
    assert [a.quality.label for a in found] == ["estimated", "estimated", "estimated", "good"]
    await give(database, reading(0.25, 100), reading(1.75, "101.5"))
    found = await amounts(database, hours(0, 1, 2))
    assert [(a.amount, a.quality.label) for a in found] == [(D("1.000001"), "estimated"), (D("0.999999"), "estimated")]


async def test_a_cut_is_worth_the_same_whatever_else_is_asked_when_a_reading_cuts_a_profile_interval(
    database: Database,
) -> None:
    """The display cuts off less than a watt hour, which is divided when a reading stands inside an interval."""
    await install(database, "m1", [spec()])
    half = timedelta(minutes=30)
    energies = ("0.3", "0.3", "0.9", "0.4", "0.4", "0.4")
    profile = [IntervalReading("m1", "1.8.0", START + n * half, half, D(energy)) for n, energy in enumerate(energies)]
    readings = [reading(0, 100), reading(7 / 6, "100.901"), reading(3, "102.7")]
    await give(database, *readings, intervals=profile)
    [early], [late], [whole] = [await amounts(database, hours(*cuts)) for cuts in ((0, 0.5), (0.5, 2), (0, 2))]
    assert early.amount is not None
    assert late.amount is not None
    assert early.amount + late.amount == whole.amount


async def test_an_impossible_profile_interval_is_no_energy(database: Database) -> None:
    await install(database, "m1", [spec()])
    await give(database, intervals=profile("0.5", "9000", "1.25", "0.75"))
    [whole] = await amounts(database, hours(0, 2))
    assert (whole.amount, whole.completeness, whole.reasons) == (Decimal("2.5"), Decimal("0.75"), ("gap",))


async def test_of_two_profiles_of_the_same_time_one_counts(database: Database) -> None:
    await install(database, "m1", [spec()])
    imported = profile("0.6", "1.6", source=Source.IMPORT)
    await give(database, intervals=[*profile("0.5"), *imported])
    first, second = await amounts(database, hours(0, 0.5, 1))
    assert (first.amount, second.amount) == (Decimal("0.5"), Decimal("1.6"))


async def test_days_of_23_and_25_hours_have_the_energy_of_their_hours(database: Database) -> None:
    volgograd = ZoneInfo("Europe/Volgograd")
    await install(database, "m1", [spec()], zone="Europe/Volgograd")
    for day in ("2018-10-26T20:00+00:00", "2020-12-25T20:00+00:00"):
        begin = datetime.fromisoformat(day)
        number = 0 if begin.year == 2018 else 1000
        await give(database, *(reading(begin + n * HOUR, 100 + number + n) for n in range(80)))
    moved = cuts(
        datetime.fromisoformat("2018-10-27T00:00+03:00"),
        datetime.fromisoformat("2018-10-30T00:00+04:00"),
        Step.DAY,
        volgograd,
    )
    back = cuts(
        datetime.fromisoformat("2020-12-26T00:00+04:00"),
        datetime.fromisoformat("2020-12-29T00:00+03:00"),
        Step.DAY,
        volgograd,
    )
    assert [a.amount for a in await amounts(database, moved)] == [24, 23, 24]
    assert [a.amount for a in await amounts(database, back)] == [24, 25, 24]


async def test_suspect_readings_do_not_travel(database: Database) -> None:
    await install(database, "m1", [spec()])
    await give(database, reading(0, 100), reading(1, 101), reading(2, 9000), reading(3, 103), reading(4, 104))
    found = (await selected(database, hours(0, 2, 4)))["1.8.0"]
    values = {m.value for b in found[0].counters[0].boundaries for side in b[1:] for m in side}
    assert 9000 * 10**6 not in values


async def test_a_point_nobody_knows_has_nothing(database: Database) -> None:
    assert await selected(database, hours(0, 1), None) == {}
    assert (await selected(database, [START, START + DAY]))["1.8.0"] == []
