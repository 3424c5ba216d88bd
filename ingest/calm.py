"""Where a counter stood at cuts beside which nothing is remarkable: read off the two readings there. Pure.

That is what nearly every cut of nearly every page is: one register of one meter, read by one machine, without breaks,
long silences or load profile. Its chain need not be linked (`ingest.chain`) to know what it says there.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from ingest.beside import Beside, beside
from ingest.counting import Boundary
from ingest.judge import Limits
from ingest.model import Source

_NEVER = (-(2**63), 2**63)
"""No instant is before or after these."""


class Run(NamedTuple):
    """What the register shows (millionths) at adjacent cuts from number `first` on, and where that is interpolated."""

    first: int
    shown: list[int]
    between: list[bool]


class Counted(Protocol):
    """What this needs of a counter (`ingest.consumption.Counter`)."""

    @property
    def limits(self) -> Limits: ...

    @property
    def boundaries(self) -> Sequence[Boundary]: ...

    @property
    def breaks(self) -> Mapping[Source, Sequence[int]]: ...

    @property
    def opening(self) -> int | None: ...

    @property
    def closing(self) -> int | None: ...

    @property
    def slots(self) -> Sequence[object]: ...

    @property
    def unsteady(self) -> bool: ...


def calm_runs(counter: Counted, since: int, until: int, cuts: Sequence[int], limit: int) -> list[Run]:
    """The runs of ascending cuts within [since, until], of two at least, that need no closer look.

    Of two readings at most `limit` apart, or equal ones, the cut between them is interpolated. None where anything
    about the counter as a whole is remarkable: then one cut may say something about others.
    """
    found = _machine(counter)
    if found is None or (found.others and not found.ascends()):
        return []
    # What was declared counts at the ends of the installation, in place of any reading there.
    low = _NEVER[0] if counter.opening is None else since + 1
    high = _NEVER[1] if counter.closing is None else until - 1
    first, last = bisect_left(cuts, since), bisect_right(cuts, until)
    inner = cuts if last - first == len(cuts) else cuts[first:last]
    runs = _runs(found.within(inner, low, high), inner, limit)
    modulus = counter.limits.modulus
    if modulus is not None and any(run.shown[-1] >= modulus for run in runs):
        return []
    return [Run(first + run.first, run.shown, run.between) for run in runs if len(run.shown) > 1]


def needed(counter: Counted, since: int, until: int, cuts: Sequence[int]) -> Sequence[Boundary]:
    """The boundaries that say all there is to say of ascending cuts: those at them, unless something is remarkable.

    At `since` and `until`, the ends of the installation, something may be declared.
    """
    found = _machine(counter)
    if found is None or not found.ascends():
        return counter.boundaries
    inner = {max(cuts[0], since), *cuts[bisect_left(cuts, since) : bisect_right(cuts, until)], min(cuts[-1], until)}
    there = found.within(sorted({since, *inner, until}), *_NEVER)
    known = {*there.ats, *(one.at for one in there.others)}
    return there if known >= inner else counter.boundaries


def _machine(counter: Counted) -> Beside | None:
    """The readings of the one machine that reads the counter; None where anything else is to be known of it."""
    if counter.unsteady or counter.slots or any(counter.breaks.values()):
        return None
    found = counter.boundaries if isinstance(counter.boundaries, Beside) else beside(counter.boundaries)
    return None if found is None or found.source.by_person or found.source is Source.ESTIMATE else found


def _runs(found: Beside, cuts: Sequence[int], limit: int) -> list[Run]:
    """The runs among the cuts, also those of a single one; none when the counter falls."""
    runs: list[Run] = []
    shown: list[int] = []
    between: list[bool] = []
    number = reached_at = reached = -1
    for cut, before_at, before, after_at, after in zip(
        found.ats, found.before_ats, found.before, found.after_ats, found.after, strict=True
    ):
        number += 1
        moved, length = after - before, after_at - before_at
        if moved < 0 or (before < reached and before_at >= reached_at):
            return []
        reached_at, reached = after_at, after
        if cuts[number] != cut or (moved and length > limit):
            if shown:
                runs.append(Run(number - len(shown), shown, between))
                shown, between = [], []
            number = bisect_left(cuts, cut, number)
            if moved and length > limit:
                continue
        if moved and length:
            shown.append(before + moved * (cut - before_at) // length)
            between.append(before_at < cut < after_at)
        else:
            shown.append(before)
            between.append(False)
    if shown:
        runs.append(Run(number + 1 - len(shown), shown, between))
    return runs
