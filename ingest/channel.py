"""Channels (OBIS C.D.E), their base units, and exact conversion to the stored whole millionths."""

from __future__ import annotations

import re
from decimal import Decimal

MICRO = 1_000_000
"""Stored numbers are whole millionths of the base unit: 1 stands for 1 mWh."""

LARGEST_MICRO = 2**63 - 1


_CHANNEL = re.compile(r"\d{1,3}\.\d{1,3}\.\d{1,3}", re.ASCII)
# Quantities (C) by IEC 62056-61: 1 A+, 2 A−, 3 R+, 4 R−, 9/10 apparent, 15 |A+|+|A−|, 16 |A+|−|A−|.
_ENERGY_UNITS = {1: "kWh", 2: "kWh", 3: "kvarh", 4: "kvarh", 9: "kVAh", 10: "kVAh", 15: "kWh", 16: "kWh"}
_POWER_UNITS = {
    1: "W",
    2: "W",
    3: "var",
    4: "var",
    9: "VA",
    10: "VA",
    11: "A",
    12: "V",
    13: "1",
    14: "Hz",
    15: "W",
    16: "W",
}
_PHASE = 20
"""OBIS gives phase L1 the C values of the sum plus 20, L2 plus 40, L3 plus 60."""


def check_channel(channel: str) -> str:
    """Give back an OBIS C.D.E code, or raise ValueError naming it."""
    if not isinstance(channel, str) or not _CHANNEL.fullmatch(channel):
        raise ValueError(
            f"channel {channel!r} is not an OBIS code C.D.E; write for example '1.8.0' for active energy taken"
        )
    return channel


def is_counter(channel: str) -> bool:
    """True for a cumulative energy register (D = 8); False for a momentary value."""
    return channel.split(".")[1] == "8"


def unit_of(channel: str) -> str:
    """Base unit of a channel: kWh, kvarh, kVAh for counters; W, var, VA, V, A, Hz or 1 for momentary values.

    Raises ValueError for a channel whose quantity this service does not know.
    """
    quantity, kind, _ = (int(part) for part in check_channel(channel).split("."))
    units = _ENERGY_UNITS if kind == 8 else _POWER_UNITS if kind == 7 else {}
    unit = units.get(quantity % _PHASE if quantity > _PHASE else quantity)
    if unit is None:
        raise ValueError(f"channel {channel!r} has no known unit; known are energies C.8.E and momentary values C.7.0")
    return unit


def to_micro(value: Decimal) -> int:
    """A value in base units as whole millionths, rounded half to even; ValueError when it does not fit 64 bits."""
    micro = int((value * MICRO).to_integral_value())
    if not -LARGEST_MICRO <= micro <= LARGEST_MICRO:
        raise ValueError(f"value {value} is too large to be stored; the largest is {LARGEST_MICRO // MICRO}")
    return micro


def from_micro(micro: int) -> Decimal:
    """Whole millionths back to base units, without trailing zeros beyond the point and never in exponent form."""
    # Asked for every number there is: a whole number needs no trimming, and any other ends in digits behind the point.
    if micro % MICRO == 0:
        return Decimal(micro // MICRO)
    return Decimal(micro).scaleb(-6).normalize()
