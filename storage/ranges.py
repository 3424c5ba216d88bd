"""Whole ranges of readings: what instants that stand close together are found by, and the nearest two beside each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

import psycopg

from ingest.chain import Mark
from ingest.consumption import Boundary
from ingest.instants import instant, span
from ingest.model import Quality, Source
from storage.instants import TO_POSTGRES, raw_cursor

_DENSE = span(timedelta(hours=3))
"""Instants closer to each other than this are found quicker in the whole range of readings."""

_RANGE = """
SELECT s.register_id, s.source, r.taken_at, r.value, r.quality
FROM unnest(%(registers)s::int[], %(sources)s::smallint[]) AS s(register_id, source)
CROSS JOIN LATERAL (
    SELECT taken_at, value, quality FROM reading
    WHERE register_id = s.register_id AND source = s.source AND taken_at >= %(first)s AND taken_at <= %(last)s
      AND quality <> 2 ORDER BY taken_at LIMIT 1000000) r
"""

QUALITIES = {int(quality): quality for quality in Quality}
SOURCES = {int(source): source for source in Source}


def dense(asks: Sequence[tuple[int, int]]) -> dict[int, list[int]]:
    """Of (register, instant), the registers whose instants are so close that a range is quicker, and these."""
    of_register: dict[int, set[int]] = defaultdict(set)
    for register, at in asks:
        of_register[register].add(at)
    return {
        register: sorted(instants)
        for register, instants in of_register.items()
        if len(instants) > 1 and max(instants) - min(instants) < _DENSE * (len(instants) - 1)
    }


async def fetch(
    conn: psycopg.AsyncConnection[Any], series: Sequence[tuple[int, int]], bounds: tuple[int, int]
) -> dict[tuple[int, int], list[Mark]]:
    """All good readings of some (register, source) within the bounds, by time."""
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
    qualities, sources, epoch = QUALITIES, SOURCES, TO_POSTGRES
    for register, source, at, value, quality in await cursor.fetchall():
        marks[register, source].append(Mark(at + epoch, value, qualities[quality], sources[source]))
    return marks


def beside(instants: Sequence[int], marks: Sequence[Mark]) -> Iterator[tuple[int, Boundary]]:
    """Each of the instants (ascending) that has readings on both sides, with the nearest two."""
    n, count = 0, len(marks)
    for at in instants:
        while n < count and marks[n].at < at:
            n += 1
        if n == count:
            return
        after = marks[n]
        if after.at == at:
            yield at, Boundary(at, (after,), (after,))
        elif n:
            yield at, Boundary(at, (marks[n - 1],), (after,))
