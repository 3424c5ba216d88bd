"""Channels, units and exact conversion."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.channel import LARGEST_MICRO, check_channel, from_micro, is_counter, to_micro, unit_of


@pytest.mark.parametrize(
    ("channel", "unit", "counter"),
    [
        ("1.8.0", "kWh", True),
        ("2.8.4", "kWh", True),
        ("3.8.0", "kvarh", True),
        ("9.8.0", "kVAh", True),
        ("21.8.0", "kWh", True),
        ("63.8.0", "kvarh", True),
        ("1.7.0", "W", False),
        ("32.7.0", "V", False),
        ("71.7.0", "A", False),
        ("14.7.0", "Hz", False),
        ("13.7.0", "1", False),
    ],
)
def test_units(channel: str, unit: str, counter: bool) -> None:
    assert (unit_of(channel), is_counter(channel)) == (unit, counter)


@pytest.mark.parametrize("channel", ["", "1.8", "1.8.0.0", "a.8.0", "1.8.0 ", "１.8.0", "1-0:1.8.0"])
def test_a_wrong_channel_is_named(channel: str) -> None:
    with pytest.raises(ValueError, match="is not an OBIS code"):
        check_channel(channel)


@pytest.mark.parametrize("channel", ["99.8.0", "1.6.0", "0.0.0"])
def test_an_unknown_quantity_has_no_unit(channel: str) -> None:
    with pytest.raises(ValueError, match=r"unit|known"):
        unit_of(channel)


@given(st.integers(-LARGEST_MICRO, LARGEST_MICRO))
def test_millionths_go_there_and_back(micro: int) -> None:
    value = from_micro(micro)
    assert to_micro(value) == micro
    assert "E" not in str(value)


def test_values_are_rounded_half_to_even_beyond_a_millionth() -> None:
    assert [to_micro(Decimal(text)) for text in ("0.0000005", "0.0000015", "0.0000014")] == [0, 2, 1]


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="too large"):
        to_micro(Decimal(10) ** 13)
