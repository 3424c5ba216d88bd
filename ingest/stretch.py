"""What one meter says of one channel while it stood at a point: its counters, their readings and the ratio K."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from ingest.counting import Boundary
from ingest.judge import Limits
from ingest.load_profile import Slot
from ingest.model import Source


@dataclass(frozen=True, slots=True)
class Counter:
    """One register in one installation, as far as the cuts need it.

    `boundaries` are the good readings around every cut and break, taken while the meter stood here (also under
    another ratio); `breaks` the instants, by judged series and in order, at which the counting may be broken; `opening`
    and `closing` what was declared when the meter was put up and taken down; `slots` the load profile.
    """

    channel: str
    limits: Limits
    boundaries: Sequence[Boundary] = ()
    breaks: Mapping[Source, Sequence[int]] = field(default_factory=dict)
    opening: int | None = None
    closing: int | None = None
    slots: tuple[Slot, ...] = ()
    unsteady: bool = False
    """The counting breaks so often that not even the breaks were all looked up."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """One installation as far as one channel matters: [since, until), K, and the counters that sum to the channel.

    A total without a register of its own has its zones in `counters`. A total with one has its zones in `zones`: they
    stand in where the register itself says nothing, or less than half of what they say.
    """

    meter: str
    since: datetime
    until: datetime | None
    ratio: Decimal
    counters: tuple[Counter, ...]
    zones: tuple[Counter, ...] = ()
