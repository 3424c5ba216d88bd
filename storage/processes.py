"""What the running processes say of themselves: written every few seconds, and read by whoever asks how we are."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from ingest.errors import StoreUnavailable
from storage.database import Database

log = logging.getLogger(__name__)

EVERY = 10.0
"""Seconds between two reports."""

ALIVE = "45 seconds"
"""A process that has not reported for so long is not there, or not with the database."""

_REPORT = """
INSERT INTO process (role, name, started_at, seen_at, state) VALUES (%(role)s, %(name)s, %(started)s, now(), %(state)s)
ON CONFLICT (role, name) DO UPDATE SET started_at = excluded.started_at, seen_at = now(), state = excluded.state
"""
_FORGET = "DELETE FROM process WHERE seen_at < now() - interval '7 days'"
_GONE = "DELETE FROM process WHERE role = %s AND name = %s AND started_at = %s"
_ALL = f"""
SELECT role, name, started_at, seen_at, seen_at > now() - interval '{ALIVE}', state FROM process ORDER BY role, name
"""


@dataclass(frozen=True, slots=True)
class Process:
    """One process. `state` is what it said last, by part: queues, broker, spool."""

    role: str
    name: str
    started_at: datetime
    seen_at: datetime
    alive: bool
    state: Mapping[str, Any]


async def processes(conn: psycopg.AsyncConnection[Any]) -> list[Process]:
    """Every process of the last week, by role and name."""
    return [Process(*row) for row in await (await conn.execute(_ALL)).fetchall()]


async def report(
    database: Database, role: str, name: Callable[[], str], state: Callable[[], Mapping[str, Any]], every: float = EVERY
) -> None:
    """Say what `state()` gives every so many seconds, until cancelled; then take the row away.

    A database that is away is no news here: whoever needs it says so.
    """
    started, said = datetime.now(UTC), name()
    try:
        while True:
            try:
                async with database.connection() as conn:
                    if name() != said:  # the locks may give a second process on one machine a name of its own
                        await conn.execute(_GONE, (role, said, started))
                        said = name()
                    asked = {"role": role, "name": said, "started": started, "state": Jsonb(dict(state()))}
                    await conn.execute(_REPORT, asked)
                    await conn.execute(_FORGET)
            except StoreUnavailable as error:
                log.debug("the state of %s %s is not written: %s", role, said, error)
            await asyncio.sleep(every)
    finally:
        await _leave(database, role, said, started)


async def _leave(database: Database, role: str, name: str, started: datetime) -> None:
    """A process that stops is not one that fell silent."""
    try:
        async with asyncio.timeout(2.0), database.connection() as conn:
            await conn.execute(_GONE, (role, name, started))
    except (StoreUnavailable, TimeoutError) as error:
        log.debug("%s %s could not take its leave: %s", role, name, error)
