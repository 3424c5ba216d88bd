"""The PostgreSQL that storage, API and path tests share: AMR_TEST_DSN, or the embedded one in a temporary folder.

Every test that asks for `database` gets a migrated schema of its own, dropped afterwards.
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
            yield server.dsn
        finally:
            runner.run(server.stop())
            shutil.rmtree(folder)


@pytest.fixture
async def database_settings(server_dsn: str) -> AsyncIterator[DatabaseSettings]:
    """Settings that lead to an empty schema of this test's own."""
    schema = f"t_{secrets.token_hex(6)}"
    async with await psycopg.AsyncConnection.connect(server_dsn, autocommit=True) as conn:
        await conn.execute(f"CREATE SCHEMA {schema}".encode())
        options = f"{conninfo_to_dict(server_dsn).get('options') or ''} -csearch_path={schema},public".strip()
        yield DatabaseSettings(url=make_conninfo(server_dsn, options=options), data=Path("/nonexistent"), pool_size=5)
        await conn.execute(f"DROP SCHEMA {schema} CASCADE".encode())


@pytest.fixture
async def database(database_settings: DatabaseSettings) -> AsyncIterator[Database]:
    """An open, migrated, empty database."""
    async with open_database(replace(database_settings, application_name="amr-test")) as opened:
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
