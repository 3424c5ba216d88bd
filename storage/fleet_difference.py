"""What applying a fleet file would change, thing by thing and field by field. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from sys import intern

from ingest.channel import unit_of
from ingest.model import Installation, Line, MeteringPoint, RegisterSpec
from storage.fleet_model import Contract, Fleet, FleetMeter
from storage.fleet_pairs import Pairs
from storage.fleet_secrets import options_text
from storage.fleet_words import place_of, show_number, show_period

_LISTED = 20


@dataclass(frozen=True, slots=True)
class Change:
    """One field, as people read it; None stands for nothing."""

    field: str
    old: str | None
    new: str | None

    def __str__(self) -> str:
        return f"{self.field}: {self.old or 'none'} -> {self.new or 'none'}"


@dataclass(frozen=True, slots=True)
class Item:
    """One line, point, meter, installation or contract: new when `added`, else changed where `changes` say."""

    kind: str
    name: str
    added: bool
    changes: tuple[Change, ...]

    def __str__(self) -> str:
        if self.added:
            facts = ", ".join(f"{change.field} {change.new}" for change in self.changes if change.new)
            return f"+ {self.kind} {self.name}: {facts}"
        return "\n".join([f"~ {self.kind} {self.name}", *(f"    {change}" for change in self.changes)])


@dataclass(frozen=True, slots=True)
class Absent:
    """Stored things of a kind that the file does not name: how many, and the first of their names."""

    kind: str
    count: int
    names: tuple[str, ...]

    def __str__(self) -> str:
        more = ", …" if self.count > len(self.names) else ""
        return f"  not in this file, left alone: {self.count} of {self.kind}: {', '.join(self.names)}{more}"


@dataclass(slots=True)
class Difference:
    """What a file changes. Empty (False) when everything it says is stored already."""

    items: list[Item] = field(default_factory=list)
    unchanged: dict[str, int] = field(default_factory=dict)
    absent: list[Absent] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.items)

    def names(self, kind: str) -> set[str]:
        """The names of what is added or changed of a kind."""
        return {item.name for item in self.items if item.kind == kind}

    def counts(self) -> dict[str, int]:
        """How many are added, changed and unchanged."""
        added = sum(item.added for item in self.items)
        return {"added": added, "changed": len(self.items) - added, "unchanged": sum(self.unchanged.values())}

    def text(self) -> str:
        """For people: + added, ~ changed with old -> new."""
        return "\n".join(self.lines())

    def lines(self) -> Iterator[str]:
        """The same in pieces: of a region it is a hundred megabytes."""
        yield from map(str, self.items)
        yield from map(str, self.absent)
        yield ", ".join(f"{count} {name}" for name, count in self.counts().items())


def compare(wanted: Fleet, stored: Fleet, pairs: Pairs) -> Difference:
    """What `wanted` would change of `stored`."""
    difference = Difference()
    for name, line in wanted.lines.items():
        line_before = stored.lines.get(name)
        _note(difference, "line", name, _line(line, line_before), _line(line_before))
    for code, point in wanted.points.items():
        _note(difference, "point", code, _point(point), _point(stored.points.get(code)))
    for serial, meter in wanted.meters.items():
        meter_before = stored.meters.get(serial)
        _note(difference, "meter", serial, _meter(meter, meter_before), _meter(meter_before))
    for one in pairs.installations:
        _note(difference, "installation", place_of(one.wanted), _installed(one.wanted), _installed(one.stored))
    for contract, old in pairs.contracts:
        name = f"{contract.consumer} at {contract.point}, {contract.since.isoformat()}"
        _note(difference, "contract", name, _contract(contract), _contract(old))
    return difference


def absent_of(kind: str, count: int, names: Sequence[str]) -> Absent:
    return Absent(kind, count, tuple(names[:_LISTED]))


_Facts = Mapping[str, str | None]

# Meters of a region differ in their numbers and little else: what they have in common is kept once.
_change = lru_cache(Change)
_KEPT = "register "
"""Registers stay when neither the file nor the catalogue names them."""


def _note(difference: Difference, kind: str, name: str, new: _Facts, old: _Facts) -> None:
    named = [*new, *(key for key in old if key not in new and not key.startswith(_KEPT))]
    changes = tuple(_change(key, old.get(key), new.get(key)) for key in named if old.get(key) != new.get(key))
    if not old or changes:
        difference.items.append(Item(kind, name, not old, changes))
    else:
        difference.unchanged[kind] = difference.unchanged.get(kind, 0) + 1


def _line(line: Line | None, before: Line | None = None) -> _Facts:
    if line is None:
        return {}
    options = options_text(line.options, before.options if before else {})
    return {"kind": line.kind, "address": line.address, "options": options}


def _point(point: MeteringPoint | None) -> _Facts:
    if point is None:
        return {}
    return {
        "zone": point.zone,
        "name": point.name or None,
        "address": point.address or None,
        "category": point.category,
        "official_code": point.official_code,
    }


def _meter(known: FleetMeter | None, before: FleetMeter | None = None) -> _Facts:
    if known is None:
        return {}
    meter = known.meter
    return {
        "model": meter.model,
        "line": meter.line,
        "address": meter.address,
        "gateway": meter.gateway,
        "period": show_period(meter.period),
        "verified_until": None if meter.verified_until is None else meter.verified_until.isoformat(),
        "options": options_text(meter.options, before.meter.options if before else {}),
        **{intern(_KEPT + channel): _register(spec) for channel, spec in known.registers.items()},
    }


@lru_cache
def _register(spec: RegisterSpec) -> str:
    digits = "any" if spec.digits is None else str(spec.digits)
    rate = "" if spec.max_rate is None else f", at most {show_number(spec.max_rate)} {unit_of(spec.channel)} an hour"
    return f"{digits} digits, {spec.decimals} decimals{rate}"


def _installed(installation: Installation | None) -> _Facts:
    if installation is None:
        return {}
    return {
        "meter": installation.meter,
        "since": installation.since.isoformat(),
        "until": _instant(installation.until),
        "ct": show_number(installation.ct),
        "vt": show_number(installation.vt),
        **{f"opening {channel}": show_number(value) for channel, value in installation.opening.items()},
        **{f"closing {channel}": show_number(value) for channel, value in installation.closing.items()},
    }


def _contract(contract: Contract | None) -> _Facts:
    if contract is None:
        return {}
    return {"since": contract.since.isoformat(), "until": _instant(contract.until)}


def _instant(instant: datetime | None) -> str | None:
    return None if instant is None else instant.isoformat()
