"""What the frozen words of the field refuse."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from ingest.model import (
    NO_REASON,
    Installation,
    IntervalReading,
    Quality,
    Reading,
    Reason,
    Register,
    RegisterSpec,
    Source,
    worst,
)

AT = datetime(2026, 1, 1, tzinfo=UTC)
NAIVE = datetime(2026, 1, 1)  # noqa: DTZ001 - what is to be refused


def make(**facts: Any) -> Reading:
    known: dict[str, Any] = {"meter": "m1", "channel": "1.8.0", "taken_at": AT, "value": Decimal(1)}
    return Reading(**{**known, **facts})


def test_a_reading_has_an_exact_value_at_an_aware_instant() -> None:
    assert make().source is Source.AUTOMATIC
    for value in (1.5, 1, True):
        with pytest.raises(TypeError, match="not Decimal"):
            make(value=value)
    for text in ("NaN", "Infinity", "-Infinity", "sNaN"):
        with pytest.raises(ValueError, match="not a finite number"):
            make(value=Decimal(text))
    for field in ("taken_at", "captured_at"):
        with pytest.raises(ValueError, match=f"{field} .* has no time zone"):
            make(**{field: NAIVE})


def test_a_counter_is_never_negative_and_a_power_may_be() -> None:
    with pytest.raises(ValueError, match="is negative"):
        make(value=Decimal("-0.001"))
    assert make(channel="1.7.0", value=Decimal(-5)).value == -5


def test_a_load_profile_interval_has_a_length_and_no_negative_energy() -> None:
    half_hour = timedelta(minutes=30)
    assert IntervalReading("m1", "1.8.0", AT, half_hour, Decimal(0)).energy == 0
    with pytest.raises(ValueError, match="length"):
        IntervalReading("m1", "1.8.0", AT, timedelta(0), Decimal(1))
    with pytest.raises(ValueError, match=r"start .* has no time zone"):
        IntervalReading("m1", "1.8.0", NAIVE, half_hour, Decimal(1))
    with pytest.raises(ValueError, match=r"energy -1 .* is negative"):
        IntervalReading("m1", "1.8.0", AT, half_hour, Decimal(-1))


@pytest.mark.parametrize(
    "facts", [{"digits": 0}, {"digits": 13}, {"decimals": 7}, {"decimals": -1}, {"max_rate": Decimal(0)}]
)
def test_a_register_has_possible_limits(facts: dict[str, Any]) -> None:
    [name] = facts
    with pytest.raises(ValueError, match=name):
        RegisterSpec("1.8.0", **facts)


def test_a_register_wraps_at_its_digits() -> None:
    assert Register(1, "m1", "1.8.0", 5, 2, None).modulus == 100_000
    assert Register(1, "m1", "1.8.0", None, 2, None).modulus is None
    assert Register(1, "m1", "3.8.0", None, 2, None).unit == "kvarh"


def test_the_ratio_is_current_times_voltage() -> None:
    standing = Installation("p", "m1", AT, ct=Decimal(20), vt=Decimal("1.5"))
    assert standing.ratio == 30
    with pytest.raises(ValueError, match="ct 0 is not positive"):
        Installation("p", "m1", AT, ct=Decimal(0))
    with pytest.raises(ValueError, match="is not after since"):
        Installation("p", "m1", AT, until=AT)


def test_the_quality_of_a_sum_is_the_worst_of_its_parts_and_missing_without_any() -> None:
    assert worst([Quality.GOOD, Quality.ESTIMATED, Quality.GOOD]) is Quality.ESTIMATED
    assert worst([]) is Quality.MISSING


def test_reasons_and_sources_have_stable_names() -> None:
    assert (Reason.STUCK | Reason.BELOW_PREVIOUS).labels == ["below_previous", "stuck"]
    assert NO_REASON.labels == []
    assert [source.label for source in Source if source.by_person] == ["inspection", "operator", "consumer"]
