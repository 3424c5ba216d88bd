"""What `amr storage …` shows and does, on whichever server the tests run on."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from datetime import timedelta

import typer
from typer.testing import CliRunner

from storage.database import Database, DatabaseSettings, open_database
from storage.migrate import migrate
from storage.policy import StoragePolicy
from storage.status import TableStatus, storage_status
from storage.storage_cli import described, storage
from storage.timescale import Extension
from tests.storage.columnstore import compress

FILL = """
INSERT INTO stored_reading SELECT r, 2, '2026-01-01'::timestamptz + h * interval '1 hour', now(), h * 1000000, 0, 0
FROM generate_series(1, 20) r, generate_series(0, 999) h
"""


@dataclass(frozen=True)
class Settings:
    database: DatabaseSettings
    storage: StoragePolicy


async def fill(database: Database) -> None:
    async with database.own_connection() as conn:
        await conn.execute(FILL)
        await conn.execute("ANALYZE stored_reading")


async def table(database: Database) -> TableStatus:
    async with database.connection() as conn:
        return (await storage_status(conn)).tables[0]


async def test_rows_and_bytes_of_either_kind(database: Database) -> None:
    await fill(database)
    found = await table(database)
    assert (found.name, found.rows) == ("reading", 20_000)
    assert found.bytes_per_row
    assert 60 < found.bytes_per_row < 200
    async with database.connection() as conn:
        assert (await storage_status(conn, exact=True)).tables[0] == found


async def test_an_empty_database_divides_by_nothing(database: Database) -> None:
    found = await table(database)
    assert (found.rows, found.bytes_per_row, found.bytes_per_compressed_row) == (0, None, None)


async def test_chunks_and_the_compressed_share(hypertables: Database) -> None:
    await fill(hypertables)
    assert (await table(hypertables)).compressed_share == 0
    chunks = await compress(hypertables)
    found = await table(hypertables)
    assert found.chunks == found.compressed_chunks == chunks > 1
    assert found.compressed_rows == found.rows == 20_000
    assert found.compressed_share == 1
    assert found.bytes_per_compressed_row
    assert found.bytes_per_compressed_row < 20


async def test_the_licence_and_the_retention_are_told(database: Database) -> None:
    async with database.connection() as conn:
        found = await storage_status(conn)
    assert "every reading is kept for 1278 days" in described(found, StoragePolicy())[-2]
    assert described(found, StoragePolicy(keep=None))[-2] == "every reading is kept for ever"


async def test_an_apache_build_is_told(database: Database) -> None:
    async with database.connection() as conn:
        found = await storage_status(conn)
    apache = replace(found, timescale=Extension("2.28.3", "public", "apache"))
    assert "cannot compress" in described(apache, StoragePolicy())[1]


def run(settings: DatabaseSettings, *words: str, policy: StoragePolicy | None = None) -> str:
    """`amr storage …` as its user sees it."""
    app = typer.Typer()
    app.add_typer(storage, name="storage")
    done = CliRunner().invoke(app, ["storage", *words], obj=Settings(settings, policy or StoragePolicy()))
    assert done.exception is None, done.output
    return " ".join(done.output.split())


async def test_the_verbs(database_settings: DatabaseSettings) -> None:
    async with open_database(database_settings) as database:
        await migrate(database, StoragePolicy(timescale=False))
        await fill(database)
        async with database.connection() as conn:
            timescale = (await storage_status(conn)).timescale is not None
    adopted = await asyncio.to_thread(run, database_settings, "adopt-timescale")
    assert ("stored_reading is a hypertable" if timescale else "the server has no TimescaleDB") in adopted
    status = await asyncio.to_thread(run, database_settings, "status", "--exact")
    assert "reading" in status
    assert "20000" in status
    keep = StoragePolicy(keep=timedelta(days=10_000))
    assert "removed 0 rows" in await asyncio.to_thread(run, database_settings, "retain", policy=keep)
    forever = await asyncio.to_thread(run, database_settings, "retain", policy=StoragePolicy(keep=None))
    assert forever == "removed 0 rows; every reading is kept"
