"""What may happen to a meter itself in a simulation. Pure data; `meter.py` gives it its meaning.

Faults of the wire (silence, noise, late replies) are in `faults.py`: they change the frame, never the meter.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class Stall:
    """Between `begin` and `end` every value is the one at `begin`; afterwards the truth again."""

    begin: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Jump:
    """From `at` on the counter `channel` stands `by` kWh higher (lower when negative) than it counted."""

    at: datetime
    by: Decimal
    channel: str = "1.8.0"


@dataclass(frozen=True, slots=True)
class Spike:
    """Between `begin` and `end` the `channel` shows `value`, then what it would have shown without."""

    begin: datetime
    end: datetime
    value: Decimal
    channel: str = "1.8.0"


@dataclass(frozen=True, slots=True)
class Restart:
    """At `at` all counters start again from 0; the serial number stays."""

    at: datetime


@dataclass(frozen=True, slots=True)
class Exchange:
    """At `at` another meter hangs in the same place: another serial number, counters from `start` (kWh)."""

    at: datetime
    serial: str
    start: Mapping[str, Decimal] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Drift:
    """From `begin` on the meter's own clock gains `seconds_per_day` (loses, when negative)."""

    begin: datetime
    seconds_per_day: float


Event = Stall | Jump | Spike | Restart | Exchange | Drift
