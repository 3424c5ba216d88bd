"""The load profile put between the readings of a register, and beyond them where there are none. Pure.

Between two readings the register knows how much, the profile knows when. Where the profile is complete and agrees with
the register, its cuts are exact; where it disagrees, the register's step is divided in the profile's proportion. What
one hole of the profile hides is known by difference; what several holes hide is spread evenly over them. Beyond the
readings the profile stands alone, and its holes cover nothing.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Sequence
from typing import NamedTuple

from ingest.chain import PLAIN, Chain, Step
from ingest.judge import Limits
from ingest.model import Quality


class Slot(NamedTuple):
    """Profile energy of [begin, end) in millionths, of which `covered` microseconds were recorded.

    `begin` and `end` are cuts or instants of readings. `split` tells that `begin` lies inside a recorded interval,
    whose energy was then divided by time.
    """

    begin: int
    end: int
    energy: int
    covered: int
    split: bool = False


def with_profile(chain: Chain, slots: Sequence[Slot], limits: Limits) -> Chain:
    """The chain with nodes at the borders of the slots, which are sorted and do not reach across its nodes."""
    usable = [slot for slot in slots if slot.covered <= slot.end - slot.begin]
    if not usable:
        return chain
    split = frozenset(slot.begin for slot in usable if slot.split)
    result = Chain()
    if not chain.ats:
        result.add(usable[0].begin, 0, loose=usable[0].begin in split)
        _alone(result, usable, split)
        return result
    begins = [slot.begin for slot in usable]
    first, last = bisect_left(begins, chain.ats[0]), bisect_left(begins, chain.ats[-1])
    _lead_in(result, chain, usable[:first], split)
    for number in range(1, len(chain.ats)):
        inside = usable[bisect_left(begins, chain.ats[number - 1]) : bisect_left(begins, chain.ats[number])]
        _between(result, chain, number, inside, split, limits)
    tail = usable[last:]
    if tail:
        number = len(result.ats)
        _alone(result, tail, split)
        if tail[0].begin == chain.ats[-1] and tail[0].split:
            _doubt(result, number)
    return result


def _doubt(result: Chain, number: int) -> None:
    """A reading cuts a recorded interval here: the piece beside it is known by division only."""
    result.loose.discard(number)
    step = result.steps.get(number, PLAIN)
    result.steps[number] = step._replace(quality=Quality.ESTIMATED, reasons=("interpolated",))


def _lead_in(result: Chain, chain: Chain, slots: Sequence[Slot], split: Collection[int]) -> None:
    """The profile before the first reading, and that reading itself."""
    hole = None
    if slots:
        result.add(slots[0].begin, -sum(slot.energy for slot in slots), loose=slots[0].begin in split)
        _alone(result, slots, split)
        if result.ats[-1] == chain.ats[0]:
            result.shown[-1] = chain.shown[0]
            if chain.ats[0] in split:
                _doubt(result, len(result.ats) - 1)
            return
        hole = Step(covered=0)
    result.add(chain.ats[0], chain.moved[0], chain.shown[0], step=hole)


def _alone(result: Chain, slots: Sequence[Slot], split: Collection[int]) -> None:
    """Nodes at the ends of slots behind the last node; what no slot covers moves nothing and is not measured."""
    for slot in slots:
        if slot.begin > result.ats[-1]:
            result.add(slot.begin, result.moved[-1], step=Step(covered=0), loose=slot.begin in split)
        full = slot.covered == slot.end - slot.begin
        result.add(
            slot.end,
            result.moved[-1] + slot.energy,
            step=None if full else Step(covered=slot.covered),
            loose=slot.end in split,
        )


def _between(
    result: Chain, chain: Chain, number: int, slots: Sequence[Slot], split: Collection[int], limits: Limits
) -> None:
    """The step that leads to a node of the chain, cut by the slots inside it."""
    begin, end = chain.ats[number - 1], chain.ats[number]
    total = chain.moved[number] - chain.moved[number - 1]
    step = chain.steps.get(number)
    ragged = begin in split or end in split
    before = len(result.ats)
    if slots and total and (step is None or step.explained):
        recorded = sum(slot.energy for slot in slots)
        missing = end - begin - sum(slot.covered for slot in slots)
        rest = total - recorded
        if missing == 0 and recorded > 0:
            _cut_in_proportion(result, slots, total, recorded, split, loose=ragged or abs(rest) > 2 * limits.resolution)
        elif missing and rest >= -2 * limits.resolution:
            _cut_around_holes(result, _pieces(slots, begin, end), (total, max(rest, 0), missing), split, ragged=ragged)
    if limits.modulus is not None:
        result.shown[before:] = [None if shown is None else shown % limits.modulus for shown in result.shown[before:]]
    result.add(end, chain.moved[number], chain.shown[number], step=step)


def _cut_in_proportion(
    result: Chain, slots: Sequence[Slot], total: int, recorded: int, split: Collection[int], *, loose: bool
) -> None:
    base, shown, so_far = result.moved[-1], result.shown[-1], 0
    for slot in slots[:-1]:
        so_far += slot.energy
        passed = total * so_far // recorded if loose else min(so_far, total)
        result.add(slot.end, base + passed, _further(shown, passed), loose=loose or slot.end in split)


def _cut_around_holes(
    result: Chain, pieces: Sequence[Slot], amounts: tuple[int, int, int], split: Collection[int], *, ragged: bool
) -> None:
    """Recorded pieces move by their energy; `amounts` are the whole step, what the holes hide of it, and their time."""
    total, rest, missing = amounts
    base, shown, so_far, hidden = result.moved[-1], result.shown[-1], 0, 0
    for number, piece in enumerate(pieces[:-1]):
        so_far += piece.energy
        hidden += piece.end - piece.begin - piece.covered
        if piece.covered == 0 and pieces[number + 1].covered == 0:
            continue  # one hole, whatever cuts lie in it
        passed = min(so_far + rest * hidden // missing, total)
        loose = ragged or piece.end in split or 0 < hidden < missing
        result.add(piece.end, base + passed, _further(shown, passed), loose=loose)


def _pieces(slots: Sequence[Slot], begin: int, end: int) -> list[Slot]:
    """The slots and the holes between them, without anything left out of [begin, end)."""
    pieces: list[Slot] = []
    at = begin
    for slot in slots:
        if slot.begin > at:
            pieces.append(Slot(at, slot.begin, 0, 0))
        pieces.append(slot)
        at = slot.end
    return [*pieces, Slot(at, end, 0, 0)] if at < end else pieces


def _further(shown: int | None, passed: int) -> int | None:
    return None if shown is None else shown + passed
