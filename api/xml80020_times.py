"""The rows of an 80020 message as intervals of time, on the clock of its sender. Pure.

Days of 46 and 50 half-hours are days: an hour that the clock skipped has no rows, one that it repeats has two, told
apart by `summer` or, without it, by their order.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

from api.xml80020_reader import BadRow, Period

LONGEST = timedelta(hours=1)
_NONE = timedelta(0)


class Interval(NamedTuple):
    """Energy of [start, start + length), the ratio applied; None for a value that is not there."""

    point: str
    channel: str
    start: datetime
    length: timedelta
    energy: Decimal | None
    settled: bool


def intervals(day: date, periods: Iterable[Period], zone: ZoneInfo) -> Iterator[Interval | BadRow]:
    """Each row once, in its order. A row told twice with two values counts as it was told first; the other is bad."""
    known: dict[tuple[str, str, datetime], Interval] = {}
    for period in periods:
        one = _placed(day, period, zone, known)
        if isinstance(one, BadRow):
            yield one
            continue
        before = known.setdefault((one.point, one.channel, one.start), one)
        if before is one:
            yield one
        elif before != one:
            yield _bad(period, f"is there twice, with {_said(before)} and {_said(one)}; the first one counts")


def _placed(
    day: date, period: Period, zone: ZoneInfo, known: dict[tuple[str, str, datetime], Interval]
) -> Interval | BadRow:
    found = _instants(day, period.start, zone)
    if not found:
        return _bad(period, f"begins at an hour that the clock skipped on {day} in {zone.key}")
    start = found[0]
    if len(found) > 1:
        again = (period.point, period.channel, start) in known
        start = found[1] if period.summer is False or (period.summer is None and again) else found[0]
    lengths = [end - start for end in _instants(day, period.end, zone, skipped=True)]
    length = min((one for one in lengths if one > _NONE), default=_NONE)
    if not _NONE < length <= LONGEST:
        return _bad(period, "is no interval of at most an hour")
    return Interval(period.point, period.channel, start, length, period.energy, period.settled)


@lru_cache(maxsize=512)
def _instants(day: date, clock: timedelta, zone: ZoneInfo, *, skipped: bool = False) -> tuple[datetime, ...]:
    """When the clock showed this: once, twice, or never. An end that was skipped is the instant it was skipped at."""
    local = datetime(day.year, day.month, day.day) + clock  # noqa: DTZ001 - what a clock shows, before its zone
    both = {local.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1)}
    return tuple(sorted(at for at in both if skipped or at.astimezone(zone).replace(tzinfo=None) == local))


def _bad(period: Period, detail: str) -> BadRow:
    where = f"{period.point}/{period.channel} {_clock(period.start)}-{_clock(period.end)}"
    return BadRow(where, detail)


def _clock(time: timedelta) -> str:
    minutes = int(time.total_seconds()) // 60
    return f"{minutes // 60:02}{minutes % 60:02}"


def _said(one: Interval) -> str:
    return "nothing" if one.energy is None else str(one.energy)
