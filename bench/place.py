"""Where the figures are measured: a database of their own, and what was loaded into it.

AMR_BENCH_DSN names a server (TimescaleDB, for example), on which a schema `amr_bench` is used; without it an embedded
PostgreSQL is run in a temporary folder.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from storage import timescale
from storage.database import Database, DatabaseSettings, open_database
from storage.migrate import migrate
from storage.policy import StoragePolicy

SCHEMA = "amr_bench"
PATIENCE = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says; `folder` and `schema` are kept with `keep` and used again by the next run."""

    registers: int = 2000
    years: float = 3.5
    within: timedelta = timedelta(minutes=10)
    dsn: str | None = None
    plain: bool = False
    keep: bool = False
    folder: Path = Path("/var/tmp/amr-bench")


@dataclass(frozen=True, slots=True)
class Place:
    """An open database, and in words which kind it is."""

    database: Database
    settings: DatabaseSettings
    options: Options
    kind: str

    @property
    def columnstore(self) -> bool:
        return "columnstore" in self.kind


@contextlib.asynccontextmanager
async def open_place(options: Options, schema: str = SCHEMA) -> AsyncIterator[Place]:
    """A migrated database for the figures; what was loaded stays only with `keep`."""
    folder = options.folder if options.keep else Path(tempfile.mkdtemp(prefix="amr-bench-", dir="/var/tmp"))
    folder.mkdir(exist_ok=True)
    folder.chmod(0o755)
    settings = DatabaseSettings(options.dsn, folder, statement_timeout=PATIENCE, application_name="amr bench")
    try:
        async with open_database(settings) as root:
            settings = replace(settings, url=_within(root.dsn, schema))
            async with root.own_connection() as conn:
                await conn.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}".encode())
            try:
                async with open_database(settings) as database:
                    await migrate(database, StoragePolicy(timescale=not options.plain))
                    yield Place(database, settings, options, await _kind(database))
            finally:
                if not options.keep:
                    async with root.own_connection() as conn:
                        await conn.execute(f"DROP SCHEMA {schema} CASCADE".encode())
    finally:
        if not options.keep:
            shutil.rmtree(folder)


def from_environment() -> str | None:
    return os.environ.get("AMR_BENCH_DSN") or None


def _within(dsn: str, schema: str) -> str:
    options = conninfo_to_dict(dsn).get("options") or ""
    return make_conninfo(dsn, options=f"{options} -csearch_path={schema},public".strip())


async def _kind(database: Database) -> str:
    async with database.connection() as conn:
        version = await (await conn.execute("SHOW server_version")).fetchone()
        found = await timescale.extension(conn)
        hypertable = await timescale.chunks(conn, "stored_reading") is not None
    assert version
    server = f"PostgreSQL {version[0].split()[0]}"
    if found is None or not hypertable:
        return f"{server}, plain"
    return f"{server}, TimescaleDB {found.version}{', columnstore' if found.columnstore else ', Apache'}"


async def execute(conn: psycopg.AsyncConnection[object], statement: str) -> None:
    await conn.execute(statement.encode())
