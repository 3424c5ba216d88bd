"""Cuts put into the chain of a counter: how far the register had moved there, and what lies between two of them. Pure.

A cut in a gap that is too long has two places, the last reading before it and the first one after it: the interval it
ends is known up to the one, the interval it begins is known from the other, and nothing is guessed.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import NamedTuple

from ingest.chain import PLAIN, Chain
from ingest.model import Quality


class Place(NamedTuple):
    """How far the register had moved at an instant behind the node `after` (or at it), and what it showed then.

    `interpolated` places are estimates between two readings; `spread` ones lie in a gap that was divided on request.
    """

    at: int
    moved: int
    after: int
    shown: int | None
    interpolated: bool = False
    spread: bool = False


class Part(NamedTuple):
    """What one counter says of one interval: millionths moved, and microseconds that are measured of it.

    Without `grounds` there is no amount, only the reasons why.
    """

    moved: int
    measured: int
    quality: Quality
    reasons: tuple[str, ...]
    begin: int | None
    end: int | None
    grounds: bool = True


_INTERPOLATED = ("interpolated",)


class Places(NamedTuple):
    """For every cut, where an interval that ends there ends, and where one that begins there begins."""

    ends: list[Place | None]
    begins: list[Place | None]


def places(chain: Chain, cuts: Sequence[int], limit: int, modulus: int | None, *, distribute: bool) -> Places:
    """The places of ascending cuts; a cut is interpolated between readings at most `limit` apart."""
    ends: list[Place | None] = []
    begins: list[Place | None] = []
    ats, moved, shown = chain.ats, chain.moved, chain.shown
    count, number = len(ats), 0
    for cut in cuts:
        number = bisect_left(ats, cut, number)
        if number < count and ats[number] == cut:
            exact = Place(cut, moved[number], number, shown[number], number in chain.loose)
            ends.append(exact)
            begins.append(exact)
            continue
        if 0 < number < count:
            place = _between(chain, number, cut, limit, modulus, distribute=distribute)
            if place is not None:
                ends.append(place)
                begins.append(place)
                continue
        ends.append(_node(chain, number - 1) if number else None)
        begins.append(_node(chain, number) if number < count else None)
    return Places(ends, begins)


def _node(chain: Chain, number: int) -> Place:
    return Place(
        chain.ats[number], chain.moved[number], number, chain.shown[number], number in chain.loose
    )  # fmt: skip


def _between(chain: Chain, number: int, cut: int, limit: int, modulus: int | None, *, distribute: bool) -> Place | None:
    """A cut inside the step that leads to a node; None where nothing can be said."""
    before, after = chain.ats[number - 1], chain.ats[number]
    step = chain.steps.get(number, PLAIN)
    moved = chain.moved[number] - chain.moved[number - 1]
    if step.covered == 0:
        return None
    long = after - before > limit and (moved != 0 or not step.explained)
    if long and not (distribute and step.explained):
        return None
    passed = moved * (cut - before) // (after - before)
    shown = chain.shown[number - 1]
    if shown is not None and step.explained:
        shown = shown + passed if modulus is None else (shown + passed) % modulus
    else:
        shown = None
    return Place(cut, chain.moved[number - 1] + passed, number - 1, shown, moved != 0, long)


def part(chain: Chain, opens: Place | None, closes: Place | None, begin: int, end: int) -> Part | None:
    """What lies between two places of an interval [begin, end); None when nothing of it is known."""
    if opens is None or closes is None or opens.at >= closes.at:
        return None
    measured = closes.at - opens.at
    spread = opens.spread or closes.spread
    if not (chain.steps or spread or opens.at > begin or closes.at < end):  # nearly always: nothing is remarkable
        estimated = opens.interpolated or closes.interpolated
        return Part(
            closes.moved - opens.moved,
            measured,
            Quality.ESTIMATED if estimated else Quality.GOOD,
            _INTERPOLATED if estimated else (),
            opens.shown,
            closes.shown,
        )
    quality, reasons = Quality.GOOD, set[str]()
    if opens.interpolated or closes.interpolated:
        quality = Quality.ESTIMATED
        reasons.add("interpolated")
    if opens.at > begin or closes.at < end:
        reasons.add("gap")
    if spread:
        reasons.add("distributed")
        measured -= _spread(chain, opens, closes)
    if chain.steps:
        quality, lost = _remarkable(chain, opens, closes, quality, reasons)
        measured -= lost
    grounds = measured > 0 or spread
    return Part(closes.moved - opens.moved, measured, quality, tuple(reasons), opens.shown, closes.shown, grounds)


def _spread(chain: Chain, opens: Place, closes: Place) -> int:
    """How much of the time between two places lies in gaps that were divided."""
    if opens.spread and closes.spread and opens.after == closes.after:
        return closes.at - opens.at
    first = chain.ats[opens.after + 1] - opens.at if opens.spread else 0
    return first + (closes.at - chain.ats[closes.after] if closes.spread else 0)


def _remarkable(chain: Chain, opens: Place, closes: Place, quality: Quality, reasons: set[str]) -> tuple[Quality, int]:
    """Collect what is remarkable of the steps between two places; gives the quality and the time that is lost."""
    ats, lost = chain.ats, 0
    last = closes.after if ats[closes.after] == closes.at else closes.after + 1
    for number in range(opens.after + 1, last + 1):
        step = chain.steps.get(number)
        if step is None:
            continue
        quality = max(quality, step.quality)
        reasons.update(step.reasons)
        share = min(closes.at, ats[number]) - max(opens.at, ats[number - 1])
        if not step.explained:
            lost += share
        elif step.covered is not None:
            reasons.add("gap")
            lost += share - share * step.covered // (ats[number] - ats[number - 1])
    return quality, lost
