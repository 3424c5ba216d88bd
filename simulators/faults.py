"""Faults of the wire: what goes wrong between a meter that counts well and the one who asks. Pure data and choice.

They are switched by a scenario (from `begin` to `end`) or by hand at run time, per unit. Faults of the meter itself
(stall, jump, restart, exchange, clock drift) are in `events.py`.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Kind(StrEnum):
    """How a unit misbehaves."""

    DEAD = "dead"  # never answers
    SLOW = "slow"  # answers after `seconds`
    LATE = "late"  # the same, meant longer than the asker's patience: the answer meets the next request
    BUSY = "busy"  # exception 06
    ILLEGAL_ADDRESS = "illegal-address"  # exception 02 to everything
    NOISE = "noise"  # a byte of the answer is damaged on the way (its CRC no longer fits)
    LEADING_NOISE = "leading-noise"  # stray bytes before a good answer
    WRONG_UNIT = "wrong-unit"  # the answer bears another unit's address
    HALF_FRAME = "half-frame"  # the answer breaks off in the middle
    SHORT = "short"  # one register fewer than asked, in a well-formed frame
    DISCONNECT = "disconnect"  # the connection is closed instead of an answer


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault, for every `every`-th request, from `begin` to `end` (None = open)."""

    kind: Kind
    seconds: float = 0.0
    every: int = 1
    begin: datetime | None = None
    end: datetime | None = None

    def __post_init__(self) -> None:
        if self.kind in (Kind.SLOW, Kind.LATE) and not 0 < self.seconds <= 3600:
            raise ValueError(f"{self.kind} takes seconds above 0 and at most 3600, not {self.seconds:g}")
        if self.every < 1:
            raise ValueError(f"{self.kind}: every {self.every} must be 1 or more")

    def holds(self, at: datetime) -> bool:
        """Whether the scenario has this fault at `at`."""
        return (self.begin is None or self.begin <= at) and (self.end is None or at < self.end)
