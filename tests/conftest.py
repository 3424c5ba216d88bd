"""The PostgreSQL that storage, API and path tests share: AMR_TEST_DSN, or the embedded one in a temporary folder.

Every test that asks for `database` gets a migrated database of its own, dropped afterwards: on our own server a copy of
one that was migrated once, on a given one a schema.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator, Generator, Iterator
from dataclasses import replace
from pathlib import Path

os.environ.pop("COLUMNS", None)  # workers are given one, and consoles that are made at an import would keep it

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from simulators.mosquitto import MosquittoMissingError
from storage.database import Database, DatabaseSettings, open_database
from storage.embedded import EmbeddedServer
from storage.migrate import migrate

# Properties are looked for among the same examples in every run; a busy machine is no finding.
settings.register_profile(
    "repeatable",
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=100,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("repeatable")

_SERVER = pytest.StashKey[str]()


def open_folder() -> Path:
    """A new temporary folder that PostgreSQL's unprivileged account can reach when the tests run as root."""
    folder = Path(tempfile.mkdtemp(prefix="amr-test-", dir="/var/tmp"))
    folder.chmod(0o755)
    return folder


@pytest.fixture(scope="session")
def server_dsn(request: pytest.FixtureRequest) -> Iterator[str]:
    """A PostgreSQL server for the whole session."""
    given = os.environ.get("AMR_TEST_DSN")
    if given:
        request.config.stash[_SERVER] = _describe(given)
        yield given
        return
    folder = open_folder()
    server = EmbeddedServer(folder)
    with asyncio.Runner() as runner:
        runner.run(server.start())
        try:
            request.config.stash[_SERVER] = f"embedded {_describe(server.dsn)}"
            with psycopg.connect(server.dsn, autocommit=True) as conn:  # no test pulls the plug of this machine
                conn.execute("ALTER SYSTEM SET fsync = off")
                conn.execute("ALTER SYSTEM SET full_page_writes = off")
                conn.execute("SELECT pg_reload_conf()")
            yield server.dsn
        finally:
            runner.run(server.stop())
            shutil.rmtree(folder)


@pytest.fixture(scope="session")
def migrated(server_dsn: str) -> str | None:
    """A migrated database to copy, for a third of what a migration costs. None on a server that is not ours alone:
    whoever is connected to the original, like TimescaleDB's workers, forbids copying it."""
    if os.environ.get("AMR_TEST_DSN"):
        return None
    with psycopg.connect(server_dsn, autocommit=True) as conn:
        conn.execute("CREATE DATABASE migrated")

    async def fill() -> None:
        settings = DatabaseSettings(url=make_conninfo(server_dsn, dbname="migrated"), data=Path("/nonexistent"))
        async with open_database(settings) as opened:
            await migrate(opened)

    asyncio.run(fill())
    return "migrated"


@pytest.fixture
async def database_settings(
    request: pytest.FixtureRequest, server_dsn: str, migrated: str | None
) -> AsyncIterator[DatabaseSettings]:
    """Settings that lead to a database or schema of this test's own, which is empty unless the test has `database`."""
    name = f"t_{secrets.token_hex(6)}"
    if migrated is None:
        begin, end = f"CREATE SCHEMA {name}", f"DROP SCHEMA {name} CASCADE"
        options = f"{conninfo_to_dict(server_dsn).get('options') or ''} -csearch_path={name},public".strip()
        url = make_conninfo(server_dsn, options=options)
    else:
        original = migrated if "database" in request.fixturenames else "template1"
        begin = f"CREATE DATABASE {name} TEMPLATE {original} STRATEGY file_copy"
        end, url = f"DROP DATABASE {name} WITH (FORCE)", make_conninfo(server_dsn, dbname=name)
    async with await psycopg.AsyncConnection.connect(server_dsn, autocommit=True) as conn:
        await conn.execute(begin.encode())
        yield DatabaseSettings(url=url, data=Path("/nonexistent"), pool_size=5)
        await conn.execute(end.encode())


@pytest.fixture
async def database(database_settings: DatabaseSettings, migrated: str | None) -> AsyncIterator[Database]:
    """An open, migrated, empty database."""
    async with open_database(replace(database_settings, application_name="amr-test")) as opened:
        if migrated is None:
            await migrate(opened)
        yield opened


def _describe(dsn: str) -> str:
    with psycopg.connect(dsn) as conn:
        version = conn.execute("SHOW server_version").fetchone()
        timescale = conn.execute("SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'").fetchone()
    assert version
    return f"PostgreSQL {version[0]}, TimescaleDB {timescale[0] if timescale else 'none'}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What waits long for real processes comes first, so that no core rests at the end."""
    here = Path(__file__).parent

    def quick(item: pytest.Item) -> bool:
        return item.path.parent != here and item.path.relative_to(here).parts[0] not in ("crash", "docs", "security")

    items.sort(key=quick)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None]:
    """Without Mosquitto its tests are skipped, in sight, on a machine by hand; in CI they fail."""
    return (yield from _without_mosquitto())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None]:
    """The same for tests that start their broker themselves."""
    return (yield from _without_mosquitto())


def _without_mosquitto() -> Generator[None]:
    try:
        return (yield)
    except MosquittoMissingError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say which server the storage tests ran on."""
    if _SERVER in config.stash:
        terminalreporter.write_line(f"storage tests ran on {config.stash[_SERVER]}")
