"""The newest reading of every series of points: the newest that is believed, and what is newer and is not.

The first look is at the last two days, of the sources that ever gave readings. Whatever is not there is looked for
where the fleet's tables say that its series ends, and only then in all of the history.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import psycopg

from ingest.model import Quality, Source

_NEAR = timedelta(days=2)
_ANY = [int(source) for source in Source]

# One statement answers for a sound series that goes on: the newest reading of all is the newest believed one. For any
# other there is where its series ends: machines' in `newest`, people's in `entry`. A register nobody took notice of
# may have anything.
_GOING_ON = """
SELECT p.code, r.id, s.source, w.since, w.until,
       CASE WHEN x.quality IS DISTINCT FROM 2 AND x.taken_at IS NOT NULL THEN NULL ELSE coalesce(
           (SELECT n.taken_at FROM newest n WHERE n.register_id = r.id AND n.source = s.source),
           (SELECT max(e.taken_at) FROM entry e WHERE e.register_id = r.id AND e.source = s.source)) END,
       m.serial, r.channel, x.taken_at, s.source, x.value, x.quality, x.reasons, x.received_at, e.author, e.note
FROM point p JOIN installation i ON i.point_id = p.id
CROSS JOIN LATERAL (SELECT greatest(i.since, %(since)s) AS since, least(i.until, %(until)s) AS until) w
JOIN meter m ON m.id = i.meter_id
JOIN register r ON r.meter_id = m.id AND (%(channels)s::text[] IS NULL OR r.channel = ANY(%(channels)s))
LEFT JOIN series s ON s.register_id = r.id
LEFT JOIN LATERAL (
    SELECT taken_at, value, quality, reasons, received_at FROM reading
    WHERE register_id = r.id AND source = s.source AND reasons & 8 = 0
        AND taken_at >= w.since AND taken_at < w.until AND taken_at >= %(low)s AND taken_at < %(until)s
    ORDER BY taken_at DESC LIMIT 1) x ON true
LEFT JOIN entry e ON (e.register_id, e.source, e.taken_at) = (r.id, s.source, x.taken_at)
WHERE p.code = ANY(%(points)s) AND w.since < w.until
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
    conn: psycopg.AsyncConnection[Any],
    points: Sequence[str],
    since: datetime,
    until: datetime,
    channels: Sequence[str] | None = None,
) -> list[tuple[Any, ...]]:
    """Rows of (point, serial, channel, taken_at, source, value, quality, reasons, received_at, author, note).

    Of all channels, or of these.
    """
    low = max(since, min(until, datetime.now(UTC)) - _NEAR)
    asked = {"points": list(points), "since": since, "until": until, "low": low, "channels": channels}
    found: list[tuple[Any, ...]] = []
    unsure: list[_Series] = []
    for row in await (await conn.execute(_GOING_ON, asked, binary=True)).fetchall():
        taken_at, quality = row[8], row[11]
        if taken_at is not None and quality != Quality.SUSPECT:
            found.append((row[0], *row[6:]))
        else:
            sources = _ANY if row[2] is None else (row[2],)
            unsure += [_Series(row[0], row[1], source, *row[3:6]) for source in sources]
    return list(dict.fromkeys(found + await _look_again(conn, unsure)))


async def _look_again(conn: psycopg.AsyncConnection[Any], series: Sequence[_Series]) -> list[tuple[Any, ...]]:
    """The same rows of series that ended, or whose newest reading is not believed."""
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
    return found


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
