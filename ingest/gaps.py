"""What is missing of a meter: what the store is asked before its memory is, what the store says, what stays missing."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the store is asked of one meter; instants are aware.

    Which of these midnights it has registers for, which intervals of its profile begin in [since, until). `apart` is
    asked of meters without a profile: where, from `since` on, two readings are further apart than that.
    """

    midnights: tuple[datetime, ...]
    since: datetime
    until: datetime
    apart: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Held:
    """What the store answers. `since` is from when on anything is to be had of the meter, None while it never stood.

    `midnights`: those of the wanted ones at which an energy register is stored. `intervals`: starts of stored profile
    intervals. `silences`: from reading to reading, the first from its installation or, when it was never read before,
    from where the look began. `last`: the newest reading.
    """

    since: datetime | None
    midnights: Collection[datetime] = ()
    intervals: Collection[datetime] = ()
    silences: Sequence[tuple[datetime, datetime]] = ()
    last: datetime | None = None


@dataclass(frozen=True, slots=True, order=True)
class Gap:
    """What stays missing: the registers as of `begin`, or everything in [begin, end); and why nothing can fill it."""

    begin: datetime
    end: datetime
    what: str
    """month, day, profile or polls."""
    why: str
    """no_memory: the model keeps none that could fill it; too_old: fallen out of it; not_kept: asked, and not there;
    not_stored: the meter gave it twice and it is in quarantine."""


def joined(found: Sequence[Gap], looked: Wanted, known: Sequence[Gap]) -> list[Gap]:
    """What is missing after a look: all it found, and what was known of the time that it did not look at.

    What was known and reaches into the time looked at is cut there, and grown together with what was found behind the
    cut. A silence is found from its last reading on, however long ago that was: one that is not found is over.
    """
    gaps = {(gap.what, gap.begin): gap for gap in found}
    midnights = set(looked.midnights)
    for old in known:
        if old.begin == old.end:
            if old.begin not in midnights:
                gaps.setdefault((old.what, old.begin), old)
        elif old.end <= looked.since:
            gaps.setdefault((old.what, old.begin), old)
        elif old.begin < looked.since:
            behind = gaps.get((old.what, looked.since))
            if behind is not None and behind.why == old.why:
                del gaps[old.what, looked.since]
                gaps[old.what, old.begin] = replace(behind, begin=old.begin)
            elif old.what != "polls":
                gaps[old.what, old.begin] = replace(old, end=looked.since)
    return sorted(gaps.values())
