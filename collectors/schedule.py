"""When a meter is due: aligned to the clock on the wall of its point, a little apart from its neighbours. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from hashlib import blake2b
from zoneinfo import ZoneInfo

SPREAD = timedelta(seconds=60)
"""How far after the aligned instant a line's meters are spread by default."""

_EPOCH = datetime(2001, 1, 1)  # noqa: DTZ001 - a Monday on the wall of any zone; weeks align to it
_NOTHING = timedelta(0)


def phase(serial: str, spread: timedelta, period: timedelta) -> timedelta:
    """How long after the aligned instant this meter is asked: stable, in [0, spread) and within half the period."""
    width = min(spread, period / 2)
    fraction = int.from_bytes(blake2b(serial.encode(), digest_size=4).digest(), "big") / 2**32
    return width * fraction


def next_due(after: datetime, period: timedelta, zone: str, offset: timedelta = _NOTHING) -> datetime:
    """The first instant after `after` that is due: a whole number of periods on the zone's wall clock, plus `offset`.

    A period that divides the day is due at the same times every day; when the clocks change, a period longer than the
    change moves with the wall clock and a shorter one just goes on.
    """
    tz = _zone(zone)
    local = (after - offset).astimezone(tz)
    wall = local.replace(tzinfo=None) - _EPOCH
    due = local.astimezone(UTC) + (period - wall % period)
    shift = (due.astimezone(tz).utcoffset() or _NOTHING) - (local.utcoffset() or _NOTHING)
    if shift % period and due - shift > local:
        due -= shift
    return due + offset


@cache
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)
