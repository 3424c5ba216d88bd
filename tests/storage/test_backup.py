"""A backup comes back row by row, on either kind of database, and the service goes on there; as the page says it."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from ingest.delivery import Delivery, Fate
from ingest.errors import Misconfigured
from ingest.intake import Intake
from ingest.model import Reading, RegisterSpec, Source
from storage import backup, midnights, retention, timescale
from storage.backup import restore
from storage.database import Database, DatabaseSettings, open_database
from storage.migrate import migrate
from storage.policy import StoragePolicy
from storage.postgres_binaries import find_binaries
from storage.readings import PostgresStore
from tests.conftest import open_folder
from tests.storage.columnstore import compress
from tests.storage.rows import install

PAGE = Path(__file__).parents[2] / "docs" / "backup.md"
START = datetime(2026, 1, 5, tzinfo=UTC)
TOTAL = RegisterSpec("1.8.0", digits=6, decimals=3, max_rate=Decimal(10))
HOURS = 24 * 70
POLICY = StoragePolicy()

_TABLES = """
SELECT table_name FROM information_schema.tables WHERE table_schema = current_schema() AND table_type = 'BASE TABLE'
ORDER BY 1
"""
_POLICIES = """
SELECT hypertable_name, config->>'compress_after' FROM timescaledb_information.jobs
WHERE proc_name = 'policy_compression' AND hypertable_schema = current_schema() ORDER BY 1
"""


async def fill(database: Database, first: int = 0, count: int = HOURS) -> None:
    batch = [
        Reading(f"r{n}", "1.8.0", START + timedelta(hours=hour), Decimal(hour))
        for n in range(3)
        for hour in range(first, first + count)
    ]
    outcome = await Intake(PostgresStore(database)).accept(Delivery("test", batch))
    assert outcome.counts() == {Fate.STORED: len(batch)}


async def lived_in(database: Database) -> None:
    """A database with something in most of its tables."""
    await migrate(database)
    for n in range(3):
        await install(database, f"r{n}", [TOTAL])
    await fill(database)
    strange = [
        Reading("r0", "1.8.0", START + timedelta(hours=9, minutes=5), Decimal(9), Source.CONSUMER, author="Иванов"),
        Reading("r1", "1.8.0", START + timedelta(hours=20, minutes=5), Decimal(90_000)),
        Reading("nobody", "1.8.0", START, Decimal(1)),
    ]
    await Intake(PostgresStore(database)).accept(Delivery("test", strange, raw=b"\x00raw\xff"))
    await midnights.remember(database, START + timedelta(days=90))
    for table in timescale.HISTORY:  # all of it: after a restore the policy does so at once
        await compress(database, table)


async def everything(database: Database) -> dict[str, list[Any]]:
    """All rows of all tables."""
    async with database.connection() as conn:
        names = [name for (name,) in await (await conn.execute(_TABLES)).fetchall()]
        return {
            name: sorted(await (await conn.execute(f'SELECT t::text FROM "{name}" t'.encode())).fetchall())
            for name in names
        }


async def laid_out(database: Database) -> list[Any]:
    """Which tables are hypertables, in how many chunks, how many of them compressed, and the policies in force."""
    async with database.connection() as conn:
        found = [await timescale.chunks(conn, table) for table in timescale.HISTORY]
        shape: list[Any] = [chunks and [(one.begin, one.end, one.compressed) for one in chunks] for chunks in found]
        if any(chunks is not None for chunks in found):
            shape += await (await conn.execute(_POLICIES)).fetchall()
        return shape


@contextlib.asynccontextmanager
async def new_databases(dsn: str, count: int) -> AsyncIterator[list[str]]:
    """Databases of the test's own on its server, without TimescaleDB until somebody creates it."""
    names = [f"amr_t_{secrets.token_hex(4)}" for _ in range(count)]
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as conn:
        for name in names:
            await conn.execute(f"CREATE DATABASE {name} TEMPLATE template0".encode())
        try:
            yield names
        finally:
            for name in names:
                await conn.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)".encode())


def settings(dsn: str, name: str) -> DatabaseSettings:
    return DatabaseSettings(make_conninfo(dsn, dbname=name), Path("/nonexistent"), pool_size=3)


async def test_a_backup_comes_back_row_by_row_and_the_service_goes_on(server_dsn: str, tmp_path: Path) -> None:
    """On the server of the run: plain tables or TimescaleDB with compressed chunks."""
    file = tmp_path / "amr.dump"
    async with new_databases(server_dsn, 2) as (old, new):
        async with open_database(settings(server_dsn, old)) as database:
            await lived_in(database)
            said = await backup.backup(database, file)
            before, shape = await everything(database), await laid_out(database)
        assert len(before["stored_reading"]) == 3 * HOURS + 2
        assert before["quarantine"]
        assert before["midnight"]
        assert (file.stat().st_mode & 0o777, "PostgreSQL" in said[0]) == (0o600, True)
        async with open_database(settings(server_dsn, new)) as database:
            assert await restore(database, file, POLICY) == [f"restored {file}"]
            assert await everything(database) == before
            assert await laid_out(database) == shape
            await fill(database, HOURS, 24)
            assert await migrate(database) == []
            assert await midnights.remember(database, START + timedelta(days=90)) >= 3
            thinned = await retention.retain(database, POLICY, START + timedelta(days=1278 + 40))
            assert thinned is not None
            assert thinned.removed > 0


async def test_an_embedded_database_moves_to_a_server(server_dsn: str, data: Path, tmp_path: Path) -> None:
    """Also to an older PostgreSQL, and there to TimescaleDB's tables if it has them."""
    file = tmp_path / "amr.dump"
    async with open_database(DatabaseSettings(None, data)) as database:
        await lived_in(database)
        await backup.backup(database, file)
        before = await everything(database)
    async with new_databases(server_dsn, 1) as [new], open_database(settings(server_dsn, new)) as database:
        assert await restore(database, file, StoragePolicy(timescale=False)) == [f"restored {file}"]
        assert await everything(database) == before
        await migrate(database)
        assert (await everything(database))["stored_reading"] == before["stored_reading"]
        async with database.connection() as conn:
            chunks = await timescale.chunks(conn, "stored_reading")
            assert (chunks is None) is (await timescale.extension(conn) is None)


async def test_a_restore_that_fails_on_the_way_says_so(server_dsn: str, tmp_path: Path) -> None:
    async with new_databases(server_dsn, 2) as names:
        for name in names:
            async with await psycopg.AsyncConnection.connect(make_conninfo(server_dsn, dbname=name)) as conn:
                await conn.execute("CREATE TABLE stands_in_the_way (n int)")
        async with open_database(settings(server_dsn, names[0])) as database:
            await backup.backup(database, tmp_path / "amr.dump")
        async with open_database(settings(server_dsn, names[1])) as database:
            with pytest.raises(Misconfigured, match=r'(?s)pg_restore failed: .*"stands_in_the_way" already exists'):
                await restore(database, tmp_path / "amr.dump", POLICY)


async def test_the_extension_and_its_version_are_told(
    found: timescale.Extension, server_dsn: str, tmp_path: Path
) -> None:
    async with new_databases(server_dsn, 1) as [name], open_database(settings(server_dsn, name)) as database:
        await migrate(database)
        said = await backup.backup(database, tmp_path / "amr.dump")
    assert said[1] == f"it needs TimescaleDB {found.version}, exactly this version, to be restored"


async def test_nothing_is_written_over(database: Database, tmp_path: Path) -> None:
    (tmp_path / "amr.dump").write_text("precious")
    with pytest.raises(Misconfigured, match="exists; give the new backup another name"):
        await backup.backup(database, tmp_path / "amr.dump")
    with pytest.raises(Misconfigured, match="cannot be written"):
        await backup.backup(database, tmp_path / "no" / "amr.dump")
    assert os.listdir(tmp_path) == ["amr.dump"]
    assert (tmp_path / "amr.dump").read_text() == "precious"


async def test_a_database_in_use_is_not_filled(database: Database, tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="in use already"):
        await restore(database, tmp_path / "amr.dump", POLICY)


async def test_a_file_of_another_kind_is_refused(database_settings: DatabaseSettings, tmp_path: Path) -> None:
    (tmp_path / "readings.csv").write_text("meter,channel\n")
    async with open_database(database_settings) as database:
        with pytest.raises(Misconfigured, match="pg_restore failed"):
            await restore(database, tmp_path / "readings.csv", POLICY)


async def test_a_backup_of_hypertables_needs_timescaledb(server_dsn: str, tmp_path: Path, monkeypatch: Any) -> None:
    """Where the server does not offer it, that is said before anything is written."""

    async def listed(*_: object) -> str:
        return "4; 3079 16386 EXTENSION - timescaledb"

    monkeypatch.setattr(backup, "_listed", listed)
    async with new_databases(server_dsn, 1) as [name], open_database(settings(server_dsn, name)) as database:
        async with database.connection() as conn:
            offered = await (
                await conn.execute("SELECT FROM pg_available_extensions WHERE name = 'timescaledb'")
            ).fetchall()
        if offered:
            pytest.skip("this server offers TimescaleDB: the refusal is tested on one without it")
        with pytest.raises(Misconfigured, match="install the version that the backup named"):
            await restore(database, tmp_path / "amr.dump", POLICY)


def test_programs_of_another_version_are_not_used() -> None:
    with pytest.raises(Misconfigured, match="postgresql-client-9"):
        backup._program("pg_dump", 9)


async def test_a_password_is_not_on_the_command_line(database: Database) -> None:
    secret = Database(None, make_conninfo(database.dsn, password="canary"))  # type: ignore[arg-type]
    where, environment = backup._connection(secret)
    assert "canary" not in where
    assert environment["PGPASSWORD"] == "canary"


def commands(section: str) -> list[str]:
    """The commands of one section of the page."""
    [text] = re.findall(
        rf"^## {re.escape(section)}\n(.*?)(?=^## |\Z)", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL
    )
    blocks = re.findall(r"^```console\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return [line.removeprefix("$ ") for block in blocks for line in block.splitlines() if line.startswith("$ ")]


def run(lines: list[str], folder: Path, environment: dict[str, str]) -> str:
    printed = ""
    for line in lines:
        done = subprocess.run(
            ["/bin/sh", "-c", line], cwd=folder, env=environment, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, f"{line}: {done.stderr}"
        printed += done.stdout
    return printed


def clean() -> dict[str, str]:
    """Our environment without our settings, with `amr` in its path."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("AMR_", "PG"))}
    return {**kept, "PATH": f"{Path(sys.executable).parent}:{kept['PATH']}", "COLUMNS": "120", "NO_COLOR": "1"}


@pytest.fixture
def data() -> Iterator[Path]:
    folder = open_folder()
    yield folder
    shutil.rmtree(folder)


async def test_our_own_commands_on_the_page(data: Path, tmp_path: Path) -> None:
    async with open_database(DatabaseSettings(None, data / "old")) as database:
        await lived_in(database)
        before = await everything(database)
    lines = [line.replace("/srv/amr-restored", str(data / "new")) for line in commands("With our own command")]
    printed = run(lines, tmp_path, {**clean(), "AMR_DATA": str(data / "old")})
    assert f"│ reading          │ {3 * HOURS + 2} " in printed
    async with open_database(DatabaseSettings(None, data / "new")) as database:
        assert await everything(database) == before


async def test_the_commands_of_postgresql_on_the_page(server_dsn: str, tmp_path: Path) -> None:
    async with new_databases(server_dsn, 2) as (old, new):
        async with await psycopg.AsyncConnection.connect(server_dsn, autocommit=True) as conn:
            await conn.execute(f"DROP DATABASE {new}".encode())
        async with open_database(settings(server_dsn, old)) as database:
            await lived_in(database)
            before, shape = await everything(database), await laid_out(database)
        kind = "plain tables" if shape[0] is None else "TimescaleDB"
        lines = commands(f"With the programs of PostgreSQL, {kind}")
        assert len(lines) == (5 if shape[0] is None else 6)
        renamed = [re.sub(r"\bamr_restored\b", new, re.sub(r" amr$", f" {old}", line)) for line in lines]
        run(renamed, tmp_path, {**clean(), **await _server(server_dsn)})
        async with open_database(settings(server_dsn, new)) as database:
            assert await everything(database) == before
            assert await laid_out(database) == shape


async def _server(dsn: str) -> dict[str, str]:
    """How the programs of PostgreSQL find the test's server, and those of its version."""
    given = conninfo_to_dict(dsn)
    async with await psycopg.AsyncConnection.connect(dsn) as conn:
        major = conn.info.server_version // 10000
    try:
        folder = find_binaries(major).folder / "bin"
    except Misconfigured:
        folder = Path(f"/usr/lib/postgresql/{major}/bin")
    names = {"PGHOST": "host", "PGPORT": "port", "PGUSER": "user"}
    found = {name: str(given[key]) for name, key in names.items() if given.get(key)}
    return {**found, "PATH": f"{folder}:{clean()['PATH']}"}
