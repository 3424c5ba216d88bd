"""What only shows from further off than the judge looks: detours and stuck runs in one series of good readings. Pure.

A series is cut into segments wherever a raw step fell or was too fast. A *detour* is a segment (or several) after which
the counter is back near where it had been: zeros for a day, the values of another meter. It is left out. A *stuck run*
repeats one value and ends in a jump that is too fast from its last repetition but possible from its first: only the
first is kept. As in the judge, the cheapest story is taken, here over segments: an unexplained step costs more than any
detour, and of two detours that exclude each other the shorter one is left out.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from datetime import timedelta
from typing import NamedTuple

from ingest.chain import Mark
from ingest.instants import span
from ingest.judge import Limits, advance

LONGEST_DETOUR = span(timedelta(days=92))
"""After a quarter of a year nobody can tell a return from a coincidence."""

_BREAK = 1.0
_STUCK = 0.5
_MOST_SEGMENTS = 32
"""A detour consists of at most so many segments less one."""


class Healed(NamedTuple):
    """The readings of a series that are left, and by instant why those before it were left out."""

    marks: list[Mark]
    notes: dict[int, str]


class _Link(NamedTuple):
    """How one segment is reached from an earlier one: the cost of it, and where that earlier one then ends."""

    cost: float
    end: int
    note: str | None


def heal(marks: Sequence[Mark], limits: Limits, breaks: Sequence[int]) -> Healed:
    """Leave out the detours and stuck runs of one series, sorted by time.

    `breaks` are the instants, in order, of readings whose raw step fell or was too fast: without one there is nothing
    to heal. Limits of people forgive a fall by what they round off, and the value before it then stands.
    """
    if not breaks or len(marks) < 2:
        return Healed(list(marks), {})
    lifted, starts = _segments(marks, limits, breaks)
    if len(starts) == 1:
        return Healed(lifted, {})
    return _cheapest(lifted, starts, limits)


def _segments(marks: Sequence[Mark], limits: Limits, breaks: Sequence[int]) -> tuple[list[Mark], list[int]]:
    """The marks, rounded falls taken out of them, and the numbers of those a new segment begins with."""
    kept, starts = [marks[0]], [0]
    for mark in marks[1:]:
        before = kept[-1]
        fell = mark.value < before.value
        if fell or bisect_right(breaks, mark.at) > bisect_right(breaks, before.at):
            if fell and advance(limits, mark.at - before.at, before.value, mark.value) == 0:
                mark = mark._replace(value=before.value)
            else:
                starts.append(len(kept))
        kept.append(mark)
    return kept, starts


def _cheapest(marks: list[Mark], starts: list[int], limits: Limits) -> Healed:
    ends = [*starts[1:], len(marks)]
    best: list[tuple[float, int, _Link]] = [(0.0, -1, _Link(0.0, 0, None))]
    for number in range(1, len(starts)):
        options = []
        for earlier in range(max(0, number - _MOST_SEGMENTS), number):
            link = _link(marks, starts, ends, earlier, number, limits)
            if link is not None:
                options.append((best[earlier][0] + link.cost, earlier, link))
        best.append(min(options, key=lambda option: (option[0], -option[1])))
    return _told(marks, starts, ends, best)


def _link(
    marks: Sequence[Mark], starts: Sequence[int], ends: Sequence[int], earlier: int, number: int, limits: Limits
) -> _Link | None:
    last, first, end = marks[ends[earlier] - 1], marks[starts[number]], ends[earlier]
    if earlier == number - 1:
        if advance(limits, first.at - last.at, last.value, first.value) is not None:
            return _Link(0.0, end, None)
        run = _stuck_from(marks, starts[earlier], end, first.at - LONGEST_DETOUR)
        may_be_stuck = not limits.coarse and run < end - 1 and last.value < first.value
        if may_be_stuck and advance(limits, first.at - marks[run].at, last.value, first.value) is not None:
            return _Link(_STUCK, run + 1, "stuck")
        return _Link(_BREAK, end, None)
    net = advance(limits, first.at - last.at, last.value, first.value)
    back = abs(first.value - marks[starts[number] - 1].value)
    if net is None or 2 * net > back or first.at - last.at > LONGEST_DETOUR:
        return None
    return _Link((first.at - last.at) / LONGEST_DETOUR, end, "detour")


def _stuck_from(marks: Sequence[Mark], start: int, end: int, oldest: int) -> int:
    """The number of the first of the equal readings a segment ends with, not before an instant."""
    run = end - 1
    while run > start and marks[run - 1].value == marks[run].value and marks[run - 1].at >= oldest:
        run -= 1
    return run


def _told(
    marks: Sequence[Mark], starts: Sequence[int], ends: Sequence[int], best: Sequence[tuple[float, int, _Link]]
) -> Healed:
    pieces, notes = [], {}
    number, end = len(starts) - 1, ends[-1]
    while number >= 0:
        pieces.append(marks[starts[number] : end])
        _, earlier, link = best[number]
        if link.note is not None:
            notes[marks[starts[number]].at] = link.note
        number, end = earlier, link.end
    return Healed([mark for piece in reversed(pieces) for mark in piece], notes)
