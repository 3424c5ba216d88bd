"""A register's readings around the cuts, chained into one counter that never falls.

Each node carries how far the register has moved since the first one, through proven rollovers and across everything
unexplained without guessing: a step nobody can explain moves nothing. All numbers are whole millionths and
microseconds, so that sums are exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from ingest.judge import Limits, advance, coarseness
from ingest.model import Quality, Source


class Mark(NamedTuple):
    """A reading that may bound an amount: instant (µs), value (millionths), quality and source.

    The opening and closing readings of an installation are marks of source INSPECTION.
    """

    at: int
    value: int
    quality: Quality
    source: Source


class Slot(NamedTuple):
    """Load profile energy of [begin, end) in millionths, of which `covered` microseconds were recorded."""

    begin: int
    end: int
    energy: int
    covered: int


@dataclass(frozen=True, slots=True)
class Node:
    """A mark in the chain. `moved` is how far the register went since the first node.

    The step that led here is `explained` (or else it moved nothing), a `rollover`, or `profiled`: from the load profile.
    """

    at: int
    moved: int
    mark: Mark | None
    quality: Quality = Quality.GOOD
    explained: bool = True
    fell: bool = False
    rollover: bool = False
    profiled: bool = False
    covered: int | None = None
    """For a profiled step with holes: microseconds that were recorded; None: all of them."""


def chain(marks: Sequence[Mark], limits: Limits) -> list[Node]:
    """Marks of one register in one installation, sorted by time, as a chain.

    Two things are healed that only show from further off: a detour (the counter left by an unexplained step and came
    back to where it had been: what lies between is no reading of this register), and a stuck run (the same value
    repeated, then a jump that is too fast from its last repetition but possible from its first).
    """
    kept: list[Mark] = []
    for mark in marks:
        if kept and kept[-1].at == mark.at:
            continue
        _append(kept, _not_below_by_rounding(kept, mark), limits)
    return _nodes(kept, limits)


def _append(kept: list[Mark], mark: Mark, limits: Limits) -> None:
    if kept and _step(kept[-1], mark, limits) is None:
        for back in range(len(kept) - 1, 0, -1):
            between_is_stuck = all(kept[i].value == kept[back].value for i in range(back, len(kept)))
            left_here = _step(kept[back - 1], kept[back], limits) is None
            if (between_is_stuck or left_here) and _step(kept[back - 1], mark, limits) is not None:
                del kept[back:]
                break
    kept.append(mark)


def _not_below_by_rounding(kept: list[Mark], mark: Mark) -> Mark:
    """People leave out decimals: a value below the one before it by less than that is the one before it."""
    if not kept or mark.value >= kept[-1].value or not (mark.source.by_person or kept[-1].source.by_person):
        return mark
    slack = max(coarseness(mark.value), coarseness(kept[-1].value))
    return mark._replace(value=kept[-1].value) if kept[-1].value - mark.value <= slack else mark


def _step(before: Mark, after: Mark, limits: Limits) -> int | None:
    by_person = before.source.by_person or after.source.by_person
    return advance(limits.softened() if by_person else limits, after.at - before.at, before.value, after.value)


def _nodes(kept: Sequence[Mark], limits: Limits) -> list[Node]:
    nodes: list[Node] = []
    for before, mark in zip([None, *kept], kept, strict=False):
        if before is None:
            nodes.append(Node(mark.at, 0, mark, mark.quality))
            continue
        step = _step(before, mark, limits)
        nodes.append(
            Node(
                mark.at,
                nodes[-1].moved + (step or 0),
                mark,
                max(before.quality, mark.quality),
                explained=step is not None,
                fell=mark.value < before.value,
                rollover=step is not None and mark.value < before.value,
            )
        )
    return nodes


def with_profile(nodes: Sequence[Node], slots: Sequence[Slot], limits: Limits) -> list[Node]:
    """Put the load profile between the marks, and beyond them where there are none.

    Between two marks that the profile covers completely it says how the measured step is distributed: exactly when the
    two agree to the display's precision, in proportion (estimated) when they do not.
    """
    if not slots:
        return list(nodes)
    if not nodes:
        return _profile_alone(slots, Node(slots[0].begin, 0, None, profiled=True))
    first, last = nodes[0].at, nodes[-1].at
    before = [slot for slot in slots if slot.end <= first]
    head: list[Node] = []
    if before:
        ahead = _profile_alone(before, Node(before[0].begin, 0, None, profiled=True))
        shift = -ahead[-1].moved
        head = [replace(node, moved=node.moved + shift) for node in ahead if node.at < first]
        hole = first - ahead[-1].at
        nodes = [replace(nodes[0], profiled=True, covered=None if hole == 0 else before[-1].covered), *nodes[1:]]
    body = [nodes[0]]
    for node in nodes[1:]:
        body += _distributed(body[-1], node, slots, limits)
    after = [slot for slot in slots if slot.begin >= last]
    tail = _profile_alone(after, body[-1])[1:] if after else []
    return [*head, *body, *tail]


def _profile_alone(slots: Sequence[Slot], start: Node) -> list[Node]:
    """Nodes at the ends of slots; a hole between two slots becomes a step that covers nothing."""
    nodes = [start]
    for slot in slots:
        if slot.begin > nodes[-1].at:
            nodes.append(Node(slot.begin, nodes[-1].moved, None, profiled=True, covered=0))
        full = slot.covered >= slot.end - slot.begin
        moved = nodes[-1].moved + slot.energy
        nodes.append(Node(slot.end, moved, None, profiled=True, covered=None if full else slot.covered))
    return nodes


def _distributed(before: Node, node: Node, slots: Sequence[Slot], limits: Limits) -> list[Node]:
    """The step between two marks, cut by the profile where that covers it completely."""
    inside = [slot for slot in slots if before.at <= slot.begin and slot.end <= node.at]
    complete = sum(slot.covered for slot in inside) == node.at - before.at
    total = node.moved - before.moved
    recorded = sum(slot.energy for slot in inside)
    if not node.explained or len(inside) < 2 or not complete or (recorded == 0) != (total == 0):
        return [node]
    agrees = abs(total - recorded) <= 2 * limits.resolution
    quality = node.quality if agrees else max(node.quality, Quality.ESTIMATED)
    nodes, so_far = [], 0
    for slot in inside[:-1]:
        so_far += slot.energy
        moved = before.moved + (min(so_far, total) if agrees else total * so_far // recorded)
        nodes.append(Node(slot.end, moved, None, quality, profiled=True))
    return [*nodes, replace(node, quality=quality, profiled=True)]
