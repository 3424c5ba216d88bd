"""The fleet as one value: what a file says, or what the database holds of the things a file names."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from ingest.model import Installation, Line, Meter, MeteringPoint, RegisterSpec

Models = Mapping[str, Sequence[RegisterSpec]]
"""Registers by model name: what the catalogue knows."""


LineCheck = Callable[[Line], object]
"""Raises Misconfigured for what a collector cannot use of a line: its kind, address or options."""
MeterCheck = Callable[[Line, Meter], object]
"""The same for a meter on a line: its address or options, or a model that the line cannot carry."""


@dataclass(frozen=True, slots=True)
class FleetMeter:
    """A meter with its registers by channel."""

    meter: Meter
    registers: Mapping[str, RegisterSpec]


@dataclass(frozen=True, slots=True)
class Contract:
    """Whose readings of a point are whose: a consumer sees the point's readings over [since, until)."""

    consumer: str
    point: str
    since: datetime
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Fleet:
    """Lines by name, points by code, meters by serial number, installations and contracts."""

    lines: Mapping[str, Line] = field(default_factory=dict)
    points: Mapping[str, MeteringPoint] = field(default_factory=dict)
    meters: Mapping[str, FleetMeter] = field(default_factory=dict)
    installations: Sequence[Installation] = ()
    contracts: Sequence[Contract] = ()


@dataclass(frozen=True, slots=True)
class Mentioned:
    """The names a file uses: what of the stored fleet has to be looked at."""

    lines: frozenset[str]
    points: frozenset[str]
    meters: frozenset[str]


def overlap(one: Installation | Contract, other: Installation | Contract) -> bool:
    """Whether two half-open spans have an instant in common."""
    return (one.until is None or other.since < one.until) and (other.until is None or one.since < other.until)
