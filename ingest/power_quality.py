"""Momentary values over an interval: the least, the greatest, the share of time known and that outside of limits. Pure.

GOST 32144-2013 and EN 50160 hold averages of 10 minutes over a week against ±10 % of the nominal voltage. Meters that
are asked give single moments: a moment stands for the time until the next one, and never for longer than `LONGEST`. So
the figures show where to look; a verdict by the standard takes an instrument made for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import ROUND_DOWN, Decimal
from typing import NamedTuple

TOLERANCE = Decimal("0.10")
"""Of the nominal voltage, to either side: GOST 32144-2013, 4.2.2; EN 50160, 4.2.2."""

LONGEST = timedelta(minutes=45)
_PERIODS = 1.5
_SHARE = Decimal("0.0001")


_QUANTITIES = {
    **dict.fromkeys((1, 2), "active_power"),
    **dict.fromkeys((3, 4), "reactive_power"),
    **dict.fromkeys((9, 10), "apparent_power"),
    11: "current",
    12: "voltage",
    13: "power_factor",
    14: "frequency",
    **dict.fromkeys((15, 16), "active_power"),
}
_PHASE = 20
"""OBIS gives phase L1 the C values of the sum plus 20, L2 plus 40, L3 plus 60."""


def quantity_of(channel: str) -> str | None:
    """What a momentary channel C.7.E measures; None for something else."""
    quantity, kind, _ = (int(part) for part in channel.split("."))
    return _QUANTITIES.get((quantity - 1) % _PHASE + 1) if kind == 7 and quantity <= 4 * _PHASE else None


def phase_of(channel: str) -> int | None:
    """The phase of a momentary channel, 1 to 3; None for that of all phases."""
    return (int(channel.split(".")[0]) - 1) // _PHASE or None


def primary_ratio(channel: str, ct: Decimal, vt: Decimal) -> Decimal:
    """What a momentary value is multiplied by to be that of the supply, where the meter stands behind transformers."""
    quantity = quantity_of(channel) or ""
    if quantity.endswith("_power"):
        return ct * vt
    return {"current": ct, "voltage": vt}.get(quantity, Decimal(1))


class Moment(NamedTuple):
    """A value (millionths) at an instant (microseconds since 1970), and how long it may stand for what follows."""

    at: int
    until: int
    value: int


class Limits(NamedTuple):
    """What is still within: millionths, both ends included."""

    low: int
    high: int


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one channel over one interval. `known` and `outside` are shares of its time, 0 to 1.

    `minimum` and `maximum` are moments within it, None where there was none; `outside` is a share of the time that is
    known, None without limits or without knowledge.
    """

    minimum: Moment | None
    maximum: Moment | None
    count: int
    known: Decimal
    outside: Decimal | None


def hold(period: timedelta) -> timedelta:
    """How long a moment stands at most, for a meter asked this often: one that comes late still finds it there."""
    return min(LONGEST, period * _PERIODS)


def limits_of(nominal: Decimal) -> Limits:
    """The limits around a nominal voltage in volts."""
    slack = nominal * TOLERANCE
    return Limits(int((nominal - slack) * 1_000_000), int((nominal + slack) * 1_000_000))


def figures(moments: Sequence[Moment], begin: int, end: int, limits: Limits | None) -> Figures:
    """The figures of [begin, end). `moments` in the order of time; those before `begin` may stand into it."""
    known = outside = 0
    inside = [moment for moment in moments if begin <= moment.at < end]
    for number, moment in enumerate(moments):
        following = moments[number + 1].at if number + 1 < len(moments) else end
        lasted = min(moment.until, following, end) - max(moment.at, begin)
        if lasted > 0:
            known += lasted
            if limits is not None and not limits.low <= moment.value <= limits.high:
                outside += lasted
    return Figures(
        min(inside, key=lambda moment: moment.value, default=None),
        max(inside, key=lambda moment: moment.value, default=None),
        len(inside),
        _share(known, end - begin),
        None if limits is None or not known else _share(outside, known),
    )


def _share(part: int, whole: int) -> Decimal:
    """Four digits, and never one that claims more than there is."""
    return (Decimal(part) / whole).quantize(_SHARE, ROUND_DOWN)
