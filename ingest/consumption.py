"""Consumption over intervals, from the readings around their ends: exchanges, rollovers, ratios, zones and gaps. Pure.

Boundaries are shared: what ends one interval begins the next, so adjacent intervals add up to the whole. The ratio K
is applied once for each installation, where an amount is made (`shares`, `amounts.Steady`). Rounding is left to whoever
prints.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from itertools import pairwise
from operator import sub

from ingest.amounts import Amount, Joined, Steady
from ingest.calm import calm_runs, needed
from ingest.chain import Chain, link
from ingest.channel import unit_of
from ingest.counting import Boundary, Policy, counting, good
from ingest.instants import micros, span
from ingest.load_profile import Slot, with_profile
from ingest.model import Quality, Source
from ingest.places import Part, Places, part, places
from ingest.shares import Share, amount_of
from ingest.stretch import Counter, Stretch

__all__ = ["Amount", "Boundary", "Counter", "Policy", "Slot", "Stretch", "chain_of", "consumption"]


def consumption(
    stretches: Sequence[Stretch], cuts: Sequence[datetime], policy: Policy | None = None
) -> Sequence[Amount]:
    """The amounts between adjacent cuts (ascending, aware); one less than there are cuts."""
    policy = policy or Policy()
    instants = [micros(cut) for cut in cuts]
    longest = max(map(sub, instants[1:], instants), default=0)
    limit = max(span(policy.gap_limit), longest * 3 // 2)
    unit = next((unit_of(counter.channel) for stretch in stretches for counter in stretch.counters), "")
    pieces: list[Sequence[Amount]] = []
    done = 0
    for first, calm in _calm(stretches, cuts, instants, limit, unit):
        if first > done:
            pieces.append(_linked(stretches, cuts, instants, (done, first), limit, policy, unit))
        pieces.append(calm)
        done = first + len(calm)
    if done < len(cuts) - 1:
        pieces.append(_linked(stretches, cuts, instants, (done, len(cuts) - 1), limit, policy, unit))
    return pieces[0] if len(pieces) == 1 else Joined(pieces)


def _calm(
    stretches: Sequence[Stretch], cuts: Sequence[datetime], instants: Sequence[int], limit: int, unit: str
) -> list[tuple[int, Steady]]:
    """Amounts that need no closer look, with the number of the first, where one register stood there all the time."""
    if len(stretches) != 1 or len(stretches[0].counters) != 1 or len(cuts) < 2:
        return []
    [stretch] = stretches
    until = instants[-1] + 1 if stretch.until is None else micros(stretch.until)
    return [
        (
            run.first,
            Steady(
                cuts if len(run.shown) == len(cuts) else cuts[run.first : run.first + len(run.shown)],
                run.shown,
                run.between,
                stretch.ratio,
                stretch.meter,
                unit,
            ),
        )
        for run in calm_runs(stretch.counters[0], micros(stretch.since), until, instants, limit)
    ]


def _linked(
    stretches: Sequence[Stretch],
    cuts: Sequence[datetime],
    instants: Sequence[int],
    numbers: tuple[int, int],
    limit: int,
    policy: Policy,
    unit: str,
) -> list[Amount]:
    """The amounts between the cuts of two numbers, from the linked readings around them."""
    first, last = numbers
    cuts, instants = cuts[first : last + 1], instants[first : last + 1]
    shares: list[list[Share]] = [[] for _ in instants[1:]]
    for stretch in stretches:
        _Walk(_narrowed(stretch, instants), instants, limit, policy).fill(shares)
    return [
        amount_of(cuts[n], cuts[n + 1], instants[n + 1] - instants[n], found, unit) for n, found in enumerate(shares)
    ]  # fmt: skip


def _narrowed(stretch: Stretch, instants: Sequence[int]) -> Stretch:
    """The same with the readings that say something of these instants."""
    since = micros(stretch.since)
    until = max(since, instants[-1]) if stretch.until is None else micros(stretch.until)
    counters, zones = (
        tuple(replace(counter, boundaries=needed(counter, since, until, instants)) for counter in group)
        for group in (stretch.counters, stretch.zones)
    )
    return replace(stretch, counters=counters, zones=zones)


class _Walk:
    """One stretch cut into the intervals it touches."""

    def __init__(self, stretch: Stretch, instants: Sequence[int], limit: int, policy: Policy) -> None:
        self.stretch = stretch
        since = micros(stretch.since)
        until = instants[-1] if stretch.until is None else micros(stretch.until)
        self.first = max(0, bisect_right(instants, since) - 1)
        inner = instants[self.first : bisect_left(instants, until) + 1]
        self.cuts = [min(max(cut, since), until) for cut in inner] if inner and since < until else []
        self.own = [_Counted(counter, stretch, self.cuts, limit, policy) for counter in stretch.counters]
        self.zones = [_Counted(counter, stretch, self.cuts, limit, policy) for counter in stretch.zones]

    def fill(self, shares: list[list[Share]]) -> None:
        """Add what this stretch says to every interval it touches."""
        silent = not self.own or any(not counted.chain.ats for counted in self.own)
        only = self.own[0] if len(self.own) == 1 else None
        for n, (begin, end) in enumerate(pairwise(self.cuts)):
            if begin >= end:
                continue
            found = only.part(n, begin, end) if only else _together([one.part(n, begin, end) for one in self.own])
            if self.zones and (found is None or found.measured < end - begin):
                found = _better(found, _together([counted.part(n, begin, end) for counted in self.zones]))
            shares[self.first + n].append(Share(self.stretch, end - begin, found, only is not None, silent))


class _Counted:
    """The chain of one counter, and the places of the cuts in it."""

    def __init__(self, counter: Counter, stretch: Stretch, cuts: Sequence[int], limit: int, policy: Policy) -> None:
        self.chain = chain_of(counter, stretch, policy)
        self.unsteady = counter.unsteady
        self.places: Places = places(
            self.chain, cuts, limit, counter.limits.modulus, distribute=policy.distribute
        )  # fmt: skip

    def part(self, n: int, begin: int, end: int) -> Part | None:
        found = part(self.chain, self.places.begins[n], self.places.ends[n + 1], begin, end)
        if found is None or not self.unsteady:
            return found
        return found._replace(quality=Quality.SUSPECT, reasons=(*found.reasons, "unsteady"))


def chain_of(counter: Counter, stretch: Stretch, policy: Policy) -> Chain:
    """The readings of one counter that count, linked, with what was declared and what its load profile recorded."""
    declared = []
    if counter.opening is not None:
        declared.append(good(micros(stretch.since), counter.opening, Source.INSPECTION))
    if counter.closing is not None and stretch.until is not None:
        declared.append(good(micros(stretch.until), counter.closing, Source.INSPECTION))
    marks, notes = counting(counter.boundaries, counter.breaks, declared, counter.limits, policy)
    chain = link(marks, counter.limits, counter.breaks, notes, [mark.at for mark in declared])
    return with_profile(chain, counter.slots, counter.limits) if counter.slots else chain


def _together(parts: Sequence[Part | None]) -> Part | None:
    """The sum of several counters; None unless each of them knows something."""
    if len(parts) == 1:
        return parts[0]
    known = [found for found in parts if found is not None]
    if not known or len(known) < len(parts):
        return None
    return Part(
        sum(found.moved for found in known),
        min(found.measured for found in known),
        max(found.quality for found in known),
        tuple({reason for found in known for reason in found.reasons}),
        None,
        None,
        all(found.grounds for found in known),
    )


def _better(own: Part | None, zones: Part | None) -> Part | None:
    """The register's own part, unless its zones say more than twice as much."""
    if zones is None or not zones.grounds or (own is not None and own.grounds and 2 * own.measured >= zones.measured):
        return own
    return zones._replace(reasons=(*zones.reasons, "sum_of_zones"), begin=None, end=None)
