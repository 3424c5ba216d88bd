"""The selection of `storage/stretches.py` once more, over rows in memory and without SQL.

`dense` gives every reading that is not suspect as a boundary: the answers must be the same.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime

from ingest.chain import Mark, judged_with
from ingest.consumption import Boundary, Counter
from ingest.healing import LONGEST_DETOUR
from ingest.instants import micros
from ingest.judge import Limits, advance
from ingest.model import Quality, Source
from ingest.settle import Row

BEYOND = 32


class _Series:
    """The readings of one source that are not suspect, by time."""

    def __init__(self, rows: Iterable[Row], source: Source) -> None:
        found = sorted((r for r in rows if r.source is source and r.quality is not Quality.SUSPECT), key=lambda r: r.at)
        self.marks = [Mark(row.at, row.value, row.quality, row.source) for row in found]
        self.ats = [mark.at for mark in self.marks]

    def at_or_before(self, at: int) -> Mark | None:
        number = bisect_right(self.ats, at)
        return self.marks[number - 1] if number else None

    def at_or_after(self, at: int) -> Mark | None:
        number = bisect_left(self.ats, at)
        return self.marks[number] if number < len(self.ats) else None

    def run_start(self, last: Mark, oldest: int) -> Mark:
        number = bisect_left(self.ats, last.at)
        while number and self.marks[number - 1].value == last.value and self.marks[number - 1].at >= oldest:
            number -= 1
        return self.marks[number]


def counter(
    channel: str,
    limits: Limits,
    rows: Collection[Row],
    watched: Collection[tuple[Source, int]],
    cuts: Sequence[datetime],
    *,
    dense: bool = False,
    opening: int | None = None,
    closing: int | None = None,
) -> Counter:
    """One counter with what lies around its cuts and breaks."""
    sources = sorted({row.source for row in rows})
    series = {source: _Series(rows, source) for source in sources}
    instants = [micros(cut) for cut in cuts]
    breaks: dict[Source, list[int]] = {}
    for source in sources:
        for at in _breaks(
            sorted(at for owner, at in watched if owner is source), instants[0], instants[-1], dense=dense
        ):
            insort(breaks.setdefault(judged_with(source), []), at)
    around = [*instants, *(at - 1 for found in breaks.values() for at in found)]
    if dense:
        around += [mark.at for one in series.values() for mark in one.marks]
    boundaries = [_boundary(series.values(), at) for at in around]
    boundaries += _stuck(boundaries, series, limits)
    return Counter(channel, limits, tuple(boundaries), breaks, opening, closing)


def _breaks(instants: Sequence[int], first: int, last: int, *, dense: bool) -> Sequence[int]:
    if dense:
        return instants
    low, high = bisect_left(instants, first), bisect_right(instants, last)
    return instants[max(0, low - BEYOND) : high + BEYOND]


def _boundary(series: Iterable[_Series], at: int) -> Boundary:
    before = [mark for one in series if (mark := one.at_or_before(at))]
    after = [mark for one in series if (mark := one.at_or_after(at))]
    return Boundary(at, tuple(before), tuple(after))


def _stuck(boundaries: Iterable[Boundary], series: dict[Source, _Series], limits: Limits) -> list[Boundary]:
    found = []
    for boundary in boundaries:
        for before, after in ((b, a) for b in boundary.before for a in boundary.after if b.source is a.source):
            if before.value < after.value and advance(limits, after.at - before.at, before.value, after.value) is None:
                first = series[before.source].run_start(before, after.at - LONGEST_DETOUR)
                found.append(Boundary(first.at, (first,), (first,)))
    return found


def standing(rows: Iterable[Row], since: datetime, until: datetime | None) -> list[Row]:
    """The readings of the time a meter stood at the point."""
    low, high = micros(since), None if until is None else micros(until)
    return [row for row in rows if row.at >= low and (high is None or row.at <= high)]
