"""The load shapes: every recorded hour, exact between them, repeated by whole weeks outside."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.shape import PERIOD_HOURS, Shape, load, watt_hours

HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("name", "start", "hours", "total"),
    [
        ("a", "2015-11-22T00:00:00-06:00", 19417, "19565.060"),
        ("b", "2020-04-01T01:00:00+00:00", 23508, "3789.626"),
    ],
)
def test_the_shipped_households_are_whole(name: str, start: str, hours: int, total: str) -> None:
    shape = load(name)
    assert shape.start.isoformat() == start
    assert len(shape.hours) == hours
    assert Decimal(shape.totals[-1]) / 1000 == Decimal(total)


def test_binary_tails_are_forgiven_and_nothing_else() -> None:
    assert watt_hours("0.028999999999999998") == 29
    assert watt_hours("27.24") == 27240
    for wrong in ("0.0285", "-0.001", "NaN"):
        with pytest.raises((ValueError, ArithmeticError)):
            watt_hours(wrong)


def test_energy_is_the_recorded_sum_at_full_hours_and_linear_inside() -> None:
    shape = load("a")
    assert shape.energy(shape.start) == 0
    assert shape.energy(shape.start + HOUR) == 230_000
    assert shape.energy(shape.start + HOUR / 4) == 57_500
    assert shape.energy(shape.start + HOUR + timedelta(microseconds=1)) == 230_000
    assert shape.power(shape.start + HOUR * 1.5) == 120


@given(st.integers(-PERIOD_HOURS * 3, PERIOD_HOURS * 15), st.integers(0, 3599))
def test_energy_grows_by_the_power_of_the_hour_anywhere(hour: int, second: int) -> None:
    shape = load("b")
    at = shape.start + hour * HOUR
    inside = shape.energy(at + timedelta(seconds=second)) - shape.energy(at)
    assert inside == Fraction(shape.power(at) * 1000 * second, 3600).__floor__()
    assert shape.energy(at + HOUR) - shape.energy(at) == shape.power(at) * 1000


def test_outside_of_the_recording_the_nearest_364_days_repeat() -> None:
    shape = load("a")
    end = shape.start + len(shape.hours) * HOUR
    period = PERIOD_HOURS * HOUR
    for at in (end, end + 100 * HOUR, end + 3 * period - HOUR):
        assert shape.power(at) == shape.power(at - period)
    assert shape.power(shape.start - HOUR) == shape.power(shape.start - HOUR + period)
    assert shape.energy(shape.start - HOUR) == -shape.power(shape.start - HOUR) * 1000
    assert (period.days % 7, period) == (0, timedelta(days=364))


def test_zones_add_up_to_the_whole() -> None:
    shape = load("b")
    night = shape.only(frozenset(range(7)))
    day = shape.only(frozenset(range(7, 24)))
    at = datetime(2026, 11, 20, 3, 17, tzinfo=UTC)
    assert night.energy(at) + day.energy(at) == shape.energy(at)
    assert night.power(at) == shape.power(at)
    assert day.power(at) == 0


def test_what_is_no_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 8736 hours"):
        Shape.of(datetime(2026, 1, 1, tzinfo=UTC), [1] * 100)
    with pytest.raises(ValueError, match="no time zone"):
        Shape.of(datetime(2026, 1, 1), [1] * PERIOD_HOURS)  # noqa: DTZ001  # naive on purpose
    with pytest.raises(ValueError, match="'c'; shipped are: a, b"):
        load("c")
