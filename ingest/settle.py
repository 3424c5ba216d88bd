"""What a batch changes in one register's history: rows to insert, to supersede and to judge again. Pure.

A series is what is judged together: the readings of one automatic source, or those of all people, of one register.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

from ingest.channel import from_micro
from ingest.delivery import Fate, Verdict
from ingest.judge import INTRINSIC, OUTSIDE, REACH, Limits, Look, look_at, quality_of, troubled_steps
from ingest.model import NO_REASON, Quality, Reason, Source

Key = tuple[Source, int]
"""What is unique within one register: the source and the instant (µs)."""


class Row(NamedTuple):
    """A reading as stored: the instant in microseconds since 1970, the value in millionths."""

    source: Source
    at: int
    value: int
    quality: Quality
    reasons: Reason


class Fresh(NamedTuple):
    """A reading that just came: `place` is its number in the batch, `reasons` what is wrong with it by itself."""

    source: Source
    at: int
    value: int
    reasons: Reason
    place: int


class Settlement(NamedTuple):
    """What to write for one series, and the verdict for each fresh reading by its place in the batch."""

    inserted: list[Row]
    superseded: list[tuple[Row, Row]]
    """(before, after) for keys of people whose value changed; by the order of submission."""
    rejudged: list[tuple[Row, Row]]
    """(before, after) for stored readings whose judgement changed; the value never does."""
    watched: list[tuple[Source, int]]
    """Readings whose raw step falls or is too fast, believed or not: instants worth looking at beside any cut."""
    verdicts: dict[int, Verdict]
    unwatched: Sequence[tuple[Source, int]] = ()
    """Readings that were watched and need not be any more: others came between."""


def written(settlement: Settlement) -> list[Row]:
    """Every row a settlement writes, as it will stand."""
    return [
        *settlement.inserted,
        *(after for _, after in settlement.superseded),
        *(after for _, after in settlement.rejudged),
    ]


Overrule = Callable[[Source, int, int], Reason | None]
"""(source, instant, value) -> reasons that replace those of the neighbours, or None to leave them."""


def leave(_source: Source, _at: int, _value: int) -> Reason | None:
    """The neighbours have the last word."""
    return None


@dataclass(slots=True)
class _Series:
    """Readings by key, the last value of each; what fresh ones replaced (oldest first) and which only repeat."""

    known: dict[Key, Row | Fresh]
    new: dict[Key, Fresh] = field(default_factory=dict)
    replaced: dict[Key, list[Row | Fresh]] = field(default_factory=dict)
    echoes: list[tuple[int, Key]] = field(default_factory=list)

    def take(self, item: Fresh) -> Verdict | None:
        """Put a fresh reading in its place; a verdict when it is refused."""
        key = (item.source, item.at)
        at_hand = self.known.get(key)
        if at_hand is None:
            self.known[key] = self.new[key] = item
        elif at_hand.value == item.value:
            self.echoes.append((item.place, key))
        elif item.source.by_person:
            self.replaced.setdefault(key, []).append(at_hand)
            self.known[key] = self.new[key] = item
        else:
            return _conflict(at_hand.value, item.value)
        return None


def settle(
    limits: Limits,
    stored: Sequence[Row],
    fresh: Sequence[Fresh],
    overrule: Overrule = leave,
    *,
    counter: bool = True,
    again: tuple[int, int] | None = None,
) -> Settlement:
    """Fit fresh readings into the stored ones around them (`2 * REACH` beyond both ends of every place they fall into).

    Stored readings within the instants `again` (both included) are looked at again even without a fresh neighbour.
    `counter` is False for momentary values, which have no neighbours to be judged by.
    """
    series = _Series({(row.source, row.at): row for row in stored})
    verdicts: dict[int, Verdict] = {}
    for item in fresh:
        refused = series.take(item)
        if refused is not None:
            verdicts[item.place] = refused
    if not counter:
        return _write_up(series, {}, verdicts, overrule)
    looks = _looks(limits, series.known, series.new, again)
    settlement = _write_up(series, looks, verdicts, overrule)
    calmed = [key for key in _troubled(limits, stored) if key in looks and not looks[key].watch]
    return settlement._replace(unwatched=calmed) if calmed else settlement


def _conflict(before: int, now: int) -> Verdict:
    detail = f"the same instant was given as {from_micro(before)} before and as {from_micro(now)} now; the first stands"
    return Verdict(Fate.QUARANTINED, Quality.SUSPECT, code="conflict", detail=detail)


def _looks(
    limits: Limits,
    known: Mapping[Key, Row | Fresh],
    new: Mapping[Key, Fresh],
    again: tuple[int, int] | None,
) -> dict[Key, Look]:
    """Look at the fresh readings and at the neighbours whose windows they entered."""
    series = _by_time(known.values())
    times, values = [at for at, _, _ in series], [value for _, _, value in series]
    looks: dict[Key, Look] = {}
    for first, last in _windows(times, new, again):
        window = look_at(times, values, limits, first, last)
        for (at, source, _), look in zip(series[first:last], window, strict=True):
            looks[source, at] = look
    return looks


def _by_time(rows: Iterable[Row | Fresh]) -> list[tuple[int, Source, int]]:
    """What can be a neighbour, as (instant, source, value)."""
    return sorted((row.at, row.source, row.value) for row in rows if not row.reasons & OUTSIDE)


def _troubled(limits: Limits, stored: Iterable[Row]) -> list[Key]:
    """The stored readings whose raw step fell or was too fast before anything came between."""
    series = _by_time(stored)
    troubled = troubled_steps([at for at, _, _ in series], [value for _, _, value in series], limits)
    return [(series[number][1], series[number][0]) for number in troubled]


def _windows(times: list[int], new: Mapping[Key, Fresh], again: tuple[int, int] | None) -> list[tuple[int, int]]:
    """Index ranges, apart from each other, of the readings that have one of the new instants within their reach."""
    ranges = [] if again is None else [(bisect_left(times, again[0]), bisect_right(times, again[1]))]
    for at in sorted({at for _, at in new}):
        ranges.append((max(0, bisect_left(times, at) - REACH), min(len(times), bisect_right(times, at) + REACH)))
    windows: list[tuple[int, int]] = []
    for first, last in sorted(ranges):
        if windows and first <= windows[-1][1]:
            windows[-1] = (windows[-1][0], max(last, windows[-1][1]))
        else:
            windows.append((first, last))
    return windows


def _write_up(
    series: _Series, looks: Mapping[Key, Look], verdicts: dict[int, Verdict], overrule: Overrule
) -> Settlement:
    settlement = Settlement([], [], [], [], verdicts)
    for key in looks.keys() | series.new.keys():
        item = series.known[key]
        look = looks.get(key, Look(NO_REASON, False))
        row = _judged(item, look, overrule)
        if isinstance(item, Fresh):
            _insert_or_supersede(settlement, series.replaced.get(key, []), item, row)
        elif row != item:
            settlement.rejudged.append((item, row))
            series.known[key] = row
        if look.watch:
            settlement.watched.append(key)
    for place, key in series.echoes:
        stands = series.known[key]
        told = verdicts[stands.place] if isinstance(stands, Fresh) else Verdict(Fate.STORED, *stands[3:])
        verdicts[place] = Verdict(Fate.REPEATED, told.quality, told.reasons)
    return settlement


def _judged(item: Row | Fresh, look: Look, overrule: Overrule) -> Row:
    overruled = overrule(item.source, item.at, item.value) if item.source.by_person else None
    reasons = (item.reasons & INTRINSIC) | (look.reasons if overruled is None else overruled)
    if item.source is Source.ESTIMATE:
        reasons = NO_REASON
    return Row(item.source, item.at, item.value, quality_of(item.source, reasons), reasons)


def _insert_or_supersede(settlement: Settlement, replaced: Sequence[Row | Fresh], item: Fresh, row: Row) -> None:
    """Write a fresh reading, through every value that was given for its key before, so that history keeps them all."""
    steps: list[Row] = []
    for before in replaced:
        if isinstance(before, Fresh):
            settlement.verdicts[before.place] = Verdict(
                Fate.SUPERSEDED if steps else Fate.STORED, row.quality, row.reasons
            )
            before = row._replace(value=before.value)
        steps.append(before)
    first, *later = [*steps, row]
    if not replaced or isinstance(replaced[0], Fresh):
        settlement.inserted.append(first)
    settlement.superseded.extend(pairwise([first, *later]))
    settlement.verdicts[item.place] = Verdict(Fate.SUPERSEDED if steps else Fate.STORED, row.quality, row.reasons)
