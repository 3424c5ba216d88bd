"""Which stored installation or contract each one of a fleet file is, found by place and time. Pure."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from ingest.model import Installation
from storage.fleet_model import Contract, Fleet, overlap

_Span = TypeVar("_Span", Installation, Contract)


@dataclass(frozen=True, slots=True)
class Pair:
    """An installation of the file, and the stored one it is (None: it is new)."""

    wanted: Installation
    stored: Installation | None


@dataclass(frozen=True, slots=True)
class Pairs:
    """The file's installations and contracts beside the stored ones, and the stored ones the file does not have."""

    installations: Sequence[Pair]
    contracts: Sequence[tuple[Contract, Contract | None]]
    other_installations: Sequence[Installation]
    other_contracts: Sequence[Contract]


def pair(wanted: Sequence[Installation], stored: Sequence[Installation]) -> tuple[list[Pair], list[Installation]]:
    """Which stored installation each of the file's is, and the stored ones that are none of them.

    The same installation: one that began at the same point at the same instant (another meter is a correction), else
    one of the same meter at the same point over a common time (another beginning is a correction).
    """
    found, left = _matched(wanted, stored, lambda one: (one.point, one.since), lambda one: (one.point, one.meter))
    return [Pair(_completed(one, match), match) for one, match in zip(wanted, found, strict=True)], left


def _completed(wanted: Installation, stored: Installation | None) -> Installation:
    """Opening and closing readings stored once stay, unless the file states others."""
    if stored is None or stored.meter != wanted.meter:
        return wanted
    return replace(wanted, opening={**stored.opening, **wanted.opening}, closing={**stored.closing, **wanted.closing})


def pair_contracts(
    wanted: Sequence[Contract], stored: Sequence[Contract]
) -> tuple[list[tuple[Contract, Contract | None]], list[Contract]]:
    """The same for contracts: same consumer and point, the same beginning or else a common time."""
    found, left = _matched(
        wanted, stored, lambda one: (one.consumer, one.point, one.since), lambda one: (one.consumer, one.point)
    )
    return list(zip(wanted, found, strict=True)), left


def _matched(
    wanted: Sequence[_Span],
    stored: Sequence[_Span],
    exact: Callable[[_Span], Hashable],
    place: Callable[[_Span], Hashable],
) -> tuple[list[_Span | None], list[_Span]]:
    """First by the exact key, then by the place and a common time; each stored one at most once."""
    left = {exact(one): one for one in stored}
    found = [left.pop(exact(one), None) for one in wanted]
    by_place: dict[Hashable, list[_Span]] = {}
    for other in left.values():
        by_place.setdefault(place(other), []).append(other)
    for number, one in enumerate(wanted):
        candidates = by_place.get(place(one), []) if found[number] is None else []
        match = next((other for other in candidates if overlap(one, other)), None)
        if match is not None:
            found[number] = match
            candidates.remove(match)
            del left[exact(match)]
    return found, list(left.values())


def pair_up(wanted: Fleet, stored: Fleet) -> Pairs:
    """Find what of the stored history the file speaks of."""
    installations, other_installations = pair(wanted.installations, stored.installations)
    contracts, other_contracts = pair_contracts(wanted.contracts, stored.contracts)
    return Pairs(installations, contracts, other_installations, other_contracts)
