"""One change of the fleet at a time; whoever comes meanwhile is soon told whose it is and since when."""

from __future__ import annotations

import asyncio
import re
import socket
import time
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, unquote_to_bytes

import psycopg

from ingest.errors import Busy

PATIENCE = 3.0
"""Seconds one waits for another change: most are over by then, a region's takes minutes."""

_LOOK = 0.1
_NAME = re.compile(r"fleet (\S+Z) (.*)")
_LONGEST = 63
"""Characters of an application name: PostgreSQL cuts the rest off, and keeps ASCII only."""

_KEY = "hashtextextended('amr fleet ' || current_schema(), 0)"
# The name is the transaction's, like the lock. Of another user's session PostgreSQL tells little else.
_TAKE = f"SELECT set_config('application_name', %s, true) WHERE pg_try_advisory_xact_lock({_KEY})"
_WHO = f"""
SELECT a.application_name, a.pid
FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid CROSS JOIN (SELECT {_KEY} AS key) k
WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
    AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND l.classid::bigint = (k.key >> 32) & 4294967295 AND l.objid::bigint = k.key & 4294967295
"""

_Conn = psycopg.AsyncConnection[Any]


class FleetBusy(Busy):
    """Somebody else is changing the fleet: `author`, `since` and the server's `process`, None for what is not known."""

    code = "fleet_busy"

    def __init__(self, author: str | None = None, since: datetime | None = None, process: int | None = None) -> None:
        whose = "" if author is None else f" by {author}"
        begun = "" if since is None else f" since {since.astimezone(UTC):%Y-%m-%d %H:%M:%SZ}"
        ended = "" if process is None else f", else on the server by SELECT pg_terminate_backend({process})"
        super().__init__(
            f"another change of the fleet{whose} is going on{begun}; nothing was changed: repeat this when it is over "
            f"(a region's file takes minutes). One that hangs is ended where it was begun{ended}"
        )
        self.author = author
        self.since = since
        self.process = process


async def lock_fleet(conn: _Conn, author: str | None = None) -> None:
    """Let one change of the fleet happen at a time; held until the transaction ends. Raises FleetBusy."""
    name = _name(author or f"somebody on {socket.gethostname()}")
    until = time.monotonic() + PATIENCE
    while await (await conn.execute(_TAKE, (name,))).fetchone() is None:
        if time.monotonic() >= until:
            raise await _busy(conn)
        await asyncio.sleep(_LOOK)


async def _busy(conn: _Conn) -> FleetBusy:
    row = await (await conn.execute(_WHO)).fetchone()
    if row is None:  # it ended in this very moment
        return FleetBusy()
    said = _NAME.fullmatch(row[0])
    if said is None:
        return FleetBusy(process=row[1])
    author = unquote_to_bytes(said[2]).decode("punycode")
    return FleetBusy(author, datetime.fromisoformat(said[1]), row[1])


def _name(author: str) -> str:
    """The application name that says who changes the fleet since when; of a long author the beginning."""
    since = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    while len(name := f"fleet {since} {quote(author.encode('punycode'), safe=' @.:/')}") > _LONGEST:
        author = author[:-1]
    return name
