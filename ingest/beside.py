"""The readings beside instants as columns: one good reading of one machine on either side of each. Pure.

That is what nearly every selection is, thousands of instants at a time; a `Boundary` of each is made only for whoever
looks at it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from math import inf
from operator import attrgetter, sub
from typing import overload

from ingest.chain import Mark
from ingest.counting import Boundary
from ingest.model import Quality, Source

_AT = attrgetter("at")


class Beside(Sequence[Boundary]):
    """Boundaries of ascending instants `ats`: of each the instant and value (µs, millionths) before and after it.

    All of these readings are good and of `source`. What is otherwise beside an instant is among the `others`.
    """

    __slots__ = ("_ascends", "after", "after_ats", "ats", "before", "before_ats", "others", "source")

    def __init__(
        self,
        source: Source,
        ats: Sequence[int],
        before_ats: Sequence[int],
        before: Sequence[int],
        after_ats: Sequence[int],
        after: Sequence[int],
        others: Sequence[Boundary] = (),
    ) -> None:
        self.source = source
        self.ats = ats
        self.before_ats = before_ats
        self.before = before
        self.after_ats = after_ats
        self.after = after
        self.others = others
        self._ascends: bool | None = None

    def __len__(self) -> int:
        return len(self.ats) + len(self.others)

    def __iter__(self) -> Iterator[Boundary]:
        """By their instants."""
        return iter(sorted((*self._made(), *self.others), key=_AT)) if self.others else self._made()

    def _made(self) -> Iterator[Boundary]:
        source, good = self.source, Quality.GOOD
        for at, before_at, before, after_at, after in zip(
            self.ats, self.before_ats, self.before, self.after_ats, self.after, strict=True
        ):
            yield Boundary(at, (Mark(before_at, before, good, source),), (Mark(after_at, after, good, source),))

    @overload
    def __getitem__(self, place: int) -> Boundary: ...

    @overload
    def __getitem__(self, place: slice) -> Sequence[Boundary]: ...

    def __getitem__(self, place: int | slice) -> Boundary | Sequence[Boundary]:
        return list(self)[place]

    def __eq__(self, other: object) -> bool:
        """Equal to any sequence of the same boundaries."""
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return repr(list(self))

    def one(self, at: int) -> Boundary | None:
        """What is beside one instant."""
        place = bisect_left(self.ats, at)
        if place == len(self.ats) or self.ats[place] != at:
            return next((one for one in self.others if one.at == at), None)
        before = Mark(self.before_ats[place], self.before[place], Quality.GOOD, self.source)
        return Boundary(at, (before,), (Mark(self.after_ats[place], self.after[place], Quality.GOOD, self.source),))

    def plus(self, boundaries: Iterable[Boundary]) -> Beside:
        """The same and a few more."""
        columns = (list(self.ats), list(self.before_ats), list(self.before), list(self.after_ats), list(self.after))
        others = list(self.others)
        for boundary in boundaries:
            row = _row(boundary)
            if row is None:
                others.append(boundary)
                continue
            place = bisect_left(columns[0], boundary.at)
            for column, fact in zip(columns, row, strict=True):
                column.insert(place, fact)
        return Beside(self.source, *columns, others=others)

    def widest(self) -> float:
        """The longest time between the readings on both sides of an instant, in µs; endless where there are others."""
        return inf if self.others else max(map(sub, self.after_ats, self.before_ats), default=inf)

    def ascends(self) -> bool:
        """Whether all readings are good, those of the others too, and none is below an earlier one."""
        if self._ascends is None:
            marks = [mark for boundary in self.others for side in (boundary.before, boundary.after) for mark in side]
            known = {*zip(self.before_ats, self.before, strict=True), *zip(self.after_ats, self.after, strict=True)}
            values = [value for _, value in sorted({*known, *((mark.at, mark.value) for mark in marks)})]
            self._ascends = values == sorted(values) and not any(mark.quality for mark in marks)  # GOOD is 0
        return self._ascends

    def within(self, instants: Sequence[int], low: int, high: int) -> Beside:
        """Those of the ascending instants whose readings lie from `low` to `high`."""
        if self.ats == instants and not self.others and low <= self.before_ats[0] and self.after_ats[-1] <= high:
            return self
        places: list[int] = []
        place, count = 0, len(self.ats)
        for at in instants:
            place = bisect_left(self.ats, at, place)
            if place == count:
                break
            if self.ats[place] == at and low <= self.before_ats[place] and self.after_ats[place] <= high:
                places.append(place)
        wanted = set(instants) if self.others else ()
        others = [
            one
            for one in self.others
            if one.at in wanted and all(low <= mark.at <= high for side in (one.before, one.after) for mark in side)
        ]
        return Beside(
            self.source,
            [self.ats[place] for place in places],
            [self.before_ats[place] for place in places],
            [self.before[place] for place in places],
            [self.after_ats[place] for place in places],
            [self.after[place] for place in places],
            others,
        )


def beside(boundaries: Iterable[Boundary]) -> Beside | None:
    """Boundaries as columns; None where readings of several sources or none at all stand there."""
    found = sorted({boundary.at: boundary for boundary in boundaries}.items())
    sources = {mark.source for _, (_, *sides) in found for side in sides for mark in side}
    if len(sources) != 1:
        return None
    rows: list[tuple[int, int, int, int, int]] = []
    others: list[Boundary] = []
    for _, boundary in found:
        row = _row(boundary)
        if row is None:
            others.append(boundary)
        else:
            rows.append(row)
    ats, before_ats, befores, after_ats, afters = map(list, zip(*rows, strict=True)) if rows else ([], [], [], [], [])
    return Beside(sources.pop(), ats, before_ats, befores, after_ats, afters, others)


def _row(boundary: Boundary) -> tuple[int, int, int, int, int] | None:
    """One good reading on either side, and when; None where anything else stands there."""
    at, before, after = boundary
    if len(before) == len(after) == 1 and not before[0].quality | after[0].quality:  # GOOD is 0
        return at, before[0].at, before[0].value, after[0].at, after[0].value
    return None
