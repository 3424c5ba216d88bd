"""A recorded household as a load shape: energy counted up to any instant, in whole milliwatt hours.

Inside an hour the energy grows linearly; outside of the recorded range the nearest 364 days repeat, so weekdays
stay weekdays and seasons stay seasons (a year drifts by a day and a quarter). Everything is integer arithmetic.
"""

import csv
import gzip
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from importlib.resources import files
from itertools import accumulate

PERIOD_HOURS = 364 * 24
_HOUR_US = 3_600_000_000
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, eq=False)
class Shape:
    """Watt hours of consecutive hours from `start` (aware, its offset is the household's wall clock)."""

    start: datetime
    hours: tuple[int, ...]
    totals: tuple[int, ...]  # Wh before each hour; one longer than `hours`

    @classmethod
    def of(cls, start: datetime, hours: Iterable[int]) -> "Shape":
        """A shape of these watt hours; at least 364 days of them, or it could not be repeated."""
        kept = tuple(hours)
        if len(kept) < PERIOD_HOURS:
            raise ValueError(f"a load shape needs at least {PERIOD_HOURS} hours to repeat, this one has {len(kept)}")
        if start.tzinfo is None:
            raise ValueError(f"start {start} has no time zone; add its offset")
        return cls(start, kept, (0, *accumulate(kept)))

    def energy(self, at: datetime) -> int:
        """mWh counted from `start` to `at` (negative before `start`), rounded down."""
        hour, inside = divmod((at - self.start) // _MICROSECOND, _HOUR_US)
        index, turns = self._fold(hour)
        count = self.totals[index] * 1000 + self.hours[index] * 1000 * inside // _HOUR_US
        return count + turns * self._turn(turns) * 1000

    def power(self, at: datetime) -> int:
        """W drawn at `at`: the slope of `energy`, constant inside an hour."""
        index, _ = self._fold((at - self.start) // timedelta(hours=1))
        return self.hours[index]

    def only(self, wall_hours: frozenset[int]) -> "Shape":
        """The same household metered only during these hours of its own wall clock (a tariff zone)."""
        return _only(self, wall_hours)

    def _fold(self, hour: int) -> tuple[int, int]:
        """The recorded hour that stands for `hour`, and how many periods lie between."""
        beyond = hour if hour < 0 else max(-PERIOD_HOURS, hour - len(self.hours)) + PERIOD_HOURS
        turns = beyond // PERIOD_HOURS
        return hour - turns * PERIOD_HOURS, turns

    def _turn(self, turns: int) -> int:
        """Wh of the period that is repeated: the last one recorded, or the first one before the beginning."""
        if turns < 0:
            return self.totals[PERIOD_HOURS]
        return self.totals[-1] - self.totals[-1 - PERIOD_HOURS]


@lru_cache(maxsize=64)
def _only(shape: Shape, wall_hours: frozenset[int]) -> Shape:
    first = shape.start.hour
    return Shape.of(shape.start, (wh if (first + i) % 24 in wall_hours else 0 for i, wh in enumerate(shape.hours)))


@lru_cache(maxsize=8)
def load(name: str) -> Shape:
    """The shipped household `a` or `b`."""
    source = files("simulators.shapes") / f"household-{name}-hourly.csv.gz"
    if not source.is_file():
        raise ValueError(f"unknown load shape {name!r}; shipped are: a, b")
    with source.open("rb") as raw, gzip.open(raw, "rt", encoding="ascii", newline="") as text:
        rows = [(datetime.fromisoformat(row["start"]), watt_hours(row["value"])) for row in csv.DictReader(text)]
    start = rows[0][0]
    for i, (at, _) in enumerate(rows):
        if at != start + timedelta(hours=i):
            raise ValueError(
                f"{source}: row {i + 2} is {at}, expected {start + timedelta(hours=i)}: the hours must follow"
            )
    return Shape.of(start, (wh for _, wh in rows))


def watt_hours(kwh: str) -> int:
    """Whole Wh of a printed kWh, forgiving a binary float's tail: `0.028999999999999998` is 29."""
    exact = Decimal(kwh) * 1000
    whole = int(exact.to_integral_value())
    if whole < 0 or abs(exact - whole) > Decimal("1e-6"):
        raise ValueError(f"{kwh} kWh is not a whole, positive number of Wh")
    return whole
