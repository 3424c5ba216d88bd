"""Lines of a statement: what registers showed at the ends of a month, and what that makes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal as D
from zoneinfo import ZoneInfo

from ingest.calendar_cuts import Step, shifted
from ingest.consumption import Stretch
from ingest.model import Quality, Reading, RegisterSpec, Source
from ingest.statement import Line, lines, totals
from tests.ingest.point import START, Point, Stay

FEBRUARY = datetime(2026, 2, 1, tzinfo=UTC)
HALF = timedelta(minutes=30)


def of(point: Point, *channels: str, begin: datetime = START, end: datetime = FEBRUARY) -> list[Line]:
    found: dict[str, list[Stretch]] = {
        channel: point.stretches([begin, end], channel=channel) for channel in channels or ("1.8.0",)
    }
    return lines(found, begin, end)


def read(
    at: datetime, value: str, meter: str = "m1", channel: str = "1.8.0", source: Source = Source.AUTOMATIC
) -> Reading:
    return Reading(meter, channel, at, D(value), source)


def test_readings_at_midnight_are_shown_as_they_are() -> None:
    point = Point(Stay("m1", ratio=D(20)))
    point.give(read(START, "1000.5"), read(FEBRUARY, "1250.75"))
    [line] = of(point)
    assert line.previous is not None
    assert line.current is not None
    assert (line.previous.value, line.previous.taken_at, line.previous.source) == (
        D("1000.5"),
        START,
        Source.AUTOMATIC,
    )
    assert (line.current.value, line.current.interpolated) == (D("1250.75"), False)
    assert (line.difference, line.ratio, line.consumption) == (D("250.25"), D(20), D(5005))
    assert (line.quality, line.unit, line.summed) == (Quality.GOOD, "kWh", False)


def test_a_value_between_two_readings_says_so() -> None:
    point = Point()
    point.give(read(START, "100"), read(FEBRUARY - HALF, "200"), read(FEBRUARY + HALF, "201"))
    [line] = of(point)
    assert line.current is not None
    assert (line.current.value, line.current.interpolated, line.current.taken_at) == (
        D("200.5"),
        True,
        FEBRUARY - HALF,
    )
    assert (line.difference, line.quality) == (D("100.5"), Quality.ESTIMATED)


def test_what_was_not_read_is_absent() -> None:
    point = Point()
    point.give(read(START + timedelta(days=10), "100"), read(FEBRUARY, "150"))
    [line] = of(point)
    assert line.previous is None
    assert line.current is not None
    assert (line.consumption, "gap" in line.reasons) == (D(50), True)
    assert D("0.6") < line.completeness < D("0.7")
    [silent] = of(Point())
    assert (silent.previous, silent.current, silent.difference, silent.consumption) == (None, None, None, None)
    assert silent.quality is Quality.MISSING


def test_an_exchanged_meter_has_a_line_of_its_own() -> None:
    taken_down = START + timedelta(days=12)
    point = Point(
        Stay("old", until=taken_down, closing=D(180), ratio=D(2)),
        Stay("new", since=taken_down, opening=D(7), ratio=D(3)),
    )
    point.give(read(START, "100", "old"), read(FEBRUARY, "27", "new", source=Source.CONSUMER))
    old, new = of(point)
    assert (old.meter, old.begin, old.end, old.difference, old.consumption) == ("old", START, taken_down, D(80), D(160))
    assert (new.meter, new.begin, new.end, new.difference, new.consumption) == (
        "new",
        taken_down,
        FEBRUARY,
        D(20),
        D(60),
    )
    assert old.current is not None
    assert new.previous is not None
    assert new.current is not None
    assert (old.current.source, new.previous.source, new.current.source) == (
        Source.INSPECTION,
        Source.INSPECTION,
        Source.CONSUMER,
    )
    assert [(one.channel, one.amount, one.missing) for one in totals([old, new])] == [("1.8.0", D(220), 0)]


def test_a_rollover_is_shown_and_counted() -> None:
    point = Point(registers=[RegisterSpec("1.8.0", digits=4, decimals=1, max_rate=D(20))])
    point.give(read(START, "9990"), read(FEBRUARY, "15"))
    [line] = of(point)
    assert line.previous is not None
    assert line.current is not None
    assert (line.previous.value, line.current.value, line.difference) == (D(9990), D(15), D(25))
    assert "rollover" in line.reasons


def test_a_total_without_a_register_is_the_sum_of_its_zones() -> None:
    point = Point(registers=[RegisterSpec("1.8.1", 6, 1, D(20)), RegisterSpec("1.8.2", 6, 1, D(20))])
    for channel, first, last in (("1.8.1", "10", "30"), ("1.8.2", "5", "12.5")):
        point.give(read(START, first, channel=channel), read(FEBRUARY, last, channel=channel))
    total, day, night = of(point, "1.8.0", "1.8.1", "1.8.2")
    assert (total.summed, total.previous, total.difference) == (True, None, D("27.5"))
    assert (day.difference, night.difference) == (D(20), D("7.5"))
    assert [(one.channel, one.amount) for one in totals([total, day, night])] == [
        ("1.8.0", D("27.5")),
        ("1.8.1", D(20)),
        ("1.8.2", D("7.5")),
    ]


def test_adjacent_months_share_their_reading() -> None:
    point = Point()
    march = shifted(FEBRUARY, Step.MONTH, 1, ZoneInfo("UTC"))
    for day in range(70):
        point.give(read(START + timedelta(days=day, hours=7), str(100 + day)))
    [first], [second] = of(point), of(point, begin=FEBRUARY, end=march)
    assert first.current == second.previous
    assert first.current is not None


def test_totals_tell_how_many_lines_they_lack() -> None:
    full = Point()
    full.give(read(START, "1"), read(FEBRUARY, "3"))
    [total] = totals([*of(full), *of(Point())])
    assert (total.amount, total.missing, total.quality) == (D(2), 1, Quality.GOOD)
    [nothing] = totals(of(Point()))
    assert (nothing.amount, nothing.missing) == (None, 1)
