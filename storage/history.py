"""The read path: the newest reading that counts, pages of raw history, and who stood where when.

Every query goes by the key (register, source, instant), with the time bounded from both sides.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg

from ingest.channel import from_micro
from ingest.consumption import Policy
from ingest.errors import Malformed
from ingest.instants import instant, micros
from ingest.model import Quality, Reason, Source
from storage.newest import newest_readings

ALL_SOURCES = [int(source) for source in Source]
NEAR = timedelta(days=2)
"""A better source's reading this much older than the newest still counts before it."""

_COLUMNS = "m.serial, r.channel, x.taken_at, x.source, x.value, x.quality, x.reasons, x.received_at, e.author, e.note"

_STANDING = """
SELECT r.id AS register_id, r.channel, i.since, coalesce(i.until, 'infinity') AS until, r.meter_id
FROM point p JOIN installation i ON i.point_id = p.id JOIN register r ON r.meter_id = i.meter_id
WHERE p.code = %(point)s
"""

_PAGE = f"""
SELECT {_COLUMNS}, x.register_id
FROM ({_STANDING}) s
CROSS JOIN LATERAL (
    SELECT source FROM series WHERE register_id = s.register_id
    UNION ALL
    SELECT unnest(%(sources)s::smallint[]) WHERE NOT EXISTS (SELECT FROM series WHERE register_id = s.register_id)
) AS given
CROSS JOIN LATERAL (
    SELECT * FROM reading WHERE register_id = s.register_id AND source = given.source
        AND taken_at >= s.since AND taken_at < s.until AND taken_at >= %(since)s AND taken_at < %(until)s
        AND (taken_at, register_id, source) > (%(at)s, %(register)s, %(source)s)
        AND taken_at >= %(at)s
    ORDER BY taken_at LIMIT %(limit)s
) x
JOIN register r ON r.id = x.register_id JOIN meter m ON m.id = r.meter_id
LEFT JOIN entry e ON (e.register_id, e.source, e.taken_at) = (x.register_id, x.source, x.taken_at)
WHERE %(channel)s::text IS NULL OR s.channel = %(channel)s
ORDER BY x.taken_at, x.register_id, x.source
LIMIT %(limit)s
"""


@dataclass(frozen=True, slots=True)
class StoredReading:
    """A reading with everything known of it; `value` in the channel's base unit."""

    meter: str
    channel: str
    taken_at: datetime
    source: Source
    value: Decimal
    quality: Quality
    reasons: Reason
    received_at: datetime
    author: str | None
    note: str | None


@dataclass(frozen=True, slots=True)
class Counted:
    """The newest reading of a channel that counts, and the newest of every other source beside it."""

    reading: StoredReading
    others: tuple[StoredReading, ...]


async def latest(
    conn: psycopg.AsyncConnection[Any],
    point: str,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    policy: Policy | None = None,
    channels: Sequence[str] | None = None,
) -> list[Counted]:
    """For each channel ever metered at the point, by channel: what counts as its last reading within [since, until).

    With `channels` these alone. A suspect reading counts only where nothing better is stored; one from the future never
    does.
    """
    found = await latest_of(conn, [point], since=since, until=until, policy=policy, channels=channels)
    return found[point]


async def latest_of(
    conn: psycopg.AsyncConnection[Any],
    points: Sequence[str],
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    policy: Policy | None = None,
    channels: Sequence[str] | None = None,
) -> dict[str, list[Counted]]:
    """The same for many points, by point: as many questions to the database as for one."""
    policy = policy or Policy()
    rows = await newest_readings(conn, points, since or _FIRST, until or _LAST, channels)
    by_point: dict[str, dict[str, list[StoredReading]]] = {point: {} for point in points}
    for point, *row in rows:
        reading = _reading(row)
        by_point[point].setdefault(reading.channel, []).append(reading)
    return {
        point: [_counted(found[channel], policy) for channel in sorted(found, key=_channel_order)]
        for point, found in by_point.items()
    }


def _counted(candidates: Sequence[StoredReading], policy: Policy) -> Counted:
    believed = [reading for reading in candidates if reading.quality is not Quality.SUSPECT] or list(candidates)
    newest = max(reading.taken_at for reading in believed)
    near = [reading for reading in believed if newest - reading.taken_at <= NEAR]
    best = min(near, key=lambda reading: (policy.rank(reading.source), -micros(reading.taken_at)))
    newest_of: dict[Source, StoredReading] = {}
    for reading in sorted(candidates, key=lambda reading: reading.taken_at):
        if reading is not best and reading.source is not best.source:
            newest_of[reading.source] = reading
    return Counted(best, tuple(newest_of[source] for source in sorted(newest_of)))


async def page(
    conn: psycopg.AsyncConnection[Any],
    point: str,
    *,
    channel: str | None,
    since: datetime,
    until: datetime,
    limit: int,
    after: str | None,
) -> tuple[list[StoredReading], str | None]:
    """Readings of every source within [since, until), oldest first, and the cursor of the next page if there is one.

    Raises Malformed for a cursor that is not one of ours.
    """
    at, register, source = (since, 0, 0) if after is None else _position(after)
    asked = {
        "point": point,
        "sources": ALL_SOURCES,
        "channel": channel,
        "since": since,
        "until": until,
        "at": at,
        "register": register,
        "source": source,
        "limit": limit + 1,
    }
    rows = await (await conn.execute(_PAGE, asked, binary=True)).fetchall()
    readings = [_reading(row[:-1]) for row in rows[:limit]]
    if len(rows) <= limit:
        return readings, None
    last = rows[limit - 1]
    return readings, _cursor(last[2], last[-1], last[3])


_FIRST = instant(-2_208_988_800_000_000)  # 1900
_LAST = instant(7_258_118_400_000_000)  # 2200


def _cursor(at: datetime, register: int, source: int) -> str:
    return base64.urlsafe_b64encode(f"{micros(at)}.{register}.{source}".encode()).decode()


def _position(cursor: str) -> tuple[datetime, int, int]:
    try:
        at, register, source = (int(part) for part in base64.urlsafe_b64decode(cursor.encode()).split(b"."))
        return instant(at), register, source
    except (ValueError, OverflowError, binascii.Error) as e:
        raise Malformed(f"cursor {cursor!r} is not one of ours; take it from 'next' of the page before") from e


def _reading(row: Sequence[Any]) -> StoredReading:
    meter, channel, taken_at, source, value, quality, reasons, received_at, author, note = row
    return StoredReading(
        meter,
        channel,
        taken_at,
        Source(source),
        from_micro(value),
        Quality(quality),
        Reason(reasons),
        received_at,
        author,
        note,
    )


def _channel_order(channel: str) -> tuple[int, ...]:
    return tuple(int(part) for part in channel.split("."))
