"""What can be asked of a meter's memory: registers as of 00:00 of a day or month, and its load profile. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum


class Kind(StrEnum):
    """Which archive; in the order in which gaps are filled."""

    MONTH = "month"
    """Registers as of 00:00 of the 1st."""
    DAY = "day"
    """Registers as of 00:00 of a day."""
    PROFILE = "profile"
    """Energies of intervals."""


@dataclass(frozen=True, slots=True)
class Recall:
    """A question to a meter's memory: the registers as of `begin`, or the intervals of [begin, end).

    Instants are aware. For registers `end` is `begin`, which is a midnight in the zone the meter's clock keeps.
    """

    kind: Kind
    begin: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Depth:
    """How far back a model's memory reaches: days and months of registers, length and number of intervals; 0: not."""

    days: int = 0
    months: int = 0
    intervals: int = 0
    length: timedelta = timedelta(minutes=30)
