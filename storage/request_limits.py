"""How many readings somebody may ask for: so many open at once, so many in 24 hours."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import psycopg

from storage.request_states import OPEN

_HOLD = "SELECT pg_advisory_xact_lock(hashtextextended('amr reading requests of ' || current_schema() || %s, 0))"
_OPEN = "SELECT count(*) FROM reading_request WHERE asked_by = %s AND state = ANY(%s)"
_FREE = """
SELECT asked_at + interval '1 day' FROM reading_request
WHERE asked_by = %(by)s AND asked_at > now() - interval '1 day'
ORDER BY asked_at DESC LIMIT 1 OFFSET %(most)s - 1
"""

_Conn = psycopg.AsyncConnection[Any]


async def hold(conn: _Conn, asked_by: str) -> None:
    """Let nobody else ask under this name until the transaction ends, so that counting is right."""
    await conn.execute(_HOLD, (asked_by,))


async def open_now(conn: _Conn, asked_by: str) -> int:
    """How many requests of theirs are open."""
    row = await (await conn.execute(_OPEN, (asked_by, list(OPEN)))).fetchone()
    return int(row[0]) if row else 0


async def free_at(conn: _Conn, asked_by: str, a_day: int) -> datetime | None:
    """When they may ask again; None: they asked less than `a_day` times in the last 24 hours."""
    row = await (await conn.execute(_FREE, {"by": asked_by, "most": a_day})).fetchone()
    return row[0] if row else None
