"""Numbered, forward-only migrations: `migrations/NNNN_name.sql`, each in a transaction of its own.

Two processes that start at once are safe: one waits at an advisory lock of the schema, then finds nothing to do.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import resources
from typing import Any

import psycopg

from ingest.errors import Misconfigured
from storage import roles, timescale_layout
from storage.database import Database
from storage.policy import StoragePolicy

_log = logging.getLogger(__name__)
_FILE = re.compile(r"(\d{4})_([a-z0-9_]+)\.sql")
_LOCK = "SELECT pg_advisory_lock(hashtextextended('amr migrate ' || current_schema(), 0))"
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
    Raises Misconfigured when an applied file was changed since, or the database is newer than the code.
    """
    applied = await apply(database, shipped())
    async with database.connection() as conn:
        await roles.grant(conn)
    for said in await timescale_layout.adapt(database, policy or StoragePolicy(), largest=timescale_layout.SMALL):
        _log.info("storage: %s", said)
    return applied


async def unapplied(database: Database) -> list[str]:
    """Names of the migrations this version has and the database has not yet; changes nothing, takes no lock.

    Raises Misconfigured as `migrate` does, and when nothing was ever applied.
    """
    async with database.connection() as conn:
        rows = await (await conn.execute("SELECT number, name, digest FROM migration")).fetchall()
    known = {number: (name, digest) for number, name, digest in rows}
    return [migration.name for migration in _pending(shipped(), known)]


async def apply(database: Database, migrations: Iterable[Migration]) -> list[str]:
    """Apply those of `migrations` that the database does not have yet, under the lock."""
    async with database.own_connection() as conn:
        await conn.execute(_LOCK)  # closing the connection releases it, however we leave
        await conn.execute(_TABLE)
        rows = await (await conn.execute("SELECT number, name, digest FROM migration")).fetchall()
        known = {number: (name, digest) for number, name, digest in rows}
        pending = _pending(list(migrations), known)
        for migration in pending:
            await _apply_one(conn, migration)
    return [migration.name for migration in pending]


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
