"""Consumption once more, deliberately naive: event by event over a list, in fractions. Imports nothing of ours.

Given the readings that are known to be true, in order, it walks through them and splits every step among the intervals
it touches. It knows neither the judge nor the chain nor the cuts of the product.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from itertools import pairwise
from math import floor
from zoneinfo import ZoneInfo

Event = tuple[datetime, int]
"""(instant, the register in millionths)"""


def consumed(events: Sequence[Event], borders: Sequence[datetime], longest: timedelta) -> list[int | None]:
    """Millionths between adjacent borders; None where a border lies outside of the readings or in a longer silence."""
    shown = [_at(events, border, longest) for border in borders]
    return [None if a is None or b is None else b - a for a, b in pairwise(shown)]


def _at(events: Sequence[Event], border: datetime, longest: timedelta) -> int | None:
    previous: Event | None = None
    for instant, value in _from(events, border - longest):
        if instant == border:
            return value
        if instant > border:
            if previous is None or instant - previous[0] > longest:
                return None
            share = Fraction((border - previous[0]) // timedelta(microseconds=1)) / (
                (instant - previous[0]) // timedelta(microseconds=1)
            )
            return floor(previous[1] + share * (value - previous[1]))
        previous = (instant, value)
    return None


def _from(events: Sequence[Event], begin: datetime) -> Iterator[Event]:
    """The events from the last one before an instant on."""
    low, high = 0, len(events)
    while high - low > 1:
        middle = (low + high) // 2
        if events[middle][0] < begin:
            low = middle
        else:
            high = middle
    yield from events[low:]


def borders(first: datetime, last: datetime, zone: ZoneInfo, unit: str) -> list[datetime]:
    """Every instant within [first, last] at which a new hour, day or month begins on the zone's wall clock."""
    found = []
    instant = first.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    while instant <= last:
        now, before = instant.astimezone(zone), (instant - timedelta(hours=1)).astimezone(zone)
        turned = {
            "hour": True,
            "day": (now.year, now.month, now.day) != (before.year, before.month, before.day),
            "month": (now.year, now.month) != (before.year, before.month),
        }
        if instant >= first and turned[unit]:
            found.append(instant)
        instant += timedelta(hours=1)
    return found
