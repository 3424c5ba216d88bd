"""Consumption once more, deliberately naive: event by event over a list, in fractions. Imports nothing of ours.

Given the readings that are known to be true, in order, it walks through them and splits every step among the intervals
it touches. It knows neither the judge nor the chain nor the cuts of the product.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from math import floor
from typing import NamedTuple
from zoneinfo import ZoneInfo

Event = tuple[datetime, int]
"""(instant, the register in millionths)"""

SECOND = timedelta(seconds=1)


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


class Known(NamedTuple):
    """One stay of a meter, [since, until), its K, and everything known of its counter, in order and without wraps."""

    since: datetime
    until: datetime | None
    ratio: Decimal
    events: Sequence[Event]


class Sum(NamedTuple):
    """Millionths over an interval, None when nothing is known; how much of it is measured; whether any is estimated."""

    amount: Fraction | None
    measured: timedelta
    estimated: bool


def over_stays(stays: Sequence[Known], borders: Sequence[datetime], longest: timedelta) -> list[Sum]:
    """What was consumed between adjacent borders, by stays: up to the last reading before a silence, and after it."""
    return [_over(stays, begin, end, longest) for begin, end in pairwise(borders)]


def _over(stays: Sequence[Known], begin: datetime, end: datetime, longest: timedelta) -> Sum:
    total, measured, estimated, known = Fraction(0), timedelta(0), False, False
    for stay in stays:
        first, last = max(begin, stay.since), end if stay.until is None else min(end, stay.until)
        if first >= last:
            continue
        opens, closes = _ends(stay.events, first, longest)[1], _ends(stay.events, last, longest)[0]
        if opens is None or closes is None or opens[0] >= closes[0]:
            continue
        total += (closes[1] - opens[1]) * Fraction(stay.ratio)
        measured += closes[0] - opens[0]
        estimated |= opens[2] or closes[2]
        known = True
    return Sum(total if known else None, measured, estimated)


End = tuple[datetime, int, bool]
"""(instant, the register there, whether it is interpolated)"""


def _ends(events: Sequence[Event], border: datetime, longest: timedelta) -> tuple[End | None, End | None]:
    """Where an interval that ends at the border really ends, and where one that begins there really begins."""
    before = [event for event in events if event[0] <= border]
    after = [event for event in events if event[0] >= border]
    if before and before[-1][0] == border:
        return (*before[-1], False), (*before[-1], False)
    if before and after:
        (t0, v0), (t1, v1) = before[-1], after[0]
        if t1 - t0 <= longest or v0 == v1:
            here = (border, floor(v0 + (v1 - v0) * Fraction((border - t0) // SECOND, (t1 - t0) // SECOND)), v0 != v1)
            return here, here
    return (*before[-1], False) if before else None, (*after[0], False) if after else None


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
