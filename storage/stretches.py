"""Selection for consumption: only the readings around each cut and each break travel, whatever the polling rate.

SQL picks which readings, `ingest.consumption` says what they mean.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import psycopg

from ingest.beside import Beside
from ingest.consumption import Boundary, Stretch
from ingest.instants import micros, span
from storage import around, series, slots, standing
from storage.boundaries import boundaries
from storage.probes import Ask
from storage.standing import Installed, Place, Standing

_NEAR = span(timedelta(hours=6))
"""Two readings no further apart leave no doubt about a cut between them, whatever the policy."""

Groups = Mapping[tuple[int, str], Sequence[Standing]]
"""By installation and channel: the registers that make it up."""


async def stretches(
    conn: psycopg.AsyncConnection[Any], point: str, channels: Sequence[str] | None, cuts: Sequence[datetime]
) -> dict[str, list[Stretch]]:
    """For each channel (None: every counter of the point) its installations over the cuts, oldest first.

    A total (C.8.0) that a meter has no register for consists of its zones; with a register, its zones stand by where it
    may fall short. A channel nobody ever metered has an empty list.
    """
    return (await stretches_of(conn, [point], channels, cuts))[point]


async def stretches_of(
    conn: psycopg.AsyncConnection[Any], points: Sequence[str], channels: Sequence[str] | None, cuts: Sequence[datetime]
) -> dict[str, dict[str, list[Stretch]]]:
    """The same for many points over the same cuts, by point: as many questions to the database as for one, and one more
    for each register with a load profile.
    """
    return await within(conn, await standing.load(conn, points), channels, cuts)


async def within(
    conn: psycopg.AsyncConnection[Any],
    places: Mapping[str, Place],
    channels: Sequence[str] | None,
    cuts: Sequence[datetime],
) -> dict[str, dict[str, list[Stretch]]]:
    """The same for points whose places are known; they are filled, and are of no use for other cuts afterwards."""
    sites = {point: _Site(place, channels, cuts) for point, place in places.items()}
    instants = [micros(cut) for cut in cuts]
    await _fill(conn, (one for site in sites.values() for group in site.own.values() for one in group), instants)
    for site in sites.values():
        site.call_zones(instants)
    called = (one for site in sites.values() for group in site.standby.values() for one in group)
    await _fill(conn, (one for one in called if not one.boundaries), instants)
    return {point: site.stretches() for point, site in sites.items()}


class _Site:
    """One point: which registers its channels are made of, by installation and channel."""

    def __init__(self, place: Place, channels: Sequence[str] | None, cuts: Sequence[datetime]) -> None:
        self.installed = [
            one for one in place.installed if one.since < cuts[-1] and (one.until is None or one.until > cuts[0])
        ]
        stays = {stay.id for stay in self.installed}
        here = [one for one in place.every if one.installation in stays]
        self.names = (
            sorted({one.channel for one in here} | standing.totals(here)) if channels is None else list(channels)
        )
        keys = [(stay.id, name) for stay in self.installed for name in self.names]
        self.own: Groups = {key: standing.own(here, *key) for key in keys}
        self.zones: Groups = {key: standing.zones(here, *key) for key in keys}
        self.standby: Groups = {}

    def call_zones(self, instants: Sequence[int]) -> None:
        """Let the zones stand by where the register itself, now that it is filled, may fall short."""
        self.standby = {
            key: group if group and all(_falls_short(one, instants) for one in self.own[key]) else ()
            for key, group in self.zones.items()
        }

    def stretches(self) -> dict[str, list[Stretch]]:
        return {name: _stretches(self.installed, name, self.own, self.standby) for name in self.names}


def _stretches(installed: Iterable[Installed], name: str, own: Groups, zones: Groups) -> list[Stretch]:
    if not any(own[stay.id, name] or zones[stay.id, name] for stay in installed):
        return []
    return [_stretch(stay, own[stay.id, name], zones[stay.id, name]) for stay in installed]


def _stretch(stay: Installed, own: Sequence[Standing], zones: Sequence[Standing]) -> Stretch:
    counters, zone_counters = (tuple(one.counter() for one in group) for group in (own, zones))
    if not counters:
        counters, zone_counters = zone_counters, ()
    return Stretch(stay.meter, stay.since, stay.until, stay.ratio, counters, zone_counters)


def _falls_short(one: Standing, cuts: Sequence[int]) -> bool:
    """Whether some interval between the cuts may be known by less than half from this register alone."""
    if one.breaks or one.slots or not one.boundaries:
        return True
    if (one.opening is not None or one.closing is not None) and any(
        cuts[0] < end < cuts[-1] for end in (one.low, one.high)
    ):
        return True
    if isinstance(one.boundaries, Beside) and one.boundaries.widest() <= _NEAR:
        return False
    if len({mark.source for boundary in one.boundaries for mark in (*boundary.before, *boundary.after)}) > 1:
        return True
    known = [_known(boundary) for boundary in sorted(one.boundaries)]
    return any(last - first < (end - begin) // 2 for (begin, _, first), (end, last, _) in pairwise(known))


def _known(boundary: Boundary) -> tuple[int, int, int]:
    """A cut, up to when something is known before it and from when on after it.

    Both are the cut itself where readings are near on both sides.
    """
    before = max([mark.at for mark in boundary.before], default=-standing.FOREVER)
    after = min([mark.at for mark in boundary.after], default=standing.FOREVER)
    return (boundary.at, boundary.at, boundary.at) if after - before <= _NEAR else (boundary.at, before, after)


async def _fill(conn: psycopg.AsyncConnection[Any], of: Iterable[Standing], cuts: Sequence[int]) -> None:
    """Put the boundaries, breaks and profiles into their places."""
    wanted = list({id(one): one for one in of}.values())
    if not wanted:
        return
    present = await series.sources(conn, {one.register_id: one.sources for one in wanted})
    broken = {one.register_id for one in wanted if one.broken}
    spans = [Ask(one.register_id, one.low, one.high) for one in wanted]
    breakable = [one for one in present if one[0] in broken]
    found = await around.breaks(conn, spans, breakable, cuts[0], cuts[-1])
    instants = []
    for one, breaks in zip(wanted, found, strict=True):
        one.breaks = breaks
        one.unsteady = any(len(instants) >= around.MOST_BREAKS for instants in breaks.values())
        instants.append(_instants(one, cuts))
    asks = list(zip(spans, instants, strict=True))
    for one, beside in zip(wanted, await boundaries(conn, asks, present), strict=True):
        one.boundaries = beside
    await _add_stuck_runs(conn, wanted)
    await _add_profiles(conn, wanted, cuts)


def _instants(one: Standing, cuts: Sequence[int]) -> Sequence[int]:
    """Where to look: at the cuts and ends while the meter stood here, and beside its breaks. Ascending."""
    begin, end = max(cuts[0], micros(one.since)), min(cuts[-1], one.high if one.until is None else micros(one.until))
    broken = {at - 1 for instants in one.breaks.values() for at in instants}
    if not broken and begin == cuts[0] and end == cuts[-1]:
        return cuts
    return sorted({*(cut for cut in cuts if begin <= cut <= end), begin, end, *broken})


async def _add_stuck_runs(conn: psycopg.AsyncConnection[Any], wanted: Sequence[Standing]) -> None:
    """Where a jump is too fast from the last reading before it, also find where that value was first shown."""
    jumps = [
        (one, run)
        for one in wanted
        for run in around.jumps(Ask(one.register_id, one.low, one.high), one.limits, one.breaks, one.boundaries)
    ]
    if jumps:
        firsts = await around.run_starts(conn, [run for _, run in jumps])
        for (one, _), first in zip(jumps, firsts, strict=True):
            one.boundaries = [*one.boundaries, Boundary(first.at, (first,), (first,))]


async def _add_profiles(conn: psycopg.AsyncConnection[Any], wanted: Sequence[Standing], cuts: Sequence[int]) -> None:
    """Sum the load profile between the cuts and the readings around them."""
    for one in wanted:
        if one.profiled:
            instants = {mark.at for boundary in one.boundaries for side in boundary[1:] for mark in side}
            edges = slots.edges(instants, cuts, one.low, one.high)
            one.slots = await slots.between(conn, one.register_id, one.limits, edges)
