"""What is on disk of readings, passwords and whole databases is its owner's alone, whatever the umask."""

from __future__ import annotations

import asyncio
import os
import shutil
import stat
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from collectors.home import own_home
from collectors.spool import Spool
from ingest.model import Line, Polled, PolledLine
from storage.backup import backup
from storage.database import Database, DatabaseSettings, open_database
from storage.embedded import EmbeddedServer
from tests.conftest import open_folder

_LINE = "INSERT INTO line (name, kind, address, options) VALUES ('a', 'modbus-tcp', 'h:1', %s)"


@pytest.fixture(autouse=True)
def careless() -> Iterator[None]:
    """An umask that withholds nothing."""
    before = os.umask(0)
    yield
    os.umask(before)


def open_to_others(folder: Path) -> list[str]:
    """Files below that others could read, on a path that lets them through; sockets and locks hold nothing."""
    return [
        str(path)
        for path in folder.rglob("*")
        if path.is_file()
        and path.stat().st_size
        and path.stat().st_mode & 0o077
        and all(parent.stat().st_mode & 0o011 for parent in path.parents if parent.is_relative_to(folder))
    ]


async def test_a_collectors_home(tmp_path: Path) -> None:
    fleet = [PolledLine(Line("tp-1", "modbus-tcp", "h:1"), (Polled("1", "m", "1", timedelta(minutes=1)),))]
    with own_home(tmp_path / "spool") as home:
        home.keep_fleet(fleet)
        home.keep_lease("me", ["tp-1"], 60, datetime.now(UTC))
        async with Spool(home.spool, 1 << 20, timedelta(days=1)):
            found = {path.name: stat.S_IMODE(path.stat().st_mode) for path in home.folder.iterdir()}
    assert {"fleet.json", "lease.json", "spool.sqlite", "lock"} <= set(found)
    assert {name: oct(mode) for name, mode in found.items() if mode & 0o077} == {}
    assert stat.S_IMODE(home.folder.stat().st_mode) == 0o700


async def test_a_spool_in_a_folder_of_somebody_elses(tmp_path: Path) -> None:
    async with Spool(tmp_path / "forward" / "gw.sqlite", 1 << 20, timedelta(days=1)):
        assert open_to_others(tmp_path) == []


async def test_the_embedded_database_and_its_backup() -> None:
    folder = open_folder()
    try:
        server = EmbeddedServer(folder / "data")
        await server.start()
        try:
            assert open_to_others(folder / "data") == []
            async with open_database(DatabaseSettings(server.dsn, folder)) as database:
                await backup(database, folder / "all.dump")
        finally:
            await server.stop()
        assert stat.S_IMODE((folder / "all.dump").stat().st_mode) == 0o600
    finally:
        shutil.rmtree(folder)


async def test_an_export_with_passwords(
    database: Database, database_settings: DatabaseSettings, tmp_path: Path
) -> None:
    async with database.connection() as conn:
        await conn.execute(_LINE, ('{"password": "s3"}',))
    assert database_settings.url
    environment = {**os.environ, "AMR_DATABASE_URL": database_settings.url, "AMR_DATA": str(tmp_path)}
    file = tmp_path / "fleet.toml"
    words = ("fleet", "export", "--secrets")
    with file.open("wb") as out:
        exporting = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "amr", *words), env=environment, stdout=out
        )
        assert await exporting.wait() == 0
    assert "s3" in file.read_text()
    assert oct(stat.S_IMODE(file.stat().st_mode)) == "0o600"
