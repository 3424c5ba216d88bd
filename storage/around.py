"""The breaks near given instants, and where stuck runs began: one probe of the key each."""

from __future__ import annotations

from bisect import insort
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import psycopg

from ingest.chain import Mark, judged_with
from ingest.consumption import Boundary
from ingest.healing import LONGEST_DETOUR
from ingest.judge import Limits, advance
from ingest.model import Quality, Source
from storage.arrays import Bigints, Integers, Smallints
from storage.instants import FROM_MICROS, micros_cursor
from storage.probes import Ask
from storage.series import Present

BEYOND = 32
"""Breaks looked up on either side of the cuts: a detour around the first or last cut has its ends there."""

MOST_BREAKS = 4000
"""Of one source of a register within the cuts; a register that breaks more often than that has no counting at all."""


_BREAKS = f"""
SELECT a.n, a.source, d.taken_at
FROM (SELECT n, register_id, source, {FROM_MICROS.format("low")} AS low, {FROM_MICROS.format("high")} AS high,
             {FROM_MICROS.format("%(first)s::bigint")} AS first, {FROM_MICROS.format("%(last)s::bigint")} AS last
      FROM unnest(%(n)s::int[], %(registers)s::int[], %(sources)s::smallint[], %(low)s::bigint[], %(high)s::bigint[])
           AS u(n, register_id, source, low, high)) a
CROSS JOIN LATERAL (
    (SELECT taken_at FROM discontinuity
     WHERE register_id = a.register_id AND source = a.source AND taken_at < a.first AND taken_at > a.low
     ORDER BY taken_at DESC LIMIT {BEYOND})
    UNION ALL
    (SELECT taken_at FROM discontinuity
     WHERE register_id = a.register_id AND source = a.source AND taken_at >= greatest(a.first, a.low)
       AND taken_at <= least(a.last, a.high)
     ORDER BY taken_at LIMIT {MOST_BREAKS})
    UNION ALL
    (SELECT taken_at FROM discontinuity
     WHERE register_id = a.register_id AND source = a.source AND taken_at > a.last AND taken_at <= a.high
     ORDER BY taken_at LIMIT {BEYOND})
) d
"""

# d: the last reading that shows another value; f: the first that shows this one after it.
_RUN_STARTS = f"""
SELECT a.n, f.taken_at, f.value, f.quality
FROM (SELECT n, register_id, source, value, {FROM_MICROS.format("at")} AS at, {FROM_MICROS.format("low")} AS low
      FROM unnest(%(n)s::int[], %(registers)s::int[], %(sources)s::smallint[], %(values)s::bigint[], %(at)s::bigint[],
                  %(low)s::bigint[]) AS u(n, register_id, source, value, at, low)) a
LEFT JOIN LATERAL (
    SELECT taken_at FROM reading
    WHERE register_id = a.register_id AND source = a.source AND taken_at < a.at AND taken_at >= a.low
      AND value <> a.value AND quality <> 2 ORDER BY taken_at DESC LIMIT 1) d ON true
CROSS JOIN LATERAL (
    SELECT taken_at, value, quality FROM reading
    WHERE register_id = a.register_id AND source = a.source AND taken_at <= a.at AND taken_at >= a.low
      AND (d.taken_at IS NULL OR taken_at > d.taken_at) AND quality <> 2 ORDER BY taken_at LIMIT 1) f
ORDER BY a.n
"""


class Run(NamedTuple):
    """Readings of one value up to `at`, to be followed back to the first of them, not before `low`."""

    register_id: int
    source: Source
    value: int
    at: int
    low: int


async def breaks(
    conn: psycopg.AsyncConnection[Any], spans: Sequence[Ask], present: Present, first: int, last: int
) -> list[dict[Source, list[int]]]:
    """For each span the instants at which its counting may be broken, by judged series, in order."""
    of_register: dict[int, list[int]] = defaultdict(list)
    for register, source in present:
        of_register[register].append(source)
    asks = [(n, span, source) for n, span in enumerate(spans) for source in of_register[span.register_id]]
    found: list[dict[Source, list[int]]] = [{} for _ in spans]
    if not asks:
        return found
    cursor = micros_cursor(conn)
    await cursor.execute(
        _BREAKS,
        {
            "n": Integers(n for n, _, _ in asks),
            "registers": Integers(span.register_id for _, span, _ in asks),
            "sources": Smallints(source for _, _, source in asks),
            "low": Bigints(span.low for _, span, _ in asks),
            "high": Bigints(span.high for _, span, _ in asks),
            "first": first,
            "last": last,
        },
    )
    for n, source, at in await cursor.fetchall():
        insort(found[n].setdefault(judged_with(Source(source)), []), at)
    return found


def jumps(ask: Ask, limits: Limits, breaks: Mapping[Source, Sequence[int]], found: Sequence[Boundary]) -> list[Run]:
    """What may be stuck: a machine's readings before a jump that is too fast from the last of them."""
    broken = {at - 1 for instants in breaks.values() for at in instants}
    if not broken:
        return []
    return [
        Run(ask.register_id, before.source, before.value, before.at, max(ask.low, after.at - LONGEST_DETOUR))
        for boundary in found
        if boundary.at in broken
        for before in boundary.before
        for after in boundary.after
        if before.source is after.source and not before.source.by_person and before.value < after.value
        if advance(limits, after.at - before.at, before.value, after.value) is None
    ]


async def run_starts(conn: psycopg.AsyncConnection[Any], runs: Sequence[Run]) -> list[Mark]:
    """The first reading of each run, in the same order."""
    cursor = micros_cursor(conn)
    await cursor.execute(
        _RUN_STARTS,
        {
            "n": Integers(range(len(runs))),
            "registers": Integers(run.register_id for run in runs),
            "sources": Smallints(run.source for run in runs),
            "values": Bigints(run.value for run in runs),
            "at": Bigints(run.at for run in runs),
            "low": Bigints(min(run.low, run.at) for run in runs),
        },
    )
    rows = await cursor.fetchall()
    return [Mark(at, value, Quality(quality), runs[n].source) for n, at, value, quality in rows]
