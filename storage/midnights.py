"""The readings beside local midnights, set aside: a year by days or a thousand points by months is a few rows each.

They are selected readings, not consumption, and a memory of the history, not a part of it: a midnight that is not
remembered is looked up. A job remembers them (`remember`), the write path takes back what it disturbs (`forget`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from ingest.errors import AmrError
from ingest.instants import instant, span
from ingest.model import Source
from storage.arrays import Instants, Integers, Smallints
from storage.database import Database
from storage.instants import raw_cursor

_log = logging.getLogger(__name__)

WIDEST = "2 days"
"""How far apart the two readings may be: beyond that a cut is no business of a memory."""

_WIDEST = timedelta(days=2)
_MACHINES = [int(Source.AUTOMATIC), int(Source.IMPORT)]
_GROUP = 200
_WINDOW = timedelta(days=30)
_PAUSE = timedelta(minutes=30)
_SOON = timedelta(seconds=10)
_FRESH = timedelta(hours=6)
"""What is younger is likely to be followed by something late, and near enough the end to be looked up."""

_LOCK = "SELECT pg_try_advisory_lock(hashtextextended('amr midnights ' || current_schema(), 0))"

# Some at a time, on from the last: of a region every register may be behind.
_BEHIND = """
SELECT s.register_id, min(s.midnights_until), max(n.taken_at)
FROM series s JOIN newest n USING (register_id, source)
WHERE s.register_id > %(after)s AND n.register_id > %(after)s AND s.source = ANY(%(machines)s)
    AND least(n.taken_at, %(until)s) >= s.midnights_until + interval '1 day'
GROUP BY s.register_id ORDER BY s.register_id LIMIT %(most)s
"""

# Writers that look thoroughly hold the same rows: what they write is seen here, and what is done here by them.
_HOLD = "SELECT FROM register WHERE id = ANY(%(registers)s) ORDER BY id FOR NO KEY UPDATE"

# In one statement, because the end of a series may move meanwhile. What was taken back before this window while it was
# waited for is left to the next run.
_REMEMBER = f"""
WITH due AS (
    SELECT s.register_id, s.source, p.zone, greatest(s.midnights_until, i.since, %(first)s) AS low,
           least(n.taken_at, i.until, %(last)s, %(until)s) AS high
    FROM series s JOIN newest n USING (register_id, source)
    JOIN register r ON r.id = s.register_id JOIN installation i ON i.meter_id = r.meter_id
    JOIN point p ON p.id = i.point_id
    WHERE s.register_id = ANY(%(registers)s) AND s.source = ANY(%(machines)s) AND s.midnights_until >= %(first)s
), cuts AS MATERIALIZED (
    SELECT DISTINCT due.register_id, due.source, local.midnight AT TIME ZONE zone AS cut
    FROM due CROSS JOIN LATERAL generate_series(
        date_trunc('day', low AT TIME ZONE zone), high AT TIME ZONE zone, interval '1 day') AS local(midnight)
    WHERE low < high AND local.midnight AT TIME ZONE zone BETWEEN low AND high
), remembered AS (
    INSERT INTO midnight
        (register_id, source, cut, before_at, after_at, before_value, after_value, before_quality, after_quality)
    SELECT c.register_id, c.source, c.cut, b.taken_at, a.taken_at, b.value, a.value, b.quality, a.quality
    FROM cuts c
    CROSS JOIN LATERAL (
        SELECT taken_at, value, quality FROM reading WHERE register_id = c.register_id AND source = c.source
            AND taken_at <= c.cut AND taken_at >= %(first)s - interval '{WIDEST}' AND taken_at <= %(last)s
            AND quality <> 2 ORDER BY taken_at DESC LIMIT 1) b
    CROSS JOIN LATERAL (
        SELECT taken_at, value, quality FROM reading WHERE register_id = c.register_id AND source = c.source
            AND taken_at >= c.cut AND taken_at >= %(first)s AND taken_at <= %(last)s + interval '{WIDEST}'
            AND quality <> 2 ORDER BY taken_at LIMIT 1) a
    WHERE a.taken_at - b.taken_at <= interval '{WIDEST}'
    ON CONFLICT DO NOTHING
    RETURNING 1
), looked AS (
    UPDATE series s SET midnights_until = due.high, midnights_to = greatest(s.midnights_to, due.high)
    FROM (SELECT register_id, source, least(taken_at, %(last)s, %(until)s) AS high FROM newest
          WHERE register_id = ANY(%(registers)s) AND source = ANY(%(machines)s)) due
    WHERE s.register_id = due.register_id AND s.source = due.source
        AND s.midnights_until >= %(first)s AND s.midnights_until < due.high
)
SELECT count(*) FROM remembered
"""

# The arrays stand beside the join because a compressed chunk is opened by constants only (decision 21).
_FORGET = """
DELETE FROM midnight m
USING unnest(%(registers)s::int[], %(sources)s::smallint[], %(first)s::timestamptz[], %(last)s::timestamptz[])
      AS u(register_id, source, first, last)
WHERE m.register_id = u.register_id AND m.source = u.source AND m.cut >= u.first AND m.cut <= u.last
    AND m.register_id = ANY(%(registers)s) AND m.source = ANY(%(sources)s)
    AND m.cut >= %(earliest)s AND m.cut <= %(latest)s
"""

_COLUMNS = "register_id, source, cut, before_at, before_value, before_quality, after_at, after_value, after_quality"

_KNOWN = f"""
SELECT {_COLUMNS} FROM midnight
WHERE register_id = ANY(%(registers)s) AND source = ANY(%(sources)s) AND cut >= %(first)s AND cut <= %(last)s
"""

_KNOWN_AT = _KNOWN + " AND cut = ANY(%(cuts)s)"

Midnight = tuple[int, int, int, int, int, int, int, int, int]
"""Register, source, cut, then instant, value (millionths) and quality of the readings before and after it.

Instants as `raw_cursor` gives them."""


async def known(
    conn: psycopg.AsyncConnection[Any], registers: Sequence[int], sources: Sequence[int], cuts: Sequence[int]
) -> list[Midnight]:
    """What is remembered of these series at these cuts (ascending), and perhaps more."""
    days = (cuts[-1] - cuts[0]) / (86_400 * 10**6)
    series = {"registers": Integers(registers), "sources": Smallints(sources)}
    asked = {**series, "first": instant(cuts[0]), "last": instant(cuts[-1])}
    cursor = raw_cursor(conn)
    if len(cuts) * 3 > days:
        await cursor.execute(_KNOWN, asked)
    else:
        await cursor.execute(_KNOWN_AT, {**asked, "cuts": Instants(cuts)})
    return await cursor.fetchall()


async def forget(conn: psycopg.AsyncConnection[Any], spans: Sequence[tuple[int, int, int, int]]) -> None:
    """Take back what was remembered beside writes of (register, source) within [first, last] (µs)."""
    if not spans:
        return
    registers, sources, firsts, lasts = zip(*spans, strict=True)
    asked = {
        "registers": Integers(registers),
        "sources": Smallints(sources),
        "first": Instants(at - span(_WIDEST) for at in firsts),
        "last": Instants(at + span(_WIDEST) for at in lasts),
        "earliest": instant(min(firsts)) - _WIDEST,
        "latest": instant(max(lasts)) + _WIDEST,
    }
    await conn.execute(_FORGET, asked, prepare=False)


async def remember(database: Database, now: datetime | None = None) -> int:
    """Set aside the midnights of every machine-given series up to now; gives how many are new.

    One process at a time does it (the others find nothing to do), some registers for some days in each transaction.
    """
    until = (now or datetime.now(UTC)) - _FRESH
    done, registers = 0, [0]
    async with database.own_connection() as conn:
        if await (await conn.execute(_LOCK)).fetchone() == (False,):
            return 0
        while group := await _behind(conn, registers[-1], until):
            registers = [register for register, _, _ in group]
            end = min(until, max(newest for _, _, newest in group))
            for first, last in _windows(min(begin for _, begin, _ in group), end):
                asked = {
                    "registers": registers, "machines": _MACHINES, "first": first, "last": last, "until": until
                }  # fmt: skip
                async with conn.transaction():
                    await conn.execute(_HOLD, asked)
                    row = await (await conn.execute(_REMEMBER, asked)).fetchone()
                    done += row[0] if row else 0
    return done


async def remember_always(database: Database) -> None:
    """Keep the midnights up to date for as long as this is not cancelled; a failure is told and made good later."""
    while True:
        pause = _PAUSE
        try:
            await remember(database)
        except AmrError as error:
            _log.exception("midnights could not be set aside; statistics look them up meanwhile")
            pause = min(pause, _SOON) if error.transient else pause
        await asyncio.sleep(pause.total_seconds())


async def _behind(
    conn: psycopg.AsyncConnection[Any], after: int, until: datetime
) -> list[tuple[int, datetime, datetime]]:
    """The next registers with midnights to look at: from when on, and where they end."""
    asked = {"after": after, "machines": _MACHINES, "until": until, "most": _GROUP}
    return await (await conn.execute(_BEHIND, asked)).fetchall()


def _windows(begin: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
    while begin < end:
        yield begin, min(end, begin + _WINDOW)
        begin += _WINDOW
