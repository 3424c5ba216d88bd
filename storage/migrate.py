"""Numbered, forward-only migrations: `migrations/NNNN_name.sql`, each in a transaction of its own.

Two processes that start at once are safe: one waits at an advisory lock of the schema, then finds nothing to do.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import re
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from importlib import resources
from typing import Any

import psycopg

from ingest.errors import Misconfigured, StoreUnavailable
from storage import roles, timescale_layout
from storage.database import Database
from storage.policy import StoragePolicy

_log = logging.getLogger(__name__)
_PATIENCE, _PAUSE = 30.0, 0.3
_FILE = re.compile(r"(\d{4})_([a-z0-9_]+)\.sql")
LOCK = "SELECT pg_advisory_lock(hashtextextended('amr migrate ' || current_schema(), 0))"
_TABLE = """
CREATE TABLE IF NOT EXISTS migration (
    number     integer PRIMARY KEY,
    name       text NOT NULL,
    digest     text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)"""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file: its number, its name without the number, and its SQL."""

    number: int
    name: str
    sql: str

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()


def shipped() -> list[Migration]:
    """The migrations that come with this version of the code, in order."""
    found = []
    for file in resources.files("storage.migrations").iterdir():
        if match := _FILE.fullmatch(file.name):
            found.append(Migration(int(match[1]), match[2], file.read_text(encoding="utf-8")))
    return sorted(found, key=lambda migration: migration.number)


async def migrate(database: Database, policy: StoragePolicy | None = None) -> list[str]:
    """Bring the schema up to this version; gives the names of what was applied, oldest first.

    Afterwards the roles are granted what is theirs (`storage.roles`), and the history is laid out as the policy says
    (`storage.timescale_layout.adapt`), whatever was applied.
    A database that goes away meanwhile is waited for, half a minute at most: an embedded server changes hands when the
    command that runs it ends, and a service that begins just then must not end with it.
    Raises Misconfigured when an applied file was changed since, or the database is newer than the code.
    """
    applied: list[str] = []
    await _until_done(lambda: _apply(database, shipped(), applied))
    await _until_done(lambda: _adapt(database, policy or StoragePolicy()))
    return applied


async def _until_done(step: Callable[[], Awaitable[None]]) -> None:
    """Take a step that may be repeated, again while the database is away."""
    limit = time.monotonic() + _PATIENCE
    while True:
        try:
            return await step()
        except StoreUnavailable as error:
            if time.monotonic() > limit:
                raise
            _log.warning("the database went away while it was brought up to date; trying again: %s", error)
            await asyncio.sleep(_PAUSE)


async def _adapt(database: Database, policy: StoragePolicy) -> None:
    async with database.connection() as conn:
        await roles.grant(conn)
    for said in await timescale_layout.adapt(database, policy, largest=timescale_layout.SMALL):
        _log.info("storage: %s", said)


async def unapplied(database: Database) -> list[str]:
    """Names of the migrations this version has and the database has not yet; changes nothing, takes no lock.

    Raises Misconfigured as `migrate` does, and when nothing was ever applied.
    """
    async with database.connection() as conn:
        rows = await (await conn.execute("SELECT number, name, digest FROM migration")).fetchall()
    known = {number: (name, digest) for number, name, digest in rows}
    return [migration.name for migration in _pending(shipped(), known)]


async def apply(database: Database, migrations: Iterable[Migration]) -> list[str]:
    """Apply those of `migrations` that the database does not have yet, under the lock; gives their names."""
    applied: list[str] = []
    await _apply(database, migrations, applied)
    return applied


async def _apply(database: Database, migrations: Iterable[Migration], applied: list[str]) -> None:
    async with database.own_connection() as conn:
        await conn.execute(LOCK)  # closing the connection releases it, however we leave
        await conn.execute(_TABLE)
        rows = await (await conn.execute("SELECT number, name, digest FROM migration")).fetchall()
        known = {number: (name, digest) for number, name, digest in rows}
        for migration in _pending(list(migrations), known):
            await _apply_one(conn, migration)
            applied.append(migration.name)


def _pending(migrations: list[Migration], known: dict[int, tuple[str, str]]) -> list[Migration]:
    by_number = {migration.number: migration for migration in migrations}
    for number, (name, digest) in sorted(known.items()):
        ours = by_number.get(number)
        if ours is None:
            raise Misconfigured(
                f"the database has migration {number:04} {name!r}, which this version of amr does not know: "
                "the database is newer than the code; run the newer amr"
            )
        if ours.digest != digest:
            raise Misconfigured(
                f"migration {number:04} {name!r} was changed after it had been applied to this database; "
                "restore the file as it was and put the change into a new migration"
            )
    return [migration for migration in migrations if migration.number not in known]


async def _apply_one(conn: psycopg.AsyncConnection[Any], migration: Migration) -> None:
    async with conn.transaction():
        await conn.execute(migration.sql.encode())
        await conn.execute(
            "INSERT INTO migration (number, name, digest) VALUES (%s, %s, %s)",
            (migration.number, migration.name, migration.digest),
        )
