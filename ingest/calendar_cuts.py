"""Calendar cuts in a point's own time zone: half-hours, hours, days, months, years.

Days of 23, 25 or 50 half-hours are valid days. Hours and half-hours are cut on the local clock, so that they begin at
a full local hour also where the offset is not a whole number of hours.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from datetime import MAXYEAR, MINYEAR, UTC, date, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from zoneinfo import ZoneInfo

from ingest.errors import Malformed


class Step(StrEnum):
    """How an interval is cut."""

    HALF_HOUR = "half-hour"
    HOUR = "hour"
    DAY = "day"
    MONTH = "month"
    YEAR = "year"


SPANS = {
    Step.HALF_HOUR: timedelta(minutes=30),
    Step.HOUR: timedelta(hours=1),
    Step.DAY: timedelta(days=1),
    Step.MONTH: timedelta(days=31),
    Step.YEAR: timedelta(days=366),
}
"""The longest each step can ordinarily be; a day of 25 hours is not longer in meaning."""


def cuts(begin: datetime, end: datetime, step: Step, zone: ZoneInfo, *, most: int = 20_000) -> list[datetime]:
    """All calendar cuts inside [begin, end], with begin and end themselves, as UTC instants in ascending order.

    Raises Malformed when `begin` is not before `end`, or when there would be more than `most` intervals.
    """
    if begin >= end:
        raise Malformed(f"from {begin.isoformat()} is not before to {end.isoformat()}; exchange the two")
    if (end - begin) / SPANS[step] > most:
        raise Malformed(
            f"step {step.value!r} cuts {begin.isoformat()}..{end.isoformat()} into more than {most} intervals; "
            "ask for a shorter range or a longer step"
        )
    begin, end = begin.astimezone(UTC), end.astimezone(UTC)
    if step in (Step.HALF_HOUR, Step.HOUR) and _whole_offsets(begin, end, step, zone):
        return _evenly(begin, end, step, zone)
    first, last = begin.astimezone(zone).year, end.astimezone(zone).year
    if step is Step.DAY and first > MINYEAR and last < MAXYEAR:
        days = [day for year in range(first, last + 1) for day in _days(year, zone)]
        return [begin, *days[bisect_right(days, begin) : bisect_left(days, end)], end]
    found = [begin]
    cut = _first_after(begin, step, zone)
    while cut < end:
        found.append(cut)
        cut = _first_after(cut, step, zone)
    return [*found, end]


def _whole_offsets(begin: datetime, end: datetime, step: Step, zone: ZoneInfo) -> bool:
    """Whether every offset of the zone in the range is a whole number of steps: then the clock's cuts are evenly apart.

    No zone ever changed its offset twice within a day.
    """
    days = (end - begin) // timedelta(days=1) + 2
    offsets = {(begin + n * timedelta(days=1)).astimezone(zone).utcoffset() for n in range(days)}
    return all(offset is not None and not offset % SPANS[step] for offset in offsets)


def _evenly(begin: datetime, end: datetime, step: Step, zone: ZoneInfo) -> list[datetime]:
    length = SPANS[step]
    first = _first_after(begin, step, zone)
    count = max(0, -((first - end) // length))
    return [begin, *[first + n * length for n in range(count)], end]


def start_of(instant: datetime, step: Step, zone: ZoneInfo) -> datetime:
    """The calendar cut at or before an instant, UTC."""
    local = instant.astimezone(zone)
    if step in (Step.HALF_HOUR, Step.HOUR):
        past = timedelta(minutes=local.minute % 30 if step is Step.HALF_HOUR else local.minute)
        floor = past + timedelta(seconds=local.second, microseconds=local.microsecond)
        return instant.astimezone(UTC) - floor
    return _midnight(local.year, 1 if step is Step.YEAR else local.month, local.day if step is Step.DAY else 1, zone)


def shifted(instant: datetime, step: Step, count: int, zone: ZoneInfo) -> datetime:
    """The start of the day, month or year `count` steps away from the one that holds the instant (negative: back)."""
    local = instant.astimezone(zone)
    if step is Step.DAY:
        day = datetime(local.year, local.month, local.day, tzinfo=UTC) + timedelta(days=count)
        return _midnight(day.year, day.month, day.day, zone)
    months = (local.year * 12 + local.month - 1 + count) if step is Step.MONTH else (local.year + count) * 12
    return _midnight(months // 12, months % 12 + 1, 1, zone)


def _first_after(instant: datetime, step: Step, zone: ZoneInfo) -> datetime:
    if step in (Step.HALF_HOUR, Step.HOUR):
        return start_of(instant, step, zone) + SPANS[step]
    return shifted(instant, step, 1, zone)


@lru_cache(maxsize=64)
def _days(year: int, zone: ZoneInfo) -> tuple[datetime, ...]:
    """The first instants of all days of a local year: every page by days asks for them. No day lasts no time at all."""
    first, count = date(year, 1, 1), (date(year + 1, 1, 1) - date(year, 1, 1)).days
    local = [first + timedelta(days=n) for n in range(count)]
    return tuple(dict.fromkeys(_midnight(day.year, day.month, day.day, zone) for day in local))


def _midnight(year: int, month: int, day: int, zone: ZoneInfo) -> datetime:
    """The first instant of a local day, UTC; where the clock skipped midnight, the instant it skipped to (fold 0)."""
    return datetime(year, month, day, tzinfo=zone).astimezone(UTC)
