"""When a meter is due: aligned to the clock on the wall of its point, a little apart from its neighbours. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from hashlib import blake2b
from zoneinfo import ZoneInfo

SPREAD = timedelta(seconds=60)
"""How far after the aligned instant a line's meters are spread by default."""

_EPOCH = datetime(2001, 1, 1, tzinfo=UTC)
"""A Monday: weeks align to it on the wall of any zone."""

CLOCK_CHANGE = timedelta(minutes=30)
"""Clocks are changed by whole multiples of this: a period that divides it stays aligned whatever happens."""

_NOTHING = timedelta(0)
_QUARTER = timedelta(minutes=15)
"""Clocks are changed at whole quarters of an hour of UTC, everywhere."""


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
    since = after - offset - _EPOCH
    shift = _shift(zone, since // _QUARTER)
    wall = since + shift
    due = since + period - wall % period
    later = _shift(zone, due // _QUARTER)
    if later != shift:
        change = later - shift
        if change % period and due - change > since:
            due -= change
    return _EPOCH + due + offset


@lru_cache(maxsize=65536)
def _shift(zone: str, quarter: int) -> timedelta:
    """The zone's offset from UTC during a quarter of an hour: thousands of meters ask for the same ones."""
    return (_EPOCH + quarter * _QUARTER).astimezone(ZoneInfo(zone)).utcoffset() or _NOTHING
