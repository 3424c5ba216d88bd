"""A register's counting readings linked into one counter that never falls.

Each node of the chain knows how far the register has moved since the first one: through proven rollovers, and across
everything unexplained without guessing, because a step nobody can explain moves nothing. All numbers are whole
millionths and microseconds, so that sums are exact.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from ingest.judge import Limits, advance
from ingest.model import PEOPLE, Quality, Source


class Mark(NamedTuple):
    """A reading that may bound an amount: instant (µs), value (millionths), quality and source.

    The declared opening and closing readings of an installation are marks of source INSPECTION.
    """

    at: int
    value: int
    quality: Quality
    source: Source


class Step(NamedTuple):
    """What is remarkable about the step that leads to a node; a plain step has none of this.

    An unexplained step moves nothing and is not measured. `covered` is how much of it a load profile recorded, in
    microseconds; None when it counts as measured whole.
    """

    explained: bool = True
    quality: Quality = Quality.GOOD
    covered: int | None = None
    reasons: tuple[str, ...] = ()


PLAIN = Step()


@dataclass(slots=True)
class Chain:
    """Nodes as columns: the instant, how far the register has moved since the first node, and what it shows there.

    `steps` holds what is remarkable by the number of the node a step leads to. `loose` are the nodes whose place was
    computed and not read: an interval that ends there is estimated.
    """

    ats: list[int] = field(default_factory=list)
    moved: list[int] = field(default_factory=list)
    shown: list[int | None] = field(default_factory=list)
    steps: dict[int, Step] = field(default_factory=dict)
    loose: set[int] = field(default_factory=set)

    def add(
        self, at: int, moved: int, shown: int | None = None, *, step: Step | None = None, loose: bool = False
    ) -> None:
        """Put one more node behind the last."""
        if step is not None and step != PLAIN and self.ats:
            self.steps[len(self.ats)] = step
        if loose:
            self.loose.add(len(self.ats))
        self.ats.append(at)
        self.moved.append(moved)
        self.shown.append(shown)


def judged_with(source: Source) -> Source:
    """The name of the series a source is judged in: all people are judged together, every machine by itself."""
    return Source.INSPECTION if source in PEOPLE else source


def link(
    marks: Sequence[Mark],
    limits: Limits,
    breaks: Mapping[Source, Sequence[int]],
    notes: Mapping[int, str],
    declared: Collection[int],
) -> Chain:
    """The chain of marks sorted by time, no two at one instant.

    `breaks` are the instants, by series and in order, of readings whose step from their raw predecessor fell or was too
    fast. Between two readings of one series without such an instant every single step was possible, so the whole is,
    whatever the limits say of its average. `declared` marks were never judged. `notes` say what was left out before a
    mark.
    """
    chain = Chain()
    if not marks:
        return chain
    calm = not (declared or notes or any(breaks.values()))
    softened = limits.softened()
    before = marks[0]
    moved = 0
    chain.add(before.at, 0, before.value)
    for mark in marks[1:]:
        if calm and mark.source is before.source and mark.value >= before.value and not mark.quality | before.quality:
            moved += mark.value - before.value
            chain.ats.append(mark.at)
            chain.moved.append(moved)
            chain.shown.append(mark.value)
            before = mark
            continue
        series = judged_with(mark.source)
        together = judged_with(before.source) is series and before.at not in declared and mark.at not in declared
        step: int | None = mark.value - before.value
        if step < 0 or not together or _any_between(breaks.get(series, ()), before.at, mark.at):  # type: ignore[operator]
            by_person = series is Source.INSPECTION or judged_with(before.source) is Source.INSPECTION
            step = advance(softened if by_person else limits, mark.at - before.at, before.value, mark.value)
        moved += step or 0
        chain.add(mark.at, moved, mark.value, step=_remarks(before, mark, step, notes))
        before = mark
    return chain


def _remarks(before: Mark, mark: Mark, step: int | None, notes: Mapping[int, str]) -> Step:
    quality = max(before.quality, mark.quality)
    note = notes.get(mark.at)
    if step is not None and quality is Quality.GOOD and note is None and mark.value >= before.value:
        return PLAIN
    reasons = [] if note is None else [note]
    if step is None:
        reasons.append("unexplained_fall" if mark.value < before.value else "unexplained_jump")
        quality = max(quality, Quality.SUSPECT)
    elif step > 0 and mark.value < before.value:
        reasons.append("rollover")
    return Step(step is not None, quality, None, tuple(reasons))


def _any_between(instants: Sequence[int], after: int, until: int) -> bool:
    """Whether one of the ordered instants lies in (after, until]."""
    return bool(instants) and bisect_right(instants, until) > bisect_right(instants, after)
