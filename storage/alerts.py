"""The alerts that stand, across restarts; and which process looks after them."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterable
from typing import Any

import psycopg

from ingest.alerts import Alert
from storage.database import Database

_LOCK = "SELECT pg_try_advisory_lock(hashtextextended('amr alerts ' || current_schema(), 0))"
_ALL = "SELECT key, level, cause, detail, since, seen_at, raised_at, told_at, cleared_at FROM alert ORDER BY since, key"
_KEEP = """
INSERT INTO alert (key, level, cause, detail, since, seen_at, raised_at, told_at, cleared_at)
SELECT * FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::timestamptz[], %s::timestamptz[],
                     %s::timestamptz[], %s::timestamptz[], %s::timestamptz[])
    AS u(key, level, cause, detail, since, seen_at, raised_at, told_at, cleared_at)
ON CONFLICT (key) DO UPDATE SET level = excluded.level, cause = excluded.cause, detail = excluded.detail,
    since = excluded.since, seen_at = excluded.seen_at, raised_at = excluded.raised_at, told_at = excluded.told_at,
    cleared_at = excluded.cleared_at
"""
_DROP = "DELETE FROM alert WHERE NOT EXISTS (SELECT FROM unnest(%s::text[]) AS kept(key) WHERE kept.key = alert.key)"

_Conn = psycopg.AsyncConnection[Any]


@contextlib.asynccontextmanager
async def watch(database: Database) -> AsyncIterator[_Conn | None]:
    """A connection of its own for the one process that tells people; None while another one does."""
    async with database.own_connection() as conn:
        row = await (await conn.execute(_LOCK)).fetchone()
        yield conn if row and row[0] else None


async def standing(conn: _Conn) -> list[Alert]:
    """Every alert remembered, the oldest first."""
    return [Alert(*row) for row in await (await conn.execute(_ALL)).fetchall()]


async def keep(conn: _Conn, alerts: Iterable[Alert]) -> None:
    """These, and no others, are remembered from now on. One transaction."""
    rows = [
        (a.key, a.level, a.cause, a.detail, a.since, a.seen_at, a.raised_at, a.told_at, a.cleared_at) for a in alerts
    ]
    async with conn.transaction():
        await conn.execute(_DROP, ([row[0] for row in rows],))
        if rows:
            await conn.execute(_KEEP, [list(column) for column in zip(*rows, strict=True)])
