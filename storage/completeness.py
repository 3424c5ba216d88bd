"""How much of what a schedule promised came: for each point and day, slots that hold a reading of those that should.

A slot is one period of the meter that stood there. Two readings in one slot do not make up for an empty one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import psycopg

from ingest.errors import AmrError, StoreUnavailable
from ingest.model import Source
from storage.database import Database

log = logging.getLogger(__name__)

RECOUNTED = 3
"""Days counted anew each time: what comes late (a backlog, a meter's memory) is mostly younger."""
EVERY = timedelta(hours=1)

SLICE = 500
"""Points counted in one transaction, each commits by itself: a region's statement would be hours without a word."""

_LOCK = "SELECT pg_try_advisory_lock(hashtextextended('amr completeness ' || current_schema(), 0))"
_POINTS = "SELECT id, zone FROM point WHERE code = ANY(%(codes)s)"
_NEXT_POINTS = "SELECT id, zone FROM point WHERE id > %(after)s ORDER BY id LIMIT %(most)s"

# One register stands for its meter: the total of active energy taken, or the first there is.
_COUNT = f"""
SELECT a.day, p.code, p.id, sum(slots.expected)::int, sum(least(came.received, slots.expected))::int
FROM unnest(%(points)s::int[], %(days)s::date[], %(since)s::timestamptz[], %(until)s::timestamptz[])
     AS a(point_id, day, since, until)
JOIN point p ON p.id = a.point_id
JOIN installation i ON i.point_id = p.id AND i.since < a.until AND (i.until IS NULL OR i.until > a.since)
JOIN meter m ON m.id = i.meter_id AND (m.line_id IS NOT NULL OR m.gateway IS NOT NULL)
CROSS JOIN LATERAL (SELECT greatest(a.since, i.since) AS since, least(a.until, i.until) AS until) here
CROSS JOIN LATERAL (SELECT floor(extract(epoch FROM here.until - here.since) / extract(epoch FROM m.period))::int
                    AS expected) slots
CROSS JOIN LATERAL (SELECT id FROM register WHERE meter_id = m.id ORDER BY channel <> '1.8.0', channel LIMIT 1) g
CROSS JOIN LATERAL (
    SELECT count(DISTINCT floor(extract(epoch FROM taken_at - here.since) / extract(epoch FROM m.period))) AS received
    FROM reading WHERE register_id = g.id AND source = {int(Source.AUTOMATIC)}
    AND taken_at >= here.since AND taken_at < here.until) came
WHERE slots.expected > 0
GROUP BY a.day, p.code, p.id ORDER BY p.code, a.day
"""

_KEEP = """
INSERT INTO completeness (day, point_id, expected, received)
SELECT * FROM unnest(%s::date[], %s::int[], %s::int[], %s::int[]) AS u(day, point_id, expected, received)
ON CONFLICT (day, point_id) DO UPDATE SET expected = excluded.expected, received = excluded.received
WHERE (completeness.expected, completeness.received) IS DISTINCT FROM (excluded.expected, excluded.received)
"""

_OF_DAY = """
SELECT count(*), coalesce(sum(expected), 0), coalesce(sum(received), 0), count(*) FILTER (WHERE received < expected)
FROM completeness WHERE day = %s
"""
_WORST = """
SELECT c.day, p.code, c.expected, c.received FROM completeness c JOIN point p ON p.id = c.point_id
WHERE c.day = %s AND c.received < c.expected ORDER BY c.received::float / c.expected, p.code LIMIT %s
"""


@dataclass(frozen=True, slots=True)
class Day:
    """One point's day, of its own zone. The current day counts up to now."""

    day: date
    point: str
    expected: int
    received: int


@dataclass(frozen=True, slots=True)
class FleetDay:
    """A day of the fleet, as last counted: points, slots that should and do hold a reading, points that lack some."""

    day: date
    points: int
    expected: int
    received: int
    lacking: int
    worst: tuple[Day, ...]


async def count(
    conn: psycopg.AsyncConnection[Any], codes: Collection[str], since: date, until: date, now: datetime
) -> list[Day]:
    """Days [since, until) of some points, counted now from the readings, by code and day.

    A day on which no meter that speaks by itself stood there is left out.
    """
    zones = await (await conn.execute(_POINTS, {"codes": list(codes)})).fetchall()
    return [Day(*row[:2], *row[3:]) for row in await _count(conn, zones, since, until, now)]


async def _count(
    conn: psycopg.AsyncConnection[Any],
    zones: Sequence[tuple[int, str]],
    since: date,
    until: date,
    now: datetime,
) -> list[tuple[Any, ...]]:
    """The same of points by number, with their zones."""
    days = [(point, *cut) for point, zone in zones for cut in _days(ZoneInfo(zone), since, until, now)]
    if not days:  # a fleet without points, as on the first day
        return []
    columns = dict(zip(("points", "days", "since", "until"), map(list, zip(*days, strict=True)), strict=True))
    return await (await conn.execute(_COUNT, columns)).fetchall()


def _days(zone: ZoneInfo, since: date, until: date, now: datetime) -> Iterator[tuple[date, datetime, datetime]]:
    """(day, its beginning, its end or now), in UTC; days that have not begun are left out."""
    day = since
    while day < until:
        begin = datetime.combine(day, time(), zone).astimezone(UTC)
        following = day + timedelta(days=1)
        if begin < now:
            yield day, begin, min(datetime.combine(following, time(), zone).astimezone(UTC), now)
        day = following


async def recount(database: Database, now: datetime, days: int = RECOUNTED) -> bool:
    """Keep the counts of the last finished days; False when another process is at it."""
    today = now.astimezone(UTC).date()
    first, last = today - timedelta(days=days), today + timedelta(days=1)
    after: int | None = 0
    async with database.own_connection() as conn:
        if await (await conn.execute(_LOCK)).fetchone() == (False,):  # released with the connection
            return False
        while after is not None:
            async with conn.transaction():
                after = await _recount_slice(conn, after, first, last, now)
    return True


async def _recount_slice(
    conn: psycopg.AsyncConnection[Any], after: int, first: date, last: date, now: datetime
) -> int | None:
    """Keep the counts of the next points; gives the number of the last of them, None when there are no more."""
    asked = {"after": after, "most": SLICE}
    zones: list[tuple[int, str]] = await (await conn.execute(_NEXT_POINTS, asked)).fetchall()
    rows = await _count(conn, zones, first, last, now)
    if rows:
        facts = [(day, point_id, expected, got) for day, _, point_id, expected, got in rows]
        await conn.execute(_KEEP, [list(column) for column in zip(*facts, strict=True)])
    return zones[-1][0] if zones else None


async def recount_hourly(database: Database) -> None:
    """Until cancelled; a database that is away is asked again an hour later, and a count that failed is told."""
    while True:
        try:
            await recount(database, datetime.now(UTC))
        except StoreUnavailable as error:
            log.warning("completeness is not counted: %s", error)
        except AmrError:
            log.exception("completeness could not be counted; it is tried again in an hour")
        await asyncio.sleep(EVERY.total_seconds())


async def of_day(conn: psycopg.AsyncConnection[Any], day: date, worst: int = 20) -> FleetDay:
    """What was counted last for a day, with the points that lack most."""
    row = await (await conn.execute(_OF_DAY, (day,))).fetchone()
    assert row is not None
    lacking = await (await conn.execute(_WORST, (day, worst))).fetchall()
    return FleetDay(day, row[0], row[1], row[2], row[3], tuple(Day(*one) for one in lacking))
