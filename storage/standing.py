"""Who stood at points when: installations with the registers of their meters, ready to be filled with readings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from itertools import groupby, pairwise
from operator import itemgetter
from typing import Any, NamedTuple

import psycopg

from ingest.consumption import Boundary, Counter, Slot
from ingest.instants import micros
from ingest.judge import Limits, limits_of
from ingest.model import Register, Source

FOREVER = micros(datetime.fromisoformat("2200-01-01T00:00:00+00:00"))

# All installations of a point, for a meter whose ratio changes stands on: its readings before serve the time after.
# What there is of each register at all comes with it, so that nobody asks for what was never there.
_STANDING = """
SELECT p.code, i.id, m.serial, i.since, i.until, i.ct * i.vt, r.id, r.channel, r.digits, r.decimals, r.max_rate,
       o.opening, o.closing,
       ARRAY(SELECT source FROM series WHERE register_id = r.id ORDER BY source),
       EXISTS (SELECT FROM discontinuity WHERE register_id = r.id),
       EXISTS (SELECT FROM profile_series WHERE register_id = r.id)
FROM point p
JOIN installation i ON i.point_id = p.id
JOIN meter m ON m.id = i.meter_id
LEFT JOIN register r ON r.meter_id = m.id AND split_part(r.channel, '.', 2) = '8'
LEFT JOIN installation_reading o ON o.installation_id = i.id AND o.register_id = r.id
WHERE p.code = ANY(%(points)s)
ORDER BY p.code, i.since, r.channel
"""


@dataclass(slots=True)
class Standing:
    """One register of one installation, and what was found around its cuts.

    Its readings are good from `low` to `high`: the time the meter stood here, also under another ratio. `sources` are
    those that ever gave any (none: nobody took notice of any), `broken` and `profiled` say whether there are any breaks
    and load profiles of the register.
    """

    installation: int
    meter: str
    since: datetime
    until: datetime | None
    ratio: Decimal
    register_id: int
    channel: str
    limits: Limits
    opening: int | None
    closing: int | None
    sources: Sequence[int]
    broken: bool
    profiled: bool
    low: int
    high: int
    boundaries: Sequence[Boundary] = ()
    breaks: dict[Source, list[int]] = field(default_factory=dict)
    unsteady: bool = False
    slots: tuple[Slot, ...] = ()

    def counter(self) -> Counter:
        """The same as the pure part takes it."""
        return Counter(
            self.channel,
            self.limits,
            self.boundaries,
            self.breaks,
            self.opening,
            self.closing,
            self.slots,
            self.unsteady,
        )


class Installed(NamedTuple):
    """One installation of a point: [since, until) and K."""

    id: int
    meter: str
    since: datetime
    until: datetime | None
    ratio: Decimal


class Place(NamedTuple):
    """One point: all its installations, oldest first, and all counters of their meters."""

    installed: list[Installed]
    every: list[Standing]


async def load(conn: psycopg.AsyncConnection[Any], points: Sequence[str]) -> dict[str, Place]:
    """Who stood at each of the points; one that nobody knows, or where nothing ever stood, has an empty place."""
    rows = await (await conn.execute(_STANDING, {"points": list(points)}, binary=True)).fetchall()
    places = {point: Place([], []) for point in points}
    for code, found in groupby(rows, key=itemgetter(0)):
        of_point = [row[1:] for row in found]
        every = [_standing(row) for row in of_point if row[5] is not None]
        _join_same_meters(every)
        places[code] = Place(list({row[0]: Installed(*row[:5]) for row in of_point}.values()), every)
    return places


def _standing(row: Sequence[Any]) -> Standing:
    installation, serial, since, until, ratio, register_id, channel = row[:7]
    limits = limits_of(Register(register_id, serial, channel, *row[7:10]))
    opening, closing, sources, broken, profiled = row[10:]
    low, high = micros(since), FOREVER if until is None else micros(until)
    return Standing(
        installation,
        serial,
        since,
        until,
        ratio,
        register_id,
        channel,
        limits,
        opening,
        closing,
        sources,
        broken,
        profiled,
        low,
        high,
    )


def _join_same_meters(every: Sequence[Standing]) -> None:
    """Where a meter stayed, what was written down on one side of the change counts on both.

    Where nobody wrote anything down, its readings serve both sides.
    """
    by_register: dict[int, list[Standing]] = {}
    for one in every:
        by_register.setdefault(one.register_id, []).append(one)
    for stay in by_register.values():
        for before, after in pairwise(stay):
            if before.until != after.since:
                continue
            if before.closing is None:
                before.closing = after.opening
            elif after.opening is None:
                after.opening = before.closing
            if before.closing is None:
                after.low = before.low
        for before, after in reversed(list(pairwise(stay))):
            if before.until == after.since and after.low == before.low:
                before.high = after.high


def totals(every: Sequence[Standing]) -> set[str]:
    """The channels of the totals of everything metered, with or without a register of their own."""
    return {one.channel.rpartition(".")[0] + ".0" for one in every}


def own(every: Sequence[Standing], installation: int, channel: str) -> list[Standing]:
    """The register of a channel, if the meter of the installation has one."""
    return [one for one in every if one.installation == installation and one.channel == channel]


def zones(every: Sequence[Standing], installation: int, channel: str) -> list[Standing]:
    """The zones of a total; none for anything else."""
    quantity, _, tariff = channel.rpartition(".")
    if tariff != "0":
        return []
    return [
        one
        for one in every
        if one.installation == installation and one.channel != channel and one.channel.rpartition(".")[0] == quantity
    ]
