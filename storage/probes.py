"""Readings next to single instants, by one probe of the key each or, of what people typed in, by all there is.

Bounds of time stand in every statement as parameters: that is what keeps a long history, cut into chunks, from being
asked chunk by chunk.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from datetime import timedelta
from typing import Any, NamedTuple

import psycopg

from ingest.beside import Beside
from ingest.chain import Mark
from ingest.instants import instant, span
from ingest.model import Source
from storage import ranges
from storage.arrays import Bigints, Integers, Smallints
from storage.instants import FROM_MICROS, micros_cursor
from storage.ranges import QUALITIES, SOURCES

_MARGIN = span(timedelta(days=3))
"""A first look goes no further beyond the instants asked for than this; only who is silent for longer gets another."""

_SEVERAL = 8
"""So many instants at least are worth a look at the ends of gaps."""

_EVER = (-2_208_988_800_000_000, 7_258_118_400_000_000)  # 1900, 2200

_PROBE = f"""
SELECT a.n, b.taken_at, b.value, b.quality, x.taken_at, x.value, x.quality
FROM (SELECT n, register_id, source, {FROM_MICROS.format("at")} AS at, {FROM_MICROS.format("low")} AS low,
             {FROM_MICROS.format("high")} AS high
      FROM unnest(%(n)s::int[], %(registers)s::int[], %(sources)s::smallint[], %(at)s::bigint[], %(low)s::bigint[],
                  %(high)s::bigint[]) AS u(n, register_id, source, at, low, high)) a
LEFT JOIN LATERAL (
    SELECT taken_at, value, quality FROM reading
    WHERE register_id = a.register_id AND source = a.source AND taken_at <= a.at AND taken_at >= a.low
      AND taken_at >= %(first)s AND taken_at <= %(latest)s
      AND quality <> 2 ORDER BY taken_at DESC LIMIT 1) b ON true
LEFT JOIN LATERAL (
    SELECT taken_at, value, quality FROM reading
    WHERE register_id = a.register_id AND source = a.source AND taken_at >= a.at AND taken_at <= a.high
      AND taken_at >= %(earliest)s AND taken_at <= %(last)s
      AND quality <> 2 ORDER BY taken_at LIMIT 1) x ON true
"""

MACHINES = {int(Source.AUTOMATIC), int(Source.IMPORT)}

Memory = dict[tuple[int, int], Beside]
"""What is known to be beside instants, by register and source."""


class Ask(NamedTuple):
    """Where to look: a register, and from when to when its meter stood there (µs)."""

    register_id: int
    low: int
    high: int


class Pair:
    """One instant and one source, and what was found beside it."""

    __slots__ = ("after", "ask", "at", "before", "source")

    def __init__(self, ask: Ask, at: int, source: int) -> None:
        self.ask = ask
        self.at = at
        self.source = source
        self.before: Mark | None = None
        self.after: Mark | None = None


async def find(
    conn: psycopg.AsyncConnection[Any], pairs: Sequence[Pair], memory: Memory, dense: Collection[int]
) -> None:
    """Put into the pairs what is beside them, by memory or by look; `dense` registers were looked at nearby already."""
    # Whatever people type in, there is not much of it.
    await _by_range(conn, [pair for pair in pairs if pair.source not in MACHINES], _EVER)
    machines = [pair for pair in pairs if pair.source in MACHINES]
    for pair in machines:
        known = memory.get((pair.ask.register_id, pair.source))
        beside = None if known is None else known.one(pair.at)
        if beside is not None and pair.ask.low <= beside.before[0].at and beside.after[0].at <= pair.ask.high:
            pair.before, pair.after = beside.before[0], beside.after[0]
    open_ = _open(machines)
    if gaps := _edges(open_):
        await _probe(conn, [pair for gap in gaps for pair in gap[:: max(1, len(gap) - 1)]], dense)
        open_ = [pair for gap in gaps for pair in gap[1:-1] if not _in_gap(pair, gap[0], gap[-1])]
    await _probe(conn, open_, dense)


def _edges(pairs: Sequence[Pair]) -> list[list[Pair]]:
    """Pairs by register and source where several are open; none where few are, which is nearly always.

    Many of one register lie in a gap, above all behind its last reading: then the ends of it are all there is to find.
    """
    if len(pairs) < _SEVERAL:
        return []
    found: dict[tuple[Ask, int], list[Pair]] = defaultdict(list)
    for pair in pairs:
        found[pair.ask, pair.source].append(pair)
    return list(found.values())


def _in_gap(pair: Pair, *found: Pair) -> bool:
    """Take over what is beside another instant if this one lies between the same two readings, or beyond all."""
    if not pair.ask.low <= pair.at <= pair.ask.high:
        return False
    for other in found:
        if (other.before is None or other.before.at < pair.at) and (other.after is None or pair.at < other.after.at):
            pair.before, pair.after = other.before, other.after
            return True
    return False


async def _probe(conn: psycopg.AsyncConnection[Any], pairs: Sequence[Pair], dense: Collection[int]) -> None:
    """Look near first, and further off where there is nothing; dense registers were looked at nearby."""
    sparse = [pair for pair in pairs if pair.ask.register_id not in dense]
    await _by_probe(conn, sparse, near([pair.at for pair in sparse]))
    await _by_probe(conn, _open(pairs), _EVER)


def near(instants: Collection[int]) -> tuple[int, int]:
    """How far a first look goes."""
    return max(_EVER[0], min(instants, default=0) - _MARGIN), min(_EVER[1], max(instants, default=0) + _MARGIN)


def _open(pairs: Iterable[Pair]) -> list[Pair]:
    return [pair for pair in pairs if pair.before is None or pair.after is None]


async def _by_range(conn: psycopg.AsyncConnection[Any], pairs: Sequence[Pair], bounds: tuple[int, int]) -> None:
    """Fetch all readings within the bounds, and look for the neighbours here."""
    if not pairs:
        return
    marks = await ranges.fetch(conn, sorted({(pair.ask.register_id, pair.source) for pair in pairs}), bounds)
    instants = {key: [mark.at for mark in found] for key, found in marks.items()}
    for pair in pairs:
        key = (pair.ask.register_id, pair.source)
        _beside(pair, instants[key], marks[key])


def _beside(pair: Pair, instants: Sequence[int], marks: Sequence[Mark]) -> None:
    before, after = bisect_right(instants, pair.at) - 1, bisect_left(instants, pair.at)
    if before >= 0 and instants[before] >= pair.ask.low:
        pair.before = marks[before]
    if after < len(marks) and instants[after] <= pair.ask.high:
        pair.after = marks[after]


async def _by_probe(conn: psycopg.AsyncConnection[Any], pairs: Sequence[Pair], bounds: tuple[int, int]) -> None:
    if not pairs:
        return
    cursor = micros_cursor(conn)
    await cursor.execute(
        _PROBE,
        {
            "n": Integers(range(len(pairs))),
            "registers": Integers([pair.ask.register_id for pair in pairs]),
            "sources": Smallints([pair.source for pair in pairs]),
            "at": Bigints([pair.at for pair in pairs]),
            "low": Bigints([pair.ask.low for pair in pairs]),
            "high": Bigints([pair.ask.high for pair in pairs]),
            "first": instant(bounds[0]),
            "earliest": instant(min(pair.at for pair in pairs)),
            "latest": instant(max(pair.at for pair in pairs)),
            "last": instant(bounds[1]),
        },
    )
    _take(pairs, await cursor.fetchall())


def _take(pairs: Sequence[Pair], rows: Iterable[tuple[Any, ...]]) -> None:
    for n, at_b, value_b, quality_b, at_a, value_a, quality_a in rows:
        pair = pairs[n]
        if at_b is not None:
            pair.before = Mark(at_b, value_b, QUALITIES[quality_b], SOURCES[pair.source])
        if at_a is not None:
            pair.after = Mark(at_a, value_a, QUALITIES[quality_a], SOURCES[pair.source])
