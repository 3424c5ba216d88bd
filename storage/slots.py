"""The load profile summed between given instants: as many rows travel as there are instants, whatever its interval."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Any

import psycopg

from ingest.consumption import Slot
from ingest.instants import instant, span
from ingest.judge import Limits
from storage.instants import micros_cursor

_MARGIN = span(timedelta(days=62))
"""How far beyond the cuts a reading may lie for the profile to divide the step from or to it."""

_LONGEST = timedelta(days=1)
"""No profile has longer intervals."""

# An interval that reaches across an edge is divided by time, rounded so that its parts add up to it. What no meter of
# this rate can take in its time is not energy.
_BETWEEN = """
WITH recorded AS (
    SELECT source, start, start + seconds * interval '1 second' AS stop, seconds * 1000000::bigint AS length, energy,
           width_bucket(start, %(edges)s::timestamptz[]) AS first,
           width_bucket(start + seconds * interval '1 second' - interval '1 microsecond', %(edges)s::timestamptz[])
               AS last
    FROM interval_reading
    WHERE register_id = %(register)s AND start >= %(first)s AND start < %(last)s AND quality <> 2
      AND (%(rate)s::bigint IS NULL OR (energy - %(slack)s::bigint) * 3600 <= %(rate)s::bigint * seconds)
), pieces AS (
    SELECT source, first AS bucket, energy, length, false AS split FROM recorded WHERE first = last
    UNION ALL
    SELECT source, n, floor(energy * upper / length)::bigint - floor(energy * lower / length)::bigint, upper - lower,
           lower > 0
    FROM recorded CROSS JOIN LATERAL generate_series(first, last) AS n CROSS JOIN LATERAL (
        SELECT extract(epoch FROM CASE WHEN n = first THEN interval '0' ELSE (%(edges)s::timestamptz[])[n] - start END)
                   * 1000000 AS lower,
               extract(epoch FROM CASE WHEN n = last THEN stop ELSE (%(edges)s::timestamptz[])[n + 1] END - start)
                   * 1000000 AS upper) part
    WHERE first < last
)
SELECT bucket, source, sum(energy)::bigint, sum(length)::bigint, bool_or(split)
FROM pieces WHERE bucket BETWEEN 1 AND %(buckets)s
GROUP BY bucket, source ORDER BY bucket, source
"""


def edges(instants: Collection[int], cuts: Sequence[int], low: int, high: int) -> list[int]:
    """Where the profile is cut: at the cuts and at the readings around them, within the time the meter stood there.

    And at once behind the last of them: whether that one lies inside a recorded interval must not depend on what else
    is asked for, because a step that ends there is divided accordingly.
    """
    first, last = max(low, cuts[0] - _MARGIN), min(high, cuts[-1] + _MARGIN)
    inner = {at for at in (*instants, *cuts) if first <= at <= last}
    found = sorted(inner | {at for at in (low, high) if cuts[0] <= at <= cuts[-1]})
    return [*found, found[-1] + 1] if found else []


async def between(
    conn: psycopg.AsyncConnection[Any], register_id: int, limits: Limits, edges: Sequence[int]
) -> tuple[Slot, ...]:
    """The energy between adjacent edges (µs), of the source that recorded most of each."""
    if len(edges) < 2:
        return ()
    instants = [instant(at) for at in edges]
    cursor = micros_cursor(conn)
    await cursor.execute(
        _BETWEEN,
        {
            "register": register_id,
            "edges": instants,
            "buckets": len(edges) - 1,
            "first": instants[0] - _LONGEST,
            "last": instants[-1],
            "rate": limits.max_rate,
            "slack": 2 * limits.resolution,
        },
    )
    best: dict[int, Slot] = {}
    for bucket, _, energy, covered, split in await cursor.fetchall():
        slot = Slot(edges[bucket - 1], edges[bucket], energy, covered, split)
        fits = covered <= slot.end - slot.begin
        if bucket not in best or (fits and covered > best[bucket].covered):
            best[bucket] = slot
    return tuple(best.values())
