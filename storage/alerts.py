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
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (key) DO UPDATE SET level = excluded.level, cause = excluded.cause, detail = excluded.detail,
    since = excluded.since, seen_at = excluded.seen_at, raised_at = excluded.raised_at, told_at = excluded.told_at,
    cleared_at = excluded.cleared_at
"""
_DROP = "DELETE FROM alert WHERE key <> ALL(%s)"

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
    alerts = list(alerts)
    async with conn.transaction(), conn.cursor() as cursor:
        await cursor.execute(_DROP, ([one.key for one in alerts],))
        await cursor.executemany(
            _KEEP,
            [
                (a.key, a.level, a.cause, a.detail, a.since, a.seen_at, a.raised_at, a.told_at, a.cleared_at)
                for a in alerts
            ],
        )
