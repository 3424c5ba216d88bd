"""What is done to the parts of the soak and when, all of it from one seed. Pure."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

PARTS = ("collector", "ingest-1", "ingest-2", "api")
LINKS = ("collector-database", "ingest-database", "api-database", "ingest-broker", "gateways-broker")
METER_FAULTS = ("dead", "noise", "wrong-unit", "half-frame", "disconnect", "busy", "short")

KINDS = {
    "kill -9": 16,
    "SIGTERM": 8,
    "SIGSTOP": 10,
    "power cut": 8,
    "database kill -9": 5,
    "database restart": 5,
    "database SIGSTOP": 4,
    "broker kill -9": 5,
    "broker restart": 4,
    "broker SIGSTOP": 3,
    "network cut": 14,
    "network freeze": 6,
    "network delay": 8,
    "disk full": 5,
    "clock step": 4,
    "meter": 20,
}
"""Kinds of faults and how often each comes, in parts of the whole."""


@dataclass(frozen=True, slots=True)
class Fault:
    """`at` and `length` in seconds since the beginning; `target` as the kind needs it; `value` likewise."""

    at: float
    kind: str
    target: str
    length: float
    value: float = 0.0


def plan(seed: int, seconds: float, lines: int, every: float) -> list[Fault]:
    """Faults about `every` seconds apart; never two at once on one target."""
    chance = random.Random(seed)
    found: list[Fault] = []
    busy: dict[str, float] = {}
    for at in _instants(chance, seconds, every):
        for _ in range(8):
            fault = _fault(chance, at, lines)
            place = _place(fault)
            if busy.get(place, 0.0) <= at:
                found.append(fault)
                busy[place] = at + fault.length + 3.0 + (fault.value if kind_waits(fault) else 0.0)
                break
    return found


def _instants(chance: random.Random, seconds: float, every: float) -> Iterator[float]:
    at = 0.0
    while (at := at + chance.uniform(0.4, 1.6) * every) < seconds:
        yield at


def _fault(chance: random.Random, at: float, lines: int) -> Fault:
    [kind] = chance.choices(list(KINDS), weights=list(KINDS.values()))
    length, target, value = chance.uniform(0.3, 4.0), "", 0.0
    if kind in ("kill -9", "SIGTERM", "SIGSTOP"):
        target = chance.choice(PARTS)
    elif kind == "power cut":
        target, length, value = "collector-database", chance.uniform(11.0, 16.0), chance.uniform(5.0, 12.0)
    elif kind.startswith("network"):
        target = chance.choice([*LINKS, *(f"line-{n}" for n in range(lines))])
        length = chance.choice((0.5, 2.0, 6.0, 12.0)) * chance.uniform(0.7, 1.3)
        value = chance.choice((0.02, 0.1, 0.4))
    elif kind == "disk full":
        length = chance.uniform(4.0, 9.0)
    elif kind == "clock step":
        value = chance.choice((-1.3, -0.6, 0.6, 1.3))  # no multiple of the period: whose poll it is stays clear
    elif kind == "meter":
        target, value = f"{chance.random():.6f} {chance.choice(METER_FAULTS)}", float(chance.choice((1, 2, 3)))
    elif kind.startswith("database"):
        length = chance.choice((1.0, 3.0, 8.0)) * chance.uniform(0.7, 1.3)
    return Fault(round(at, 2), kind, target, round(length, 2), value)


def kind_waits(fault: Fault) -> bool:
    """Whether its value is a time as well."""
    return fault.kind == "power cut"


def _place(fault: Fault) -> str:
    """What a second fault at the same time would disturb in its own effect."""
    if fault.kind.startswith(("database", "broker")):
        return fault.kind.split(" ", 1)[0]
    if fault.kind in ("disk full", "clock step"):
        return fault.kind
    return fault.target or fault.kind
