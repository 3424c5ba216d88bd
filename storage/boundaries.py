"""The readings next to given instants: remembered, fetched as one range, or one probe of the key each.

Which of the three is taken changes how long it takes and never what is found. Bounds of time stand in every statement
as parameters: that is what keeps a long history, cut into chunks, from being asked chunk by chunk.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any, NamedTuple

import psycopg

from ingest.chain import Mark
from ingest.consumption import Boundary
from ingest.instants import instant, span
from ingest.model import Quality, Source
from storage import midnights
from storage.instants import micros_cursor
from storage.series import Present

_MICROS = "timestamptz 'epoch' + {} * interval '1 microsecond'"
_MARGIN = span(timedelta(days=3))
"""A first look goes no further beyond the instants asked for than this; only who is silent for longer gets another."""

_DENSE = span(timedelta(hours=3))
"""Instants closer to each other than this are found quicker in the whole range of readings."""

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
    groups = [[_Pair(ask, at, source) for source in of_register[ask.register_id]] for ask, at in asks]
    pairs = [pair for group in groups for pair in group]
    if pairs:
        await _find(conn, pairs)
    return [
        Boundary(
            at,
            tuple([pair.before for pair in group if pair.before is not None]),
            tuple([pair.after for pair in group if pair.after is not None]),
        )
        for (_, at), group in zip(asks, groups, strict=True)
    ]


async def _find(conn: psycopg.AsyncConnection[Any], pairs: Sequence[_Pair]) -> None:
    instants = sorted({pair.at for pair in pairs})
    near = (max(_EVER[0], instants[0] - _MARGIN), min(_EVER[1], instants[-1] + _MARGIN))
    typed = [pair for pair in pairs if _SOURCES[pair.source] not in (Source.AUTOMATIC, Source.IMPORT)]
    await _by_range(conn, typed, _EVER)  # whatever people type in, there is not much of it
    machines = [pair for pair in pairs if _SOURCES[pair.source] in (Source.AUTOMATIC, Source.IMPORT)]
    if (instants[-1] - instants[0]) < _DENSE * (len(instants) - 1):
        await _by_range(conn, machines, near)
    else:
        await _by_midnight(conn, machines, instants)
        await _by_probe(conn, [pair for pair in machines if pair.before is None or pair.after is None], near)
    await _by_probe(conn, [pair for pair in machines if pair.before is None or pair.after is None], _EVER)


async def _by_midnight(conn: psycopg.AsyncConnection[Any], pairs: Sequence[_Pair], instants: Sequence[int]) -> None:
    """Take what is remembered, as far as the meter stood here at both readings."""
    if not pairs:
        return
    places: dict[tuple[int, int, int], list[_Pair]] = defaultdict(list)
    for pair in pairs:
        places[pair.ask.register_id, pair.source, pair.at].append(pair)
    registers, sources = sorted({pair.ask.register_id for pair in pairs}), sorted({pair.source for pair in pairs})
    rows = await midnights.known(conn, registers, sources, instants)
    for register, source, cut, before_at, before, before_quality, after_at, after, after_quality in rows:
        for pair in places.get((register, source, cut), ()):
            if pair.ask.low <= before_at and after_at <= pair.ask.high:
                pair.before = Mark(before_at, before, _QUALITIES[before_quality], _SOURCES[source])
                pair.after = Mark(after_at, after, _QUALITIES[after_quality], _SOURCES[source])


async def _by_range(conn: psycopg.AsyncConnection[Any], pairs: Sequence[_Pair], bounds: tuple[int, int]) -> None:
    """Fetch all readings within the bounds, and look for the neighbours here."""
    if not pairs:
        return
    series = sorted({(pair.ask.register_id, pair.source) for pair in pairs})
    cursor = micros_cursor(conn)
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
    for register, source, at, value, quality in await cursor.fetchall():
        marks[register, source].append(Mark(at, value, _QUALITIES[quality], _SOURCES[source]))
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
