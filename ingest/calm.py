"""Where a counter stood at each cut if nothing about it is remarkable: read off the two readings beside the cut. Pure.

That is what nearly every point of nearly every page is: one register of one meter, read by one machine, without breaks,
long silences, declared values or load profile. Its chain need not be linked (`ingest.chain`) to know what it says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from ingest.chain import Mark
from ingest.counting import Boundary
from ingest.judge import Limits
from ingest.model import Source


class Shows(NamedTuple):
    """What the register shows at a cut (millionths), and whether that was read or lies between two readings."""

    value: int
    interpolated: bool


class Counted(Protocol):
    """What this needs of a counter (`ingest.consumption.Counter`)."""

    @property
    def limits(self) -> Limits: ...

    @property
    def boundaries(self) -> tuple[Boundary, ...]: ...

    @property
    def breaks(self) -> Mapping[Source, Sequence[int]]: ...

    @property
    def opening(self) -> int | None: ...

    @property
    def closing(self) -> int | None: ...

    @property
    def slots(self) -> tuple[object, ...]: ...

    @property
    def unsteady(self) -> bool: ...


def shown_at(counter: Counted, cuts: Sequence[int], limit: int) -> list[Shows] | None:
    """What the register shows at ascending cuts; None where anything needs a closer look.

    Of two readings at most `limit` apart, or equal ones, the cut between them is interpolated.
    """
    if counter.unsteady or counter.slots or counter.opening is not None or counter.closing is not None:
        return None
    if any(counter.breaks.values()):
        return None
    beside = {boundary.at: boundary for boundary in counter.boundaries}
    found: list[Shows] = []
    source: Source | None = None
    reached: Mark | None = None
    for cut in cuts:
        boundary = beside.get(cut)
        if boundary is None or len(boundary.before) != 1 or len(boundary.after) != 1:
            return None
        before, after = boundary.before[0], boundary.after[0]
        if source is None:
            source = before.source
            if source.by_person or source is Source.ESTIMATE:
                return None
        if before.source is not source or after.source is not source or before.quality or after.quality:  # GOOD is 0
            return None
        moved, length = after.value - before.value, after.at - before.at
        if moved < 0 or (length > limit and moved):
            return None
        if reached is not None and before.at >= reached.at and before.value < reached.value:
            return None
        reached = after
        passed = moved * (cut - before.at) // length if length else 0
        found.append(Shows(before.value + passed, moved != 0 and before.at < cut < after.at))
    modulus = counter.limits.modulus
    return found if modulus is None or not found or found[-1].value < modulus else None
