"""Consumption over intervals, from the readings around their ends: exchanges, rollovers, ratios, zones and gaps. Pure.

Boundaries are shared: what ends one interval begins the next, so adjacent intervals add up to the whole. The ratio K
is applied here and nowhere else, once for each installation. Rounding is left to whoever prints.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import NamedTuple

from ingest.chain import Mark, Node, Slot, chain, with_profile
from ingest.channel import from_micro
from ingest.instants import micros, span
from ingest.judge import Limits
from ingest.model import Quality, Source

_SHARE = Decimal("0.0001")


@dataclass(frozen=True, slots=True)
class Policy:
    """What a supplier decides: `gap_limit` is the longest silence across which a cut is interpolated.

    It is never less than one and a half of the interval asked for, so that monthly readings make monthly amounts.
    With `distribute` longer gaps are spread evenly too, as estimates. `order` ranks sources, the best first.
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

    def rank(self, source: Source) -> int:
        """0 for the source that counts first; sources left out of the order come last."""
        return next((n for n, group in enumerate(self.order) if source in group), len(self.order))


class Boundary(NamedTuple):
    """What is stored around one instant: by source, the nearest good readings at or before and at or after it."""

    at: int
    before: tuple[Mark, ...]
    after: tuple[Mark, ...]


@dataclass(frozen=True, slots=True)
class Counter:
    """One register in one installation: its limits, the readings around every cut and break, and its load profile."""

    channel: str
    limits: Limits
    boundaries: tuple[Boundary, ...] = ()
    opening: int | None = None
    closing: int | None = None
    slots: tuple[Slot, ...] = ()


@dataclass(frozen=True, slots=True)
class Stretch:
    """One installation as far as one channel matters: [since, until), K, and the counters that sum to the channel.

    A total without a register of its own has its zones here.
    """

    meter: str
    since: datetime
    until: datetime | None
    ratio: Decimal
    counters: tuple[Counter, ...]


@dataclass(frozen=True, slots=True)
class Amount:
    """Consumption over [begin, end), K applied, in the channel's unit; None without grounds.

    An amount covers the measured part of its interval: `completeness` is that share of time (0 to 1, four decimals).
    `begin_value` and `end_value` are the register's values at the ends where one meter shows them. `reasons` are
    stable codes for anything worth knowing; `quality` is the worst of the parts.
    """

    begin: datetime
    end: datetime
    amount: Decimal | None
    quality: Quality
    completeness: Decimal
    ratios: tuple[Decimal, ...] = ()
    reasons: tuple[str, ...] = ()
    begin_value: Decimal | None = None
    end_value: Decimal | None = None
    meters: tuple[str, ...] = ()


def consumption(stretches: Sequence[Stretch], cuts: Sequence[datetime], policy: Policy | None = None) -> list[Amount]:
    """The amounts between adjacent cuts (ascending, aware); one less than there are cuts."""
    policy = policy or Policy()
    instants = [micros(cut) for cut in cuts]
    longest = max((b - a for a, b in pairwise(instants)), default=0)
    limit = max(span(policy.gap_limit), longest * 3 // 2)
    walks = [_Walk(stretch, policy, limit) for stretch in stretches]
    return [
        _amount(walks, cuts[n], cuts[n + 1], instants[n], instants[n + 1]) for n in range(len(cuts) - 1)
    ]  # fmt: skip


class _Place(NamedTuple):
    """Where a cut falls into a chain: how far the register had moved, the instant that is known for, and how."""

    moved: int
    at: int
    interpolated: bool = False
    spread: bool = False


@dataclass(slots=True)
class _Part:
    """What one counter says of one interval; without `grounds` only the reasons count."""

    moved: int
    measured: int = 0
    grounds: bool = False
    quality: Quality = Quality.GOOD
    reasons: set[str] = field(default_factory=set)


class _Walk:
    """One stretch made ready to be cut."""

    def __init__(self, stretch: Stretch, policy: Policy, limit: int) -> None:
        self.stretch = stretch
        self.since = micros(stretch.since)
        self.until = None if stretch.until is None else micros(stretch.until)
        self.limit = limit
        self.distribute = policy.distribute
        self.chains = [_nodes_of(counter, self.since, self.until, policy, limit) for counter in stretch.counters]
        self.instants = [[node.at for node in nodes] for nodes in self.chains]

    def overlap(self, begin: int, end: int) -> tuple[int, int] | None:
        first = max(begin, self.since)
        last = end if self.until is None else min(end, self.until)
        return (first, last) if first < last else None

    def parts(self, begin: int, end: int) -> list[_Part] | None:
        """One part for each counter, or None when any of them knows nothing of the interval."""
        parts = []
        for nodes, instants in zip(self.chains, self.instants, strict=True):
            part = self._part(nodes, instants, begin, end)
            if part is None:
                return None
            parts.append(part)
        return parts or None

    def _part(self, nodes: Sequence[Node], instants: Sequence[int], begin: int, end: int) -> _Part | None:
        opens, closes = self._after(nodes, instants, begin), self._before(nodes, instants, end)
        if opens is None or closes is None or opens.at >= closes.at:
            return None
        part = _Part(closes.moved - opens.moved)
        if opens.interpolated or closes.interpolated:
            part.quality = Quality.ESTIMATED
            part.reasons.add("interpolated")
        if opens.spread or closes.spread:
            part.reasons.add("distributed")
        self._walk(part, nodes, instants, opens.at, closes.at)
        if opens.at > begin or closes.at < end:
            part.reasons.add("gap")
        part.grounds = part.measured > 0 or opens.spread or closes.spread
        return part

    def _walk(self, part: _Part, nodes: Sequence[Node], instants: Sequence[int], first: int, last: int) -> None:
        """Collect quality, reasons and measured time of the steps between two places."""
        for number in range(max(1, bisect_right(instants, first)), min(len(nodes), bisect_left(instants, last) + 1)):
            node, before = nodes[number], nodes[number - 1]
            share = min(last, node.at) - max(first, before.at)
            length = node.at - before.at
            part.quality = max(part.quality, node.quality)
            if node.rollover:
                part.reasons.add("rollover")
            if not node.explained:
                part.quality = max(part.quality, Quality.SUSPECT)
                part.reasons.add("unexplained_fall" if node.fell else "unexplained_jump")
            elif node.covered is not None:
                part.measured += share * node.covered // length
            elif share == length or length <= self.limit or node.profiled or node.moved == before.moved:
                part.measured += share

    def _before(self, nodes: Sequence[Node], instants: Sequence[int], cut: int) -> _Place | None:
        """The place of a cut that ends an interval: the cut itself, or the last that is known before it."""
        number = bisect_right(instants, cut) - 1
        if number < 0:
            return None
        node = nodes[number]
        if node.at == cut or number + 1 == len(nodes):
            return _Place(node.moved, node.at)
        return self._between(node, nodes[number + 1], cut) or _Place(node.moved, node.at)

    def _after(self, nodes: Sequence[Node], instants: Sequence[int], cut: int) -> _Place | None:
        """The place of a cut that begins an interval: the cut itself, or the first that is known after it."""
        number = bisect_left(instants, cut)
        if number == len(nodes):
            return None
        node = nodes[number]
        if node.at == cut or number == 0:
            return _Place(node.moved, node.at)
        return self._between(nodes[number - 1], node, cut) or _Place(node.moved, node.at)

    def _between(self, before: Node, after: Node, cut: int) -> _Place | None:
        """A cut between two nodes: interpolated, or None in a gap that is too long to say."""
        length = after.at - before.at
        step = after.moved - before.moved
        long = length > self.limit and not after.profiled and (step != 0 or not after.explained)
        if long and not self.distribute:
            return None
        moved = before.moved + step * (cut - before.at) // length
        return _Place(moved, cut, interpolated=step != 0 and after.explained, spread=long)

    def shown(self, cut: int) -> Decimal | None:
        """What the one register shows at a cut, None where that is not one number."""
        if len(self.stretch.counters) != 1 or not self.chains[0]:
            return None
        nodes, instants = self.chains[0], self.instants[0]
        number = bisect_right(instants, cut) - 1
        if number < 0 or (node := nodes[number]).mark is None:
            return None
        if node.at == cut or number + 1 == len(nodes):
            return from_micro(node.mark.value)
        place = self._between(node, nodes[number + 1], cut)
        modulus = self.stretch.counters[0].limits.modulus
        if place is None:
            return None
        value = node.mark.value + place.moved - node.moved
        return from_micro(value if modulus is None else value % modulus)


def _nodes_of(counter: Counter, since: int, until: int | None, policy: Policy, limit: int) -> list[Node]:
    """The chain of one counter: the counting readings around its cuts, its opening and closing, and its profile."""
    marks = {mark.at: mark for boundary in counter.boundaries for mark in counted(boundary, policy, limit)}
    marks = {at: mark for at, mark in marks.items() if at >= since and (until is None or at <= until)}
    if counter.opening is not None:
        marks[since] = Mark(since, counter.opening, Quality.GOOD, Source.INSPECTION)
    if counter.closing is not None and until is not None:
        marks[until] = Mark(until, counter.closing, Quality.GOOD, Source.INSPECTION)
    nodes = chain([marks[at] for at in sorted(marks)], counter.limits)
    return with_profile(nodes, counter.slots, counter.limits)


def counted(boundary: Boundary, policy: Policy, limit: int) -> list[Mark]:
    """The one reading that counts on either side of an instant: of the best source within the limit, else the nearest."""
    chosen = []
    for side in (boundary.before, boundary.after):
        near = [mark for mark in side if abs(mark.at - boundary.at) <= limit]
        if near:
            chosen.append(min(near, key=lambda mark: (policy.rank(mark.source), abs(mark.at - boundary.at))))
        elif side:
            chosen.append(min(side, key=lambda mark: (abs(mark.at - boundary.at), policy.rank(mark.source))))
    return chosen


def _amount(walks: Sequence[_Walk], begin: datetime, end: datetime, first: int, last: int) -> Amount:
    total, measured, covered = Decimal(0), 0, 0
    quality, reasons = Quality.GOOD, set[str]()
    known: list[_Walk] = []
    for walk in walks:
        overlap = walk.overlap(first, last)
        if overlap is None:
            continue
        covered += overlap[1] - overlap[0]
        parts = walk.parts(*overlap)
        if parts is None:
            reasons.add("no_readings" if not any(walk.chains) else "gap")
            continue
        reasons = reasons.union(*(part.reasons for part in parts))
        if not all(part.grounds for part in parts):
            continue
        known.append(walk)
        total += sum(part.moved for part in parts) * walk.stretch.ratio
        measured += min(part.measured for part in parts)
        quality = max(quality, *(part.quality for part in parts))
    if covered < last - first:
        reasons.add("no_meter")
    if len(known) > 1:
        reasons.add("exchange")
    share = (Decimal(measured) / (last - first)).quantize(_SHARE, rounding="ROUND_DOWN")
    if not known:
        return Amount(begin, end, None, Quality.MISSING, share, reasons=tuple(sorted(reasons)))
    return Amount(
        begin,
        end,
        total.scaleb(-6),
        quality,
        share,
        tuple(dict.fromkeys(walk.stretch.ratio for walk in known)),
        tuple(sorted(reasons)),
        known[0].shown(first) if known[0].since <= first else None,
        known[-1].shown(last) if known[-1].until is None or known[-1].until >= last else None,
        tuple(dict.fromkeys(walk.stretch.meter for walk in known)),
    )
