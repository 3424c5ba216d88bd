"""The newest reading of every series of points: the newest that is believed, and what is newer and is not.

The fleet's tables say where to look (which sources, and where their series end), so that two days of the history are
read and not all of it; only where nothing is found there is a second look.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import psycopg

from ingest.model import Quality

_NEAR = timedelta(days=2)

# Where a series ends: machines' in `newest`, people's in `entry`. A register nobody took notice of may have anything.
_SERIES = """
SELECT p.code, r.id, s.source, greatest(i.since, %(since)s), least(i.until, %(until)s),
       coalesce(n.taken_at, (SELECT max(e.taken_at) FROM entry e WHERE e.register_id = r.id AND e.source = s.source))
FROM point p JOIN installation i ON i.point_id = p.id JOIN register r ON r.meter_id = i.meter_id
CROSS JOIN LATERAL (
    SELECT source FROM series WHERE register_id = r.id
    UNION ALL
    SELECT id::smallint FROM generate_series(1, 6) AS any_source(id)
    WHERE NOT EXISTS (SELECT FROM series WHERE register_id = r.id)
) s
LEFT JOIN newest n ON n.register_id = r.id AND n.source = s.source
WHERE p.code = ANY(%(points)s) AND greatest(i.since, %(since)s) < least(i.until, %(until)s)
"""

# A look for a suspect reading that is not bounded by the believed one would walk the whole history of a sound register.
_FIND = """
SELECT s.n, m.serial, r.channel, x.taken_at, x.source, x.value, x.quality, x.reasons, x.received_at, e.author, e.note
FROM unnest(%(n)s::int[], %(registers)s::int[], %(sources)s::smallint[], %(since)s::timestamptz[],
            %(until)s::timestamptz[]) AS s(n, register_id, source, since, until)
CROSS JOIN LATERAL (
    WITH believed AS (
        SELECT * FROM reading WHERE register_id = s.register_id AND source = s.source AND quality <> 2
            AND taken_at >= s.since AND taken_at < s.until AND taken_at >= %(low)s AND taken_at < %(high)s
        ORDER BY taken_at DESC LIMIT 1)
    SELECT * FROM believed
    UNION ALL
    (SELECT * FROM reading WHERE register_id = s.register_id AND source = s.source AND quality = 2
        AND reasons & 8 = 0
        AND taken_at >= coalesce((SELECT taken_at FROM believed), s.since) AND taken_at < s.until
        AND taken_at >= %(low)s AND taken_at < %(high)s
     ORDER BY taken_at DESC LIMIT 1)
) x
JOIN register r ON r.id = x.register_id JOIN meter m ON m.id = r.meter_id
LEFT JOIN entry e ON (e.register_id, e.source, e.taken_at) = (x.register_id, x.source, x.taken_at)
ORDER BY s.n
"""


class _Series(NamedTuple):
    """A series while its meter stood at the point, within [since, until), and where it ends if that is known."""

    point: str
    register_id: int
    source: int
    since: datetime
    until: datetime
    end: datetime | None

    @property
    def near(self) -> datetime | None:
        """From when on the newest reading is nearly always found."""
        return None if self.end is None else max(self.since, min(self.end, self.until) - _NEAR)


async def newest_readings(
    conn: psycopg.AsyncConnection[Any], points: Sequence[str], since: datetime, until: datetime
) -> list[tuple[Any, ...]]:
    """Rows of (point, serial, channel, taken_at, source, value, quality, reasons, received_at, author, note)."""
    asked = {"points": list(points), "since": since, "until": until}
    rows = await (await conn.execute(_SERIES, asked, binary=True)).fetchall()
    series = [_Series(*row) for row in rows]
    found: list[tuple[Any, ...]] = []
    again = [one for one in series if one.near is None]
    for group in _by_age([one for one in series if one.near is not None]):
        rows = await _find(conn, group, min(one.near for one in group if one.near))
        found += [(group[row[0]].point, *row[1:]) for row in rows]
        believed = {row[0] for row in rows if row[6] != Quality.SUSPECT}
        again += [one for n, one in enumerate(group) if n not in believed]
    if again:
        rows = await _find(conn, again, min(one.since for one in again))
        found += [(again[row[0]].point, *row[1:]) for row in rows]
    return list(dict.fromkeys(found))


def _by_age(series: Sequence[_Series]) -> list[list[_Series]]:
    """Those that end together, and those that ended long before: one old series must not widen the look for all."""
    newest = max((one.near for one in series if one.near), default=None)
    if newest is None:
        return []
    groups: tuple[list[_Series], list[_Series]] = ([], [])
    for one in series:
        groups[one.near is None or newest - one.near >= 15 * _NEAR].append(one)
    return [group for group in groups if group]


async def _find(conn: psycopg.AsyncConnection[Any], series: Sequence[_Series], low: datetime) -> list[Any]:
    asked = {
        "n": list(range(len(series))),
        "registers": [one.register_id for one in series],
        "sources": [one.source for one in series],
        "since": [one.since for one in series],
        "until": [one.until for one in series],
        "low": low,
        "high": max(one.until for one in series),
    }
    return await (await conn.execute(_FIND, asked, binary=True)).fetchall()
