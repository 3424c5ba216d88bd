"""The readings next to given instants: remembered, fetched as one range, or one probe of the key each.

Which of the three is taken changes how long it takes and never what is found. Bounds of time stand in every statement
as parameters: that is what keeps a long history, cut into chunks, from being asked chunk by chunk.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, NamedTuple

import psycopg

from ingest.chain import Mark
from ingest.consumption import Boundary
from ingest.instants import instant, span
from ingest.model import Quality, Source
from storage import midnights
from storage.instants import TO_POSTGRES, micros_cursor, raw_cursor
from storage.series import Present

_MICROS = "timestamptz 'epoch' + {} * interval '1 microsecond'"
_MARGIN = span(timedelta(days=3))
"""A first look goes no further beyond the instants asked for than this; only who is silent for longer gets another."""

_DENSE = span(timedelta(hours=3))
"""Instants closer to each other than this are found quicker in the whole range of readings."""

_QUARTER = span(timedelta(minutes=15))
"""Midnights anywhere are whole quarters of an hour; instants beside breaks are not."""

_EVER = (-2_208_988_800_000_000, 7_258_118_400_000_000)  # 1900, 2200

_RANGE = """
SELECT s.register_id, s.source, r.taken_at, r.value, r.quality
FROM unnest(%(registers)s::int[], %(sources)s::smallint[]) AS s(register_id, source)
CROSS JOIN LATERAL (
    SELECT taken_at, value, quality FROM reading
    WHERE register_id = s.register_id AND source = s.source AND taken_at >= %(first)s AND taken_at <= %(last)s
      AND quality <> 2 ORDER BY taken_at LIMIT 1000000) r
"""

_PROBE = f"""
SELECT a.n, b.taken_at, b.value, b.quality, x.taken_at, x.value, x.quality
FROM (SELECT n, register_id, source, {_MICROS.format("at")} AS at, {_MICROS.format("low")} AS low,
             {_MICROS.format("high")} AS high
      FROM unnest(%(n)s::int[], %(registers)s::int[], %(sources)s::smallint[], %(at)s::bigint[], %(low)s::bigint[],
                  %(high)s::bigint[]) AS u(n, register_id, source, at, low, high)) a
LEFT JOIN LATERAL (
    SELECT taken_at, value, quality FROM reading
    WHERE register_id = a.register_id AND source = a.source AND taken_at <= a.at AND taken_at >= a.low
      AND taken_at >= %(first)s AND taken_at <= %(last)s
      AND quality <> 2 ORDER BY taken_at DESC LIMIT 1) b ON true
LEFT JOIN LATERAL (
    SELECT taken_at, value, quality FROM reading
    WHERE register_id = a.register_id AND source = a.source AND taken_at >= a.at AND taken_at <= a.high
      AND taken_at >= %(first)s AND taken_at <= %(last)s
      AND quality <> 2 ORDER BY taken_at LIMIT 1) x ON true
"""

_QUALITIES = {int(quality): quality for quality in Quality}
_SOURCES = {int(source): source for source in Source}
_MACHINES = {int(Source.AUTOMATIC), int(Source.IMPORT)}

Memory = Mapping[tuple[int, int], Mapping[int, Boundary]]
"""What is remembered, by register and source, then by instant."""


class Ask(NamedTuple):
    """Where to look: a register, and from when to when its meter stood there (µs)."""

    register_id: int
    low: int
    high: int


class _Pair:
    """One instant and one source, and what was found beside it."""

    __slots__ = ("after", "ask", "at", "before", "source")

    def __init__(self, ask: Ask, at: int, source: int) -> None:
        self.ask = ask
        self.at = at
        self.source = source
        self.before: Mark | None = None
        self.after: Mark | None = None


async def boundaries(
    conn: psycopg.AsyncConnection[Any], asks: Sequence[tuple[Ask, int]], present: Present
) -> list[Boundary]:
    """For each instant the nearest good readings of every source at or before and at or after it."""
    of_register: dict[int, list[int]] = defaultdict(list)
    for register, source in present:
        of_register[register].append(source)
    dense = _dense(asks)
    sparse = {register: sources for register, sources in of_register.items() if register not in dense}
    memory = await _remembered(conn, sparse, sorted({at for ask, at in asks if ask.register_id not in dense}))
    nothing: Mapping[int, Boundary] = {}
    found: list[Boundary] = []
    pairs: dict[int, list[_Pair]] = {}
    for n, (ask, at) in enumerate(asks):
        register, low, high = ask
        sources = of_register[register]
        if len(sources) == 1:  # nearly always: one glance, and nothing made that is not kept
            beside = memory.get((register, sources[0]), nothing).get(at)
            if beside is not None and low <= beside.before[0].at and beside.after[0].at <= high:
                found.append(beside)
                continue
        found.append(Boundary(at, (), ()))
        if sources:
            pairs[n] = [_Pair(ask, at, source) for source in sources]
    if pairs:
        await _find(conn, [pair for group in pairs.values() for pair in group], memory, dense)
        for n, group in pairs.items():
            found[n] = _boundary(asks[n][1], group)
    return found


def _dense(asks: Sequence[tuple[Ask, int]]) -> set[int]:
    """The registers whose instants are so close to each other that the whole range is found quicker."""
    of_register: dict[int, list[int]] = defaultdict(list)
    for ask, at in asks:
        of_register[ask.register_id].append(at)
    return {
        register
        for register, instants in of_register.items()
        if len(instants) > 1 and max(instants) - min(instants) < _DENSE * (len(set(instants)) - 1)
    }


def _boundary(at: int, group: Sequence[_Pair]) -> Boundary:
    return Boundary(
        at,
        tuple([pair.before for pair in group if pair.before is not None]),
        tuple([pair.after for pair in group if pair.after is not None]),
    )


async def _remembered(
    conn: psycopg.AsyncConnection[Any], of_register: Mapping[int, Sequence[int]], instants: Sequence[int]
) -> Memory:
    """What is remembered of these registers."""
    machines = sorted({source for sources in of_register.values() for source in sources} & _MACHINES)
    cuts = [at for at in instants if at % _QUARTER == 0]
    if not machines or not cuts:
        return {}
    rows = await midnights.known(conn, sorted(of_register), machines, cuts)
    qualities, sources, epoch = _QUALITIES, _SOURCES, TO_POSTGRES
    memory: dict[tuple[int, int], dict[int, Boundary]] = defaultdict(dict)
    for register, source, cut, before_at, before, before_quality, after_at, after, after_quality in rows:
        by = sources[source]
        memory[register, source][cut + epoch] = Boundary(
            cut + epoch,
            (Mark(before_at + epoch, before, qualities[before_quality], by),),
            (Mark(after_at + epoch, after, qualities[after_quality], by),),
        )
    return memory


async def _find(
    conn: psycopg.AsyncConnection[Any], pairs: Sequence[_Pair], memory: Memory, dense: Collection[int]
) -> None:
    near = (
        max(_EVER[0], min(pair.at for pair in pairs) - _MARGIN),
        min(_EVER[1], max(pair.at for pair in pairs) + _MARGIN),
    )
    # Whatever people type in, there is not much of it.
    await _by_range(conn, [pair for pair in pairs if pair.source not in _MACHINES], _EVER)
    machines = [pair for pair in pairs if pair.source in _MACHINES]
    await _by_range(conn, [pair for pair in machines if pair.ask.register_id in dense], near)
    sparse = [pair for pair in machines if pair.ask.register_id not in dense]
    for pair in sparse:
        beside = memory.get((pair.ask.register_id, pair.source), {}).get(pair.at)
        if beside is not None and pair.ask.low <= beside.before[0].at and beside.after[0].at <= pair.ask.high:
            pair.before, pair.after = beside.before[0], beside.after[0]
    await _by_probe(conn, _open(sparse), near)
    await _by_probe(conn, _open(machines), _EVER)


def _open(pairs: Iterable[_Pair]) -> list[_Pair]:
    return [pair for pair in pairs if pair.before is None or pair.after is None]


async def _by_range(conn: psycopg.AsyncConnection[Any], pairs: Sequence[_Pair], bounds: tuple[int, int]) -> None:
    """Fetch all readings within the bounds, and look for the neighbours here."""
    if not pairs:
        return
    series = sorted({(pair.ask.register_id, pair.source) for pair in pairs})
    cursor = raw_cursor(conn)
    await cursor.execute(
        _RANGE,
        {
            "registers": [register for register, _ in series],
            "sources": [source for _, source in series],
            "first": instant(bounds[0]),
            "last": instant(bounds[1]),
        },
    )
    marks: dict[tuple[int, int], list[Mark]] = {key: [] for key in series}
    qualities, sources, epoch = _QUALITIES, _SOURCES, TO_POSTGRES
    for register, source, at, value, quality in await cursor.fetchall():
        marks[register, source].append(Mark(at + epoch, value, qualities[quality], sources[source]))
    instants = {key: [mark.at for mark in found] for key, found in marks.items()}
    for pair in pairs:
        key = (pair.ask.register_id, pair.source)
        _beside(pair, instants[key], marks[key])


def _beside(pair: _Pair, instants: Sequence[int], marks: Sequence[Mark]) -> None:
    before, after = bisect_right(instants, pair.at) - 1, bisect_left(instants, pair.at)
    if before >= 0 and instants[before] >= pair.ask.low:
        pair.before = marks[before]
    if after < len(marks) and instants[after] <= pair.ask.high:
        pair.after = marks[after]


async def _by_probe(conn: psycopg.AsyncConnection[Any], pairs: Sequence[_Pair], bounds: tuple[int, int]) -> None:
    if not pairs:
        return
    cursor = micros_cursor(conn)
    await cursor.execute(
        _PROBE,
        {
            "n": list(range(len(pairs))),
            "registers": [pair.ask.register_id for pair in pairs],
            "sources": [pair.source for pair in pairs],
            "at": [pair.at for pair in pairs],
            "low": [pair.ask.low for pair in pairs],
            "high": [pair.ask.high for pair in pairs],
            "first": instant(bounds[0]),
            "last": instant(bounds[1]),
        },
    )
    _take(pairs, await cursor.fetchall())


def _take(pairs: Sequence[_Pair], rows: Iterable[tuple[Any, ...]]) -> None:
    for n, at_b, value_b, quality_b, at_a, value_a, quality_a in rows:
        pair = pairs[n]
        if at_b is not None:
            pair.before = Mark(at_b, value_b, _QUALITIES[quality_b], _SOURCES[pair.source])
        if at_a is not None:
            pair.after = Mark(at_a, value_a, _QUALITIES[quality_a], _SOURCES[pair.source])
