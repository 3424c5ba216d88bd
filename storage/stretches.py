"""Selection for consumption: only the readings around each cut and each break travel, whatever the polling rate.

SQL picks which readings, `ingest.consumption` says what they mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from itertools import pairwise
from typing import Any

import psycopg

from ingest.consumption import Boundary, Counter, Slot, Stretch
from ingest.instants import micros
from ingest.judge import Limits, limits_of
from ingest.model import Register, Source
from storage import around, slots

FOREVER = micros(datetime.fromisoformat("2200-01-01T00:00:00+00:00"))

# All installations of the point, for a meter whose ratio changes stands on: its readings before serve the time after.
_STANDING = """
SELECT i.id, m.serial, i.since, i.until, i.ct * i.vt, r.id, r.channel, r.digits, r.decimals, r.max_rate,
       o.opening, o.closing
FROM point p
JOIN installation i ON i.point_id = p.id
JOIN meter m ON m.id = i.meter_id
LEFT JOIN register r ON r.meter_id = m.id AND split_part(r.channel, '.', 2) = '8'
LEFT JOIN installation_reading o ON o.installation_id = i.id AND o.register_id = r.id
WHERE p.code = %(point)s
ORDER BY i.since, r.channel
"""


@dataclass(slots=True)
class Standing:
    """One register of one installation, and what was found around its cuts.

    Its readings are good from `low` to `high`: the time the meter stood here, also under another ratio.
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
    low: int
    high: int
    boundaries: list[Boundary] = field(default_factory=list)
    breaks: dict[Source, list[int]] = field(default_factory=dict)
    unsteady: bool = False
    slots: tuple[Slot, ...] = ()

    def counter(self) -> Counter:
        """The same as the pure part takes it."""
        return Counter(
            self.channel,
            self.limits,
            tuple(self.boundaries),
            self.breaks,
            self.opening,
            self.closing,
            self.slots,
            self.unsteady,
        )


async def stretches(
    conn: psycopg.AsyncConnection[Any], point: str, channels: Sequence[str] | None, cuts: Sequence[datetime]
) -> dict[str, list[Stretch]]:
    """For each channel (None: every counter of the point) its installations over the cuts, oldest first.

    A total (C.8.0) that a meter has no register for consists of its zones; with a register, its zones stand by. A
    channel nobody ever metered has an empty list.
    """
    rows = await (await conn.execute(_STANDING, {"point": point}, binary=True)).fetchall()
    every = [_standing(row) for row in rows if row[5] is not None]
    _join_same_meters(every)
    installations = {
        row[0]: row[:5] for row in rows if row[2] < cuts[-1] and (row[3] is None or row[3] > cuts[0])
    }  # fmt: skip
    here = [one for one in every if one.installation in installations]
    names = sorted({one.channel for one in here} | _totals(here)) if channels is None else list(channels)
    own = {(key, name): _own(here, key, name) for key in installations for name in names}
    zones = {(key, name): _zones(here, key, name) for key in installations for name in names}
    wanted = {id(one): one for groups in (own, zones) for group in groups.values() for one in group}
    await _fill(conn, list(wanted.values()), [micros(cut) for cut in cuts])
    metered = {name for (_, name), group in [*own.items(), *zones.items()] if group}
    return {
        name: [
            _stretch(standing, own[standing[0], name], zones[standing[0], name]) for standing in installations.values()
        ]
        if name in metered
        else []
        for name in names
    }


def _standing(row: Sequence[Any]) -> Standing:
    installation, serial, since, until, ratio, register_id, channel, digits, decimals, max_rate, opening, closing = row
    limits = limits_of(Register(register_id, serial, channel, digits, decimals, max_rate))
    low, high = micros(since), FOREVER if until is None else micros(until)
    return Standing(
        installation, serial, since, until, ratio, register_id, channel, limits, opening, closing, low, high
    )  # fmt: skip


def _join_same_meters(every: Sequence[Standing]) -> None:
    """Where a meter stayed and nobody wrote down what it showed, its readings serve both sides of the change."""
    by_register: dict[int, list[Standing]] = {}
    for one in every:
        by_register.setdefault(one.register_id, []).append(one)
    for stay in by_register.values():
        for before, after in pairwise(stay):
            if before.until == after.since and before.closing is None and after.opening is None:
                after.low = before.low
        for before, after in reversed(list(pairwise(stay))):
            if before.until == after.since and after.low == before.low:
                before.high = after.high


def _stretch(standing: Sequence[Any], own: Sequence[Standing], zones: Sequence[Standing]) -> Stretch:
    _, serial, since, until, ratio = standing
    counters, zone_counters = (tuple(one.counter() for one in group) for group in (own, zones))
    if not counters:
        counters, zone_counters = zone_counters, ()
    return Stretch(serial, since, until, ratio, counters, zone_counters)


def _totals(every: Sequence[Standing]) -> set[str]:
    return {one.channel.rpartition(".")[0] + ".0" for one in every}


def _own(every: Sequence[Standing], installation: int, channel: str) -> list[Standing]:
    return [one for one in every if one.installation == installation and one.channel == channel]


def _zones(every: Sequence[Standing], installation: int, channel: str) -> list[Standing]:
    """The zones of a total; none for anything else."""
    quantity, _, tariff = channel.rpartition(".")
    if tariff != "0":
        return []
    return [
        one
        for one in every
        if one.installation == installation and one.channel != channel and one.channel.rpartition(".")[0] == quantity
    ]


async def _fill(conn: psycopg.AsyncConnection[Any], wanted: Sequence[Standing], cuts: Sequence[int]) -> None:
    """Put the boundaries, breaks and profiles into their places."""
    if not wanted:
        return
    present = await around.sources(conn, [one.register_id for one in wanted])
    spans = [around.Ask(one.register_id, one.low, one.high) for one in wanted]
    found = await around.breaks(conn, spans, present, cuts[0], cuts[-1])
    asks: list[tuple[Standing, int]] = []
    for one, breaks in zip(wanted, found, strict=True):
        one.breaks = breaks
        one.unsteady = any(len(instants) >= around.MOST_BREAKS for instants in breaks.values())
        begin, end = (
            max(cuts[0], micros(one.since)),
            min(cuts[-1], one.high if one.until is None else micros(one.until)),
        )
        instants = {cut for cut in cuts if begin <= cut <= end} | {begin, end}
        asks += [(one, at) for at in sorted(instants)]
        asks += [(one, at - 1) for at in sorted({at for series in breaks.values() for at in series})]
    boundaries = await around.boundaries(
        conn, [(around.Ask(one.register_id, one.low, one.high), at) for one, at in asks], present
    )
    for (one, _), boundary in zip(asks, boundaries, strict=True):
        one.boundaries.append(boundary)
    await _add_stuck_runs(conn, wanted)
    await _add_profiles(conn, wanted, cuts)


async def _add_stuck_runs(conn: psycopg.AsyncConnection[Any], wanted: Sequence[Standing]) -> None:
    """Where a jump is too fast from the last reading before it, also find where that value was first shown."""
    jumps = [
        (one, run)
        for one in wanted
        for run in around.jumps(around.Ask(one.register_id, one.low, one.high), one.limits, one.breaks, one.boundaries)
    ]
    if jumps:
        firsts = await around.run_starts(conn, [run for _, run in jumps])
        for (one, _), first in zip(jumps, firsts, strict=True):
            one.boundaries.append(Boundary(first.at, (first,), (first,)))


async def _add_profiles(conn: psycopg.AsyncConnection[Any], wanted: Sequence[Standing], cuts: Sequence[int]) -> None:
    """Sum the load profile between the cuts and the readings around them."""
    profiled = await slots.profiled(conn, [one.register_id for one in wanted])
    for one in wanted:
        if one.register_id in profiled:
            instants = {mark.at for boundary in one.boundaries for side in boundary[1:] for mark in side}
            edges = slots.edges(instants, cuts, one.low, one.high)
            one.slots = await slots.between(conn, one.register_id, one.limits, edges)
