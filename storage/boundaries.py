"""The readings next to given instants: remembered, fetched as one range, or one probe of the key each.

Which of the three is taken changes how long it takes and never what is found.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import psycopg

from ingest.beside import Beside
from ingest.chain import Mark
from ingest.consumption import Boundary
from ingest.instants import span
from ingest.model import Source
from storage import midnights, ranges
from storage.instants import TO_POSTGRES
from storage.probes import MACHINES, Ask, Memory, Pair, find, near
from storage.ranges import QUALITIES, SOURCES
from storage.series import Present

_QUARTER = span(timedelta(minutes=15))
"""Midnights anywhere are whole quarters of an hour; instants beside breaks are not."""


async def boundaries(
    conn: psycopg.AsyncConnection[Any], asks: Sequence[tuple[Ask, Sequence[int]]], present: Present
) -> list[Sequence[Boundary]]:
    """For each register and its ascending instants the nearest good readings of every source on either side."""
    of_register: dict[int, list[int]] = defaultdict(list)
    for register, source in present:
        of_register[register].append(source)
    asked = _instants(asks)
    dense = {register: instants for register, instants in asked.items() if ranges.dense(instants)}
    sparse = {register: sources for register, sources in of_register.items() if register not in dense}
    memory = await _remembered(conn, sparse, [asked[register] for register in sparse])
    memory |= await _ranged(conn, of_register, dense)
    looks = [_Look(ask, instants, of_register[ask.register_id], memory) for ask, instants in asks]
    if open_ := [pair for look in looks for pair in look.pairs]:
        await find(conn, open_, memory, dense)
    return [look.found() for look in looks]


def _instants(asks: Sequence[tuple[Ask, Sequence[int]]]) -> dict[int, Sequence[int]]:
    """All instants of each register, ascending: nearly always one list as it came."""
    found: dict[int, Sequence[int]] = {}
    for ask, instants in asks:
        known = found.get(ask.register_id)
        found[ask.register_id] = instants if known is None else sorted({*known, *instants})
    return found


class _Look:
    """One register and its instants: what is known beside them, and the pairs that are still to be found."""

    def __init__(self, ask: Ask, instants: Sequence[int], sources: Sequence[int], memory: Memory) -> None:
        self._instants = instants
        self._known: Beside | None = None
        if len(sources) == 1 and (known := memory.get((ask.register_id, sources[0]))):
            self._known = known.within(instants, ask.low, ask.high)
            if len(self._known) == len(instants):
                instants = ()
            else:
                found = {*self._known.ats, *(one.at for one in self._known.others)}
                instants = [at for at in instants if at not in found]
        self.pairs = [Pair(ask, at, source) for at in instants for source in sources]

    def found(self) -> Sequence[Boundary]:
        beside: dict[int, list[Pair]] = {} if self._known else {at: [] for at in self._instants}
        for pair in self.pairs:
            beside.setdefault(pair.at, []).append(pair)
        new = [_boundary(at, group) for at, group in beside.items()]
        return new if self._known is None else self._known.plus(new) if new else self._known


async def _ranged(
    conn: psycopg.AsyncConnection[Any], of_register: Mapping[int, Sequence[int]], dense: Mapping[int, Sequence[int]]
) -> Memory:
    """The readings beside the instants of dense registers, where there are such on both sides within the range."""
    asked = {(register, source): dense[register] for register in dense for source in of_register[register]}
    machines = {key: instants for key, instants in asked.items() if key[1] in MACHINES}
    if not machines:
        return {}
    ends = [at for instants in machines.values() for at in (instants[0], instants[-1])]
    return await ranges.beside(conn, machines, near(ends))


def _boundary(at: int, group: Sequence[Pair]) -> Boundary:
    return Boundary(
        at,
        tuple([pair.before for pair in group if pair.before is not None]),
        tuple([pair.after for pair in group if pair.after is not None]),
    )


async def _remembered(
    conn: psycopg.AsyncConnection[Any], of_register: Mapping[int, Sequence[int]], asked: Sequence[Sequence[int]]
) -> Memory:
    """What is remembered of these registers."""
    machines = sorted({source for sources in of_register.values() for source in sources} & MACHINES)
    alike = {id(instants): instants for instants in asked}  # points of one page are cut alike
    cuts = sorted({at for instants in alike.values() for at in instants if at % _QUARTER == 0})
    if not machines or not cuts:
        return {}
    rows = await midnights.known(conn, sorted(of_register), machines, cuts)
    rows.sort()
    return {key: _midnights(SOURCES[key[1]], of_series) for key, of_series in ranges.runs(rows)}


def _midnights(source: Source, rows: Sequence[midnights.Midnight]) -> Beside:
    """Midnights of one series."""
    epoch = TO_POSTGRES
    sound = [row for row in rows if not row[5] | row[8]]  # GOOD is 0
    others = (
        [
            Boundary(
                cut + epoch,
                (Mark(before_at + epoch, before, QUALITIES[before_quality], source),),
                (Mark(after_at + epoch, after, QUALITIES[after_quality], source),),
            )
            for _, _, cut, before_at, before, before_quality, after_at, after, after_quality in rows
            if before_quality or after_quality
        ]
        if len(sound) < len(rows)
        else []
    )
    return Beside(
        source,
        [row[2] + epoch for row in sound],
        [row[3] + epoch for row in sound],
        [row[4] for row in sound],
        [row[6] + epoch for row in sound],
        [row[7] for row in sound],
        others,
    )
