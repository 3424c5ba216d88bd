"""Momentary values over an interval: what is known of it, and nothing more."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.power_quality import (
    LONGEST,
    Figures,
    Limits,
    Moment,
    figures,
    hold,
    limits_of,
    phase_of,
    primary_ratio,
    quantity_of,
)

MINUTE = 60_000_000
HOUR = 60 * MINUTE
LIMITS = limits_of(Decimal(230))


def volts(minute: int, value: str, stands: int = 45) -> Moment:
    return Moment(minute * MINUTE, (minute + stands) * MINUTE, int(Decimal(value) * 1_000_000))


def test_the_limits_are_ten_percent_to_either_side_and_belong_to_the_inside() -> None:
    assert Limits(207_000_000, 253_000_000) == LIMITS
    for value, outside in (("207", 0), ("253", 0), ("206.999", 1), ("253.001", 1)):
        assert figures([volts(0, value)], 0, HOUR // 2, LIMITS).outside == outside


def test_nothing_is_known_of_no_readings() -> None:
    assert figures([], 0, 24 * HOUR, LIMITS) == Figures(None, None, 0, Decimal(0), None)


def test_a_moment_stands_until_the_next_and_not_for_ever() -> None:
    found = figures([volts(0, "200"), volts(30, "230"), volts(120, "260")], 0, 4 * HOUR, LIMITS)
    assert found.minimum == volts(0, "200")
    assert found.maximum == volts(120, "260")
    assert found.count == 3
    assert found.known == Decimal("0.5"), "30 + 45 + 45 minutes of four hours"
    assert found.outside == Decimal("0.625"), "30 + 45 of 120 minutes"


def test_what_stood_before_the_beginning_counts_until_it_ends_but_is_no_extreme() -> None:
    found = figures([volts(-30, "190"), volts(60, "230")], 0, 2 * HOUR, LIMITS)
    assert (found.minimum, found.maximum, found.count) == (volts(60, "230"), volts(60, "230"), 1)
    assert found.known == Decimal("0.5"), "15 minutes of the one before, 45 of the one within"
    assert found.outside == Decimal("0.25")


def test_without_limits_nothing_is_outside_and_nothing_within() -> None:
    assert figures([volts(0, "10")], 0, HOUR, None).outside is None


@pytest.mark.parametrize(
    ("period", "longest"),
    [(timedelta(minutes=1), timedelta(seconds=90)), (timedelta(minutes=30), LONGEST), (timedelta(days=1), LONGEST)],
)
def test_a_moment_of_a_meter_that_is_rarely_asked_does_not_stand_for_a_day(
    period: timedelta, longest: timedelta
) -> None:
    assert hold(period) == longest


@pytest.mark.parametrize(
    ("channel", "quantity", "phase", "ratio"),
    [
        ("32.7.0", "voltage", 1, 100),
        ("52.7.0", "voltage", 2, 100),
        ("72.7.0", "voltage", 3, 100),
        ("12.7.0", "voltage", None, 100),
        ("31.7.0", "current", 1, 40),
        ("1.7.0", "active_power", None, 4000),
        ("61.7.0", "active_power", 3, 4000),
        ("3.7.0", "reactive_power", None, 4000),
        ("16.7.0", "active_power", None, 4000),
        ("13.7.0", "power_factor", None, 1),
        ("33.7.0", "power_factor", 1, 1),
        ("14.7.0", "frequency", None, 1),
        ("1.8.0", None, None, 1),
        ("99.7.0", None, 4, 1),
    ],
)
def test_channels_say_what_they_measure(channel: str, quantity: str | None, phase: int | None, ratio: int) -> None:
    assert (quantity_of(channel), phase_of(channel)) == (quantity, phase)
    assert primary_ratio(channel, Decimal(40), Decimal(100)) == ratio


@given(
    st.lists(st.tuples(st.integers(-50, 300), st.integers(180, 280)), unique_by=lambda pair: pair[0]),
    st.integers(1, 240),
)
def test_the_shares_of_the_parts_make_up_that_of_the_whole(pairs: list[tuple[int, int]], cut: int) -> None:
    moments = [volts(minute, str(value)) for minute, value in sorted(pairs)]
    whole = figures(moments, 0, 241 * MINUTE, LIMITS)
    first, second = figures(moments, 0, cut * MINUTE, LIMITS), figures(moments, cut * MINUTE, 241 * MINUTE, LIMITS)
    assert first.count + second.count == whole.count
    known = (first.known * cut + second.known * (241 - cut)) / 241
    assert abs(known - whole.known) < Decimal("0.0003")
    assert 0 <= whole.known <= 1
    assert whole.outside is None or 0 <= whole.outside <= 1
