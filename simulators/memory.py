"""What a meter remembers: its own clock's midnights, months and intervals as true instants. Pure.

A meter files its registers away when *its* clock shows midnight, so a clock that gains files too early.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal

from simulators.meter import Meter

Off = Sequence[tuple[datetime, datetime]]
"""True instants from and until when the meter had no power."""


class Display:
    """What a meter shows, worked out once for each instant: one poll asks many times within a moment."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self._at: datetime | None = None
        self._values: dict[str, Decimal] = {}

    def at(self, now: datetime) -> dict[str, Decimal]:
        """Every channel at this whole second."""
        now = now.replace(microsecond=0)
        if now != self._at:
            self._at, self._values = now, self._meter.values(now)
        return self._values


def true_instant(meter: Meter, wall: datetime) -> datetime:
    """When the meter's own clock showed this wall time (naive), by its drift."""
    shown = wall.replace(tzinfo=timezone(meter.offset))
    instant = shown
    for _ in range(4):
        instant -= meter.clock(instant) - shown
    return instant


def at_midnight(meter: Meter, day: date) -> dict[str, Decimal]:
    """The registers as the meter filed them at 00:00 of this day by its own clock."""
    return meter.values(true_instant(meter, datetime.combine(day, time())))


@dataclass(frozen=True, slots=True)
class Interval:
    """One record of a load profile: the wall time of its end, the energy by channel, whether it is whole."""

    end: datetime
    energy: dict[str, Decimal]
    whole: bool


class Profile:
    """A ring of intervals. Without power nothing is recorded, so neighbours in the ring may lie days apart."""

    def __init__(self, meter: Meter, minutes: int = 30, size: int = 4096, off: Off = ()) -> None:
        self.meter = meter
        self.minutes = minutes
        self.size = size
        self.off = tuple(off)
        self._length = timedelta(minutes=minutes)
        self._begin = _aligned(meter.clock(meter.since).replace(tzinfo=None), minutes)

    def count(self, now: datetime) -> int:
        """How many intervals have been recorded until `now` in all."""
        return self._recorded(int((self._wall(now) - self._begin) / self._length))

    def at(self, place: int, now: datetime) -> Interval | None:
        """What stands at this place of the ring now: the newest record written there, perhaps a lap old."""
        count = self.count(now)
        number = count - 1 - (count - 1 - place) % self.size
        return None if number < 0 or not count else self._interval(number)

    def last(self, now: datetime) -> tuple[int, Interval] | None:
        """The place of the newest record, and what it says."""
        count = self.count(now)
        return ((count - 1) % self.size, self._interval(count - 1)) if count else None

    def _interval(self, number: int) -> Interval:
        step = self._step_of(number)
        begin, end = self._begin + step * self._length, self._begin + (step + 1) * self._length
        since, until = true_instant(self.meter, begin), true_instant(self.meter, end)
        before, after = self.meter.values(since), self.meter.values(until)
        energy: dict[str, Decimal] = {
            channel: max(after[channel] - before[channel], Decimal(0))
            for channel in ("1.8.0", "2.8.0", "3.8.0", "4.8.0")
            if channel in after
        }
        return Interval(end, energy, whole=not self._touched(since, until))

    def _wall(self, now: datetime) -> datetime:
        return self.meter.clock(now).replace(tzinfo=None)

    def _recorded(self, steps: int) -> int:
        """How many of the first `steps` intervals were recorded: all but those spent wholly without power."""
        return max(0, steps - sum(max(0, min(last, steps) - first) for first, last in self._skipped()))

    def _step_of(self, number: int) -> int:
        """Which interval since the beginning became record `number`."""
        step = number
        for first, last in self._skipped():
            if step >= first:
                step += last - first
        return step

    def _skipped(self) -> list[tuple[int, int]]:
        """Spans of intervals spent wholly without power, oldest first."""
        spans = []
        for since, until in sorted(self.off):
            first = -((self._begin - self._wall(since)) // self._length)
            last = (self._wall(until) - self._begin) // self._length
            if last > first:
                spans.append((first, last))
        return spans

    def _touched(self, since: datetime, until: datetime) -> bool:
        return any(begin < until and since < end for begin, end in self.off)


def _aligned(wall: datetime, minutes: int) -> datetime:
    day = datetime.combine(wall.date(), time())
    length = timedelta(minutes=minutes)
    return day + -((day - wall) // length) * length
