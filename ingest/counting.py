"""Which readings of a register count where several sources gave some. Pure.

The readings of the best source count. Where that source is silent for longer than `Policy.silence`, those of the next
one fill the hole, and so on. An estimate counts only where no fact follows it (or goes before): as soon as one does,
the estimate is gone. All of this depends on the readings alone and not on the cuts asked for, so two requests that
share a boundary share its value.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import NamedTuple

from ingest.chain import Mark, judged_with
from ingest.healing import heal
from ingest.instants import span
from ingest.judge import Limits, coarseness
from ingest.model import Quality, Source


@dataclass(frozen=True, slots=True)
class Policy:
    """What a supplier decides.

    `gap_limit` is the longest distance of two readings between which a cut is interpolated; it is never less than one
    and a half of the interval asked for, so that monthly readings make monthly amounts. With `distribute` longer gaps
    are spread evenly too, as estimates. `order` ranks sources, the best first; a source that is silent for longer than
    `silence` leaves room to the next one.
    """

    gap_limit: timedelta = timedelta(days=2)
    distribute: bool = False
    order: tuple[tuple[Source, ...], ...] = (
        (Source.INSPECTION,),
        (Source.AUTOMATIC,),
        (Source.IMPORT,),
        (Source.OPERATOR, Source.CONSUMER),
        (Source.ESTIMATE,),
    )
    silence: timedelta = timedelta(days=2)

    def rank(self, source: Source) -> int:
        """0 for the source that counts first; sources left out of the order come last."""
        return next((n for n, group in enumerate(self.order) if source in group), len(self.order))


class Boundary(NamedTuple):
    """What is stored around one instant: by source, the nearest good readings at or before and at or after it."""

    at: int
    before: tuple[Mark, ...]
    after: tuple[Mark, ...]


class Counting(NamedTuple):
    """The readings that count around all boundaries, by time, and why others were left out before some of them."""

    marks: list[Mark]
    notes: dict[int, str]


class _Track(NamedTuple):
    """The readings of one rank, by time, with their instants as a column."""

    ats: list[int]
    marks: list[Mark]
    by_person: bool


def counting(
    boundaries: Iterable[Boundary],
    breaks: Mapping[Source, Sequence[int]],
    declared: Sequence[Mark],
    limits: Limits,
    policy: Policy,
) -> Counting:
    """The readings that count. `declared` are opening and closing readings: they always do."""
    boundaries = list(boundaries)
    ranks, estimates, notes = _tracks(boundaries, breaks, limits, policy)
    if len(ranks) + len(estimates) <= 1:
        chosen = {mark.at: mark for track in (*ranks, *estimates) for mark in track.marks}
    else:
        chosen = {}
        silence = span(policy.silence)
        for boundary in boundaries:
            for mark in _bracket(boundary.at, ranks, estimates, silence):
                chosen.setdefault(mark.at, mark)
    machines = [track for track in ranks if not track.by_person]
    for mark in declared:
        before, after = _nearest(mark.at, machines)
        chosen[mark.at] = _unrounded(mark, before, after)
    return Counting([chosen[at] for at in sorted(chosen)], notes)


def _tracks(
    boundaries: Sequence[Boundary], breaks: Mapping[Source, Sequence[int]], limits: Limits, policy: Policy
) -> tuple[list[_Track], list[_Track], dict[int, str]]:
    """Facts by rank and estimates, each healed within the series it was judged in."""
    by_source: dict[Source, dict[int, Mark]] = {}
    for _, before, after in boundaries:
        for mark in (*before, *after):
            by_source.setdefault(mark.source, {})[mark.at] = mark
    series: dict[Source, list[Mark]] = {}
    for source, found in by_source.items():
        series.setdefault(judged_with(source), []).extend(found.values())
    notes: dict[int, str] = {}
    ranked: dict[int, list[Mark]] = {}
    estimates: list[Mark] = []
    for source, marks in series.items():
        softened = limits.softened() if source.by_person else limits
        healed = heal(sorted(marks, key=_by_time), softened, breaks.get(source, ()))
        notes |= healed.notes
        for member in by_source:
            if judged_with(member) is source:
                own = [mark for mark in healed.marks if mark.source is member]
                (estimates if member is Source.ESTIMATE else ranked.setdefault(policy.rank(member), [])).extend(own)
    facts = [_track(ranked[rank]) for rank in sorted(ranked)]
    return facts, [_track(estimates)] if estimates else [], notes


def _by_time(mark: Mark) -> tuple[int, Source]:
    return mark.at, mark.source


def _track(marks: list[Mark]) -> _Track:
    marks.sort()
    return _Track([mark.at for mark in marks], marks, all(mark.source.by_person for mark in marks))


def _bracket(at: int, ranks: Sequence[_Track], estimates: Sequence[_Track], silence: int) -> list[Mark]:
    """The counting readings next to an instant, on either side.

    Only machines, who give readings all the time, can leave no room to worse sources; a person's one reading fills
    none.
    """
    left: Mark | None = None
    right: Mark | None = None
    machine: tuple[Mark | None, Mark | None] = (None, None)
    for track in ranks:
        left, right = _closer(left, right, track, at)
        if not track.by_person:
            machine = _closer(*machine, track, at)
            if machine[0] and machine[1] and machine[1].at - machine[0].at <= silence:
                break
    if left is None or right is None:
        for track in estimates:
            left, right = _closer(left, right, track, at)
    return [_unrounded(mark, *machine) for mark in (left, right) if mark]


def _nearest(at: int, tracks: Sequence[_Track]) -> tuple[Mark | None, Mark | None]:
    found: tuple[Mark | None, Mark | None] = (None, None)
    for track in tracks:
        found = _closer(*found, track, at)
    return found


def _closer(left: Mark | None, right: Mark | None, track: _Track, at: int) -> tuple[Mark | None, Mark | None]:
    """The same two readings, or nearer ones of another track."""
    ats, marks = track.ats, track.marks
    after = bisect_left(ats, at)
    before = bisect_right(ats, at) - 1
    if before >= 0 and (left is None or ats[before] > left.at):
        left = marks[before]
    if after < len(ats) and (right is None or ats[after] < right.at):
        right = marks[after]
    return left, right


def _unrounded(mark: Mark, before: Mark | None, after: Mark | None) -> Mark:
    """People leave out or round up decimals: put their value between the machines' ones that stand beside it."""
    if not mark.source.by_person:
        return mark
    unit = coarseness(mark.value)
    if before and before.at <= mark.at and 0 < before.value - mark.value < unit:
        return mark._replace(value=before.value)
    if after and after.at >= mark.at and 0 < mark.value - after.value < unit:
        return mark._replace(value=after.value)
    return mark


def good(at: int, value: int, source: Source) -> Mark:
    """A mark that stands beyond doubt."""
    return Mark(at, value, Quality.GOOD, source)
