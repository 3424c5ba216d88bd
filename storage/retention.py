"""Retention: the history older than the policy keeps is thinned to the first reading of every local day, for ever.

Thinned where it is, so that every query finds what is kept without knowing of it. Beside the first of each day stay
the readings that carry a total across a break, an exchange or a silence: what was counted before is counted after.
Load profiles of that age go as a whole, and other tables forget what is theirs (`storage.forgetting`). One process at
a time works, in slices, each a transaction; what was done is remembered after each, so that an interrupted run goes on
where it was.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from ingest.errors import AmrError
from ingest.model import Source
from storage import attachments, forgetting, timescale
from storage.database import Database
from storage.policy import StoragePolicy

_log = logging.getLogger(__name__)

GROUP = 200
"""Registers in one slice: with a month of half-hours some 300 000 rows."""

_WINDOW = timedelta(days=30)
_QUIET_HOUR = 23  # UTC: deep in the night from Kaliningrad to the Urals
_SOURCES = [int(source) for source in Source]

LOCK = "SELECT pg_try_advisory_lock(hashtextextended('amr retention ' || current_schema(), 0))"

_OLDEST = """
SELECT min(x.at) FROM register r CROSS JOIN unnest(%(sources)s::smallint[]) AS s(id) CROSS JOIN LATERAL (
    (SELECT taken_at AS at FROM reading WHERE register_id = r.id AND source = s.id ORDER BY taken_at LIMIT 1)
    UNION ALL
    (SELECT start FROM interval_reading WHERE register_id = r.id AND source = s.id ORDER BY start LIMIT 1)) x
"""

# The two days on either side make the neighbours and the local days at the edges complete.
_MARKED = """
WITH spans AS MATERIALIZED (
    SELECT r.id AS register_id, p.zone, i.since, coalesce(i.until, 'infinity') AS until
    FROM register r JOIN installation i ON i.meter_id = r.meter_id JOIN point p ON p.id = i.point_id
    WHERE r.id = ANY(%(registers)s)
), breaks AS MATERIALIZED (
    SELECT register_id, taken_at AS at FROM discontinuity WHERE register_id = ANY(%(registers)s)
        AND taken_at >= %(begin)s - interval '2 days' AND taken_at < %(end)s + interval '2 days'
    UNION SELECT register_id, since FROM spans
    UNION SELECT register_id, until FROM spans
), seen AS (
    SELECT x.register_id, x.source, x.taken_at, x.quality <> 2 AS believed,
           row_number() OVER (
               PARTITION BY x.register_id, x.source, date_trunc('day', x.taken_at, coalesce(z.zone, 'UTC'))
               ORDER BY x.quality = 2, x.taken_at) = 1 AS first_of_day,
           lag(x.taken_at) OVER near AS before, lead(x.taken_at) OVER near AS after
    FROM reading x
    LEFT JOIN spans z ON z.register_id = x.register_id AND x.taken_at >= z.since AND x.taken_at < z.until
    WHERE x.register_id = ANY(%(registers)s) AND x.source = ANY(%(sources)s)
        AND x.taken_at >= %(begin)s - interval '2 days' AND x.taken_at < %(end)s + interval '2 days'
    WINDOW near AS (PARTITION BY x.register_id, x.source, x.quality = 2 ORDER BY x.taken_at)
), marked AS (
    SELECT register_id, source, taken_at, first_of_day OR believed AND (
        after IS NULL OR after - taken_at > interval '1 day' OR EXISTS (
            SELECT FROM breaks b WHERE b.register_id = seen.register_id
                AND (seen.taken_at < b.at AND b.at <= seen.after
                     OR b.at <= seen.taken_at AND (seen.before IS NULL OR seen.before < b.at)))) AS kept
    FROM seen WHERE taken_at >= %(begin)s AND taken_at < %(end)s
)
"""

_THIN = f"""
{_MARKED}
DELETE FROM stored_reading r USING marked m
WHERE NOT m.kept AND r.register_id = m.register_id AND r.source = m.source AND r.taken_at = m.taken_at
    AND r.taken_at >= %(begin)s AND r.taken_at < %(end)s
"""

_DROP_PROFILES = """
DELETE FROM interval_reading
WHERE register_id = ANY(%(registers)s) AND source = ANY(%(sources)s) AND start >= %(begin)s AND start < %(end)s
"""

_SET_ASIDE = "CREATE TEMP TABLE reading_kept (LIKE stored_reading) ON COMMIT DROP"
_KEEP = f"""
{_MARKED}
INSERT INTO reading_kept
SELECT r.* FROM marked m JOIN stored_reading r ON r.register_id = m.register_id AND r.source = m.source
    AND r.taken_at = m.taken_at AND r.taken_at >= %(begin)s AND r.taken_at < %(end)s
WHERE m.kept
"""
_PUT_BACK = "INSERT INTO stored_reading SELECT * FROM reading_kept ORDER BY register_id, source, taken_at"

_REMEMBER = """
INSERT INTO retention AS r (thinned_until, ran_at, removed) VALUES (%(until)s, now(), %(removed)s)
ON CONFLICT (only_row) DO UPDATE
SET thinned_until = greatest(r.thinned_until, excluded.thinned_until), ran_at = excluded.ran_at,
    removed = r.removed + excluded.removed
"""


@dataclass(frozen=True, slots=True)
class Retained:
    """What one run did: the readings and profile slots it removed, up to where the history is thin now (None: nothing
    is thinned), and the rows of other tables that were forgotten.
    """

    removed: int
    until: datetime | None
    forgotten: Mapping[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        kept = "every reading is kept" + ("" if self.until is None else f" from {self.until.date()} on")
        more = "".join(f", {rows} of {table}" for table, rows in self.forgotten.items())
        return f"removed {self.removed} rows{more}; {kept}"


async def retain(database: Database, policy: StoragePolicy, now: datetime | None = None) -> Retained | None:
    """Thin and forget what is older than the policy keeps; None when another process is at it."""
    now = (now or datetime.now(UTC)).astimezone(UTC)
    async with database.own_connection() as conn:
        row = await (await conn.execute(LOCK)).fetchone()  # released with the connection
        if row == (False,):
            return None
        thinned = Retained(0, None) if policy.keep is None else await _retain(conn, _midnight(now - policy.keep))
        return replace(thinned, forgotten=await forgetting.forget(conn, policy, now))


def _midnight(at: datetime) -> datetime:
    return at.replace(hour=0, minute=0, second=0, microsecond=0)


async def retain_daily(database: Database, policy: StoragePolicy) -> None:
    """Thin every night, for as long as this is not cancelled; a night that failed is told and made good the next."""
    while True:
        await asyncio.sleep((_next_night(datetime.now(UTC)) - datetime.now(UTC)).total_seconds())
        try:
            done = await retain(database, policy)
        except AmrError:
            _log.exception("retention failed; it is tried again the next night")
            continue
        if done is not None:
            _log.info("retention: %s", done)


def _next_night(now: datetime) -> datetime:
    tonight = now.replace(hour=_QUIET_HOUR, minute=0, second=0, microsecond=0)
    return tonight if tonight > now else tonight + timedelta(days=1)


async def _retain(conn: psycopg.AsyncConnection[Any], cutoff: datetime) -> Retained:
    """Profiles first: what the readings' part remembers as done must be done for both."""
    registers = [row[0] for row in await (await conn.execute("SELECT id FROM register ORDER BY id")).fetchall()]
    groups = [registers[n : n + GROUP] for n in range(0, len(registers), GROUP)]
    begin = await _thinned_until(conn)
    chunks, profiles = [await timescale.chunks(conn, table) for table in ("stored_reading", "interval_reading")]
    if begin == _NEVER and (chunks is None or profiles is None):
        oldest = await (await conn.execute(_OLDEST, {"sources": _SOURCES})).fetchone()
        begin = oldest[0] if oldest and oldest[0] else cutoff
    removed = 0
    for first, last in _windows(begin, cutoff) if profiles is None else ():
        removed += await _slices(conn, _DROP_PROFILES, groups, first, last)
    for chunk in _old(profiles, _NEVER, cutoff):
        removed += await _drop_profile_chunk(conn, chunk)
    for first, last in _windows(begin, cutoff) if chunks is None else ():
        removed += await _slices(conn, _THIN, groups, first, last)
        await _remember(conn, last)
    for chunk in _old(chunks, begin, cutoff):
        removed += await _replace_chunk(conn, chunk, groups)
    await _remember(conn, begin, removed)
    until = await _thinned_until(conn)
    await attachments.forget(conn, until)
    return Retained(removed, until)


async def _thinned_until(conn: psycopg.AsyncConnection[Any]) -> datetime:
    row = await (await conn.execute("SELECT thinned_until FROM retention")).fetchone()
    return row[0] if row else _NEVER


async def _remember(conn: psycopg.AsyncConnection[Any], until: datetime, removed: int = 0) -> None:
    await conn.execute(_REMEMBER, {"until": until, "removed": removed})


def _windows(begin: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
    while begin < end:
        yield begin, min(end, begin + _WINDOW)
        begin += _WINDOW


def _old(chunks: Sequence[timescale.Chunk] | None, begin: datetime, end: datetime) -> list[timescale.Chunk]:
    return [chunk for chunk in chunks or () if begin < chunk.end <= end]


async def _slices(
    conn: psycopg.AsyncConnection[Any], statement: str, groups: Sequence[list[int]], begin: datetime, end: datetime
) -> int:
    """Run a deletion for a window of time, some registers at a time: each commits by itself and holds nobody up."""
    return sum([(await conn.execute(statement, _asked(group, begin, end))).rowcount for group in groups])


async def _replace_chunk(
    conn: psycopg.AsyncConnection[Any], chunk: timescale.Chunk, groups: Sequence[list[int]]
) -> int:
    """Put a chunk of what is kept in the place of an old one.

    Late writers of this chunk wait; readers only from the drop to the commit. Rather not tonight than hold them up.
    """
    async with conn.transaction():
        await conn.execute("SET LOCAL lock_timeout = '10s'")
        await conn.execute(f"LOCK TABLE {chunk.name} IN SHARE ROW EXCLUSIVE MODE".encode())
        before = await _count(conn, chunk)
        await conn.execute(_SET_ASIDE)
        kept = sum([(await conn.execute(_KEEP, _asked(group, chunk.begin, chunk.end))).rowcount for group in groups])
        await timescale.drop_chunk(conn, "stored_reading", chunk)
        await conn.execute(_PUT_BACK)
        await _remember(conn, chunk.end)
    return before - kept


async def _drop_profile_chunk(conn: psycopg.AsyncConnection[Any], chunk: timescale.Chunk) -> int:
    async with conn.transaction():
        await conn.execute("SET LOCAL lock_timeout = '10s'")
        gone = await _count(conn, chunk)
        await timescale.drop_chunk(conn, "interval_reading", chunk)
    return gone


async def _count(conn: psycopg.AsyncConnection[Any], chunk: timescale.Chunk) -> int:
    row = await (await conn.execute(f"SELECT count(*) FROM {chunk.name}".encode())).fetchone()
    return int(row[0]) if row else 0


def _asked(registers: Sequence[int], begin: datetime, end: datetime) -> dict[str, Any]:
    return {"registers": registers, "sources": _SOURCES, "begin": begin, "end": end}


_NEVER = datetime(1900, 1, 1, tzinfo=UTC)
