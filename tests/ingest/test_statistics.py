"""The figures of a point: this month so far, the month before, the same month of last year."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from ingest.consumption import Stretch
from ingest.model import Quality, Source
from ingest.statistics import AsOf, Statistics, periods, statistics
from tests.ingest.memory_store import spec
from tests.ingest.point import ALWAYS, HOUR, Point, reading

MOSCOW = ZoneInfo("Europe/Moscow")
CHANNELS = ("1.8.0", "1.8.1", "1.8.2")


def local(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=MOSCOW)


def figures(point: Point, now: datetime, as_of: AsOf | None, channels: tuple[str, ...] = CHANNELS) -> Statistics:
    asked = periods(now, as_of, MOSCOW)

    def selected(cuts: tuple[datetime, ...]) -> dict[str, list[Stretch]]:
        return {
            name: [Stretch("m1", ALWAYS, None, Decimal(1), (point.counter(name, cuts),))] for name in channels
        }  # fmt: skip

    return statistics("1.8.0", asked, selected(asked.days), selected(asked.last_year), as_of)


def two_zones() -> Point:
    """Every hour 1 kWh by day and 0.5 by night, from March 2025 to 10 March 2026, noon; the 5th of March is a feast."""
    point = Point(registers=[spec(name) for name in CHANNELS])
    at, day, night = local("2025-02-28T00:00"), Decimal(0), Decimal(0)
    readings = []
    while at <= local("2026-03-10T12:00"):
        values = zip(CHANNELS, (day + night, day, night), strict=True)
        readings += [reading(at, value, channel=name) for name, value in values]
        here = at.astimezone(MOSCOW)
        if 7 <= here.hour < 23:
            day += 2 if (here.month, here.day) == (3, 5) else 1
        else:
            night += Decimal("0.5")
        at += HOUR
    point.give(*readings)
    return point


NOON = AsOf(local("2026-03-10T12:00"), Source.AUTOMATIC)


def test_all_figures_of_a_meter_with_two_zones() -> None:
    found = figures(two_zones(), local("2026-03-10T12:20"), NOON)
    assert (found.channel, found.unit, found.as_of) == ("1.8.0", "kWh", NOON)
    so_far = found.month_to_date
    assert (so_far.amount.begin, so_far.amount.end) == (local("2026-03-01T00:00"), local("2026-03-10T12:00"))
    assert (so_far.amount.amount, so_far.amount.quality, so_far.amount.reasons) == (
        Decimal(9 * 20 + 16) + Decimal("3.5") + 5, Quality.GOOD, ()
    )  # fmt: skip
    assert so_far.maximum_day is not None
    assert (so_far.maximum_day.begin, so_far.maximum_day.amount) == (local("2026-03-05T00:00"), Decimal(36))
    assert so_far.average_per_day == (Decimal("204.5") / Decimal("9.5")).quantize(Decimal("0.000001"))
    assert [(zone.channel, zone.amount, zone.share) for zone in so_far.zones] == [
        ("1.8.1", Decimal(9 * 16 + 16 + 5), Decimal("0.8068")),
        ("1.8.2", Decimal("39.5"), Decimal("0.1932")),
    ]
    assert found.previous_month.amount.amount == 28 * 20
    assert found.previous_month.average_per_day == 20
    assert found.same_month_last_year.amount.amount == 31 * 20 + 16
    assert found.same_month_last_year.maximum_day is None
    assert found.completeness == Decimal("0.9985")


def test_a_silent_meter_tells_how_much_of_the_month_is_known() -> None:
    found = figures(two_zones(), local("2026-03-20T00:00"), NOON)
    assert found.month_to_date.amount.completeness == 1
    assert found.completeness == Decimal("0.5000")


def test_after_the_turn_of_a_month_nothing_is_known_of_the_new_one() -> None:
    last = AsOf(local("2026-02-27T00:00"), Source.CONSUMER)
    found = figures(Point(registers=[spec(name) for name in CHANNELS]), local("2026-03-01T00:00"), last)
    assert found.month_to_date.amount.amount is None
    assert found.completeness == 0


def test_at_the_very_turn_of_a_month_the_new_one_has_begun_and_the_old_one_is_whole() -> None:
    turn = local("2026-03-01T00:00")
    found = figures(two_zones(), turn, AsOf(turn, Source.AUTOMATIC))
    assert found.month_to_date.amount.begin == turn < found.month_to_date.amount.end
    assert found.previous_month.amount.amount == Decimal(28 * 20)
    assert found.completeness <= 1


def test_a_point_nobody_ever_read_has_figures_without_amounts() -> None:
    found = figures(Point(registers=[spec(name) for name in CHANNELS]), local("2026-03-10T12:00"), None)
    assert [part.amount.amount for part in (found.month_to_date, found.previous_month, found.same_month_last_year)] == [
        None
    ] * 3
    assert (found.month_to_date.average_per_day, found.month_to_date.maximum_day, found.completeness) == (
        None,
        None,
        Decimal(0),
    )
    assert {zone.share for zone in found.month_to_date.zones} == {None}


def test_readings_of_the_20th_make_months_also_early_in_a_month() -> None:
    """A consumer who types in once a month: the first days of a month are known as soon as the next reading comes."""
    point = Point()
    for number, day in enumerate(("2025-12-20", "2026-01-20", "2026-02-20", "2026-03-03")):
        point.give(reading(local(f"{day}T00:00"), 1000 + 310 * number, source=Source.CONSUMER))
    as_of = AsOf(local("2026-03-03T00:00"), Source.CONSUMER)
    found = figures(point, local("2026-03-04T00:00"), as_of, ("1.8.0",))
    assert found.previous_month.amount.quality is Quality.ESTIMATED
    assert found.month_to_date.amount.amount == Decimal("56.363637")  # 310 kWh in 11 days, two of them
    assert found.previous_month.maximum_day is None
    assert found.month_to_date.zones == ()


def test_one_zone_that_is_not_known_leaves_no_shares() -> None:
    point = Point(registers=[spec(name) for name in CHANNELS])
    for name in CHANNELS[:2]:
        for number in range(10):
            point.give(reading(local("2026-03-01T00:00") + number * HOUR, number, channel=name))
    as_of = AsOf(local("2026-03-01T09:00"), Source.AUTOMATIC)
    found = figures(point, local("2026-03-01T10:00"), as_of)
    assert [(zone.amount, zone.share) for zone in found.month_to_date.zones] == [(Decimal(9), None), (None, None)]


def test_periods_follow_the_calendar_of_the_point() -> None:
    asked = periods(local("2026-03-31T23:00"), None, MOSCOW)
    assert (asked.days[0], asked.month, asked.end) == (
        local("2026-02-01T00:00"), local("2026-03-01T00:00"), local("2026-03-31T23:00")
    )  # fmt: skip
    assert asked.last_year == (local("2025-03-01T00:00"), local("2025-04-01T00:00"))
    assert len(asked.days) == 28 + 30 + 1 + 1
    january = periods(local("2026-01-02T00:00"), None, MOSCOW)
    assert january.days[0] == local("2025-12-01T00:00")
    leap = periods(local("2024-02-10T00:00"), None, MOSCOW)
    assert leap.last_year[1] - leap.last_year[0] == timedelta(days=28)
