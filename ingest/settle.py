"""What a batch changes in one register's history: rows to insert, to supersede and to judge again. Pure.

A series is what is judged together: the readings of one automatic source, or those of all people, of one register.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from typing import NamedTuple

from ingest.channel import from_micro
from ingest.delivery import Fate, Verdict
from ingest.judge import INTRINSIC, OUTSIDE, REACH, Limits, Look, look_at, quality_of
from ingest.model import NO_REASON, Quality, Reason, Source


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


def settle(
    limits: Limits,
    stored: Sequence[Row],
    fresh: Sequence[Fresh],
    overrule: Overrule = leave,
    *,
    counter: bool = True,
    again: tuple[int, int] | None = None,
) -> Settlement:
    """Fit fresh readings into the stored ones around them (sorted by time, `2 * REACH` beyond both ends).

    Stored readings within the instants `again` (both included) are looked at again even without a fresh neighbour.
    `counter` is False for momentary values, which have no neighbours to be judged by.
    """
    known: dict[tuple[Source, int], Row | Fresh] = {(row.source, row.at): row for row in stored}
    verdicts: dict[int, Verdict] = {}
    superseded: list[tuple[Row, Fresh]] = []
    new: dict[tuple[Source, int], Fresh] = {}
    for item in fresh:
        key = (item.source, item.at)
        at_hand = known.get(key)
        if at_hand is None:
            known[key] = new[key] = item
        elif isinstance(at_hand, Row) and at_hand.value != item.value and item.source.by_person:
            superseded.append((at_hand, item))
            known[key] = new[key] = item
        else:
            verdicts[item.place] = _refuse_or_repeat(at_hand, item)
    looks = _looks(limits, known, new, again) if counter else {}
    return _write_up(known, new, superseded, looks, verdicts, overrule)


def _refuse_or_repeat(at_hand: Row | Fresh, item: Fresh) -> Verdict:
    if at_hand.value == item.value:
        quality = at_hand.quality if isinstance(at_hand, Row) else quality_of(at_hand.source, at_hand.reasons)
        return Verdict(Fate.REPEATED, quality, at_hand.reasons)
    before, now = from_micro(at_hand.value), from_micro(item.value)
    detail = f"the same instant was given as {before} before and as {now} now; the first stands"
    return Verdict(Fate.QUARANTINED, Quality.SUSPECT, code="conflict", detail=detail)


def _looks(
    limits: Limits,
    known: dict[tuple[Source, int], Row | Fresh],
    new: dict[tuple[Source, int], Fresh],
    again: tuple[int, int] | None,
) -> dict[tuple[Source, int], Look]:
    """Look at the fresh readings and at the neighbours whose windows they entered."""
    series = sorted((row.at, row.source, row.value) for row in known.values() if not row.reasons & OUTSIDE)
    times, values = [at for at, _, _ in series], [value for _, _, value in series]
    looks: dict[tuple[Source, int], Look] = {}
    for first, last in _windows(times, new, again):
        window = look_at(times, values, limits, first, last)
        for (at, source, _), look in zip(series[first:last], window, strict=True):
            looks[source, at] = look
    return looks


def _windows(
    times: list[int], new: dict[tuple[Source, int], Fresh], again: tuple[int, int] | None
) -> list[tuple[int, int]]:
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
    known: dict[tuple[Source, int], Row | Fresh],
    new: dict[tuple[Source, int], Fresh],
    superseded: list[tuple[Row, Fresh]],
    looks: dict[tuple[Source, int], Look],
    verdicts: dict[int, Verdict],
    overrule: Overrule,
) -> Settlement:
    replaced = {(before.source, before.at): before for before, _ in superseded}
    settlement = Settlement([], [], [], [], verdicts)
    for key in looks.keys() | new.keys():
        item = known[key]
        look = looks.get(key, Look(NO_REASON, False))
        overruled = overrule(item.source, item.at, item.value) if item.source.by_person else None
        reasons = (item.reasons & INTRINSIC) | (look.reasons if overruled is None else overruled)
        if item.source is Source.ESTIMATE:
            reasons = NO_REASON
        row = Row(item.source, item.at, item.value, quality_of(item.source, reasons), reasons)
        if isinstance(item, Fresh):
            before = replaced.get(key)
            fate = Fate.STORED if before is None else Fate.SUPERSEDED
            verdicts[item.place] = Verdict(fate, row.quality, row.reasons)
            if before is None:
                settlement.inserted.append(row)
            else:
                settlement.superseded.append((before, row))
        elif row != item:
            settlement.rejudged.append((item, row))
        if look.watch:
            settlement.watched.append(key)
    return settlement
