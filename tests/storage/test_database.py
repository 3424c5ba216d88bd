"""The pool: what psycopg's errors become, what a DSN may choose, and how the database's absence is survived."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from ingest.errors import AmrError, Misconfigured, StoreRejected, StoreUnavailable
from storage.database import (
    Database,
    DatabaseSettings,
    StoreMisconfigured,
    StoreTimeout,
    open_database,
    translate,
)
from storage.embedded import EmbeddedServer
from storage.postgres_process import server_pid
from tests.conftest import open_folder
from tests.storage.test_embedded import cluster_of


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("SELECT 1/0", StoreRejected),
        ("SELECT 'abc'::int", StoreRejected),
        ("INSERT INTO point (code, zone) VALUES ('', 'UTC')", StoreRejected),
        ("INSERT INTO point (code) VALUES ('p')", StoreRejected),
        ("SET LOCAL statement_timeout = 10; SELECT pg_sleep(5)", StoreTimeout),
        ("SELECT pg_terminate_backend(pg_backend_pid())", StoreUnavailable),
        ("DO $$ BEGIN RAISE SQLSTATE '40001'; END $$", StoreUnavailable),
        ("DO $$ BEGIN RAISE SQLSTATE '40P01'; END $$", StoreUnavailable),
        ("DO $$ BEGIN RAISE SQLSTATE '53100'; END $$", StoreUnavailable),
        ("DO $$ BEGIN RAISE SQLSTATE '55P03'; END $$", StoreUnavailable),
        ("DO $$ BEGIN RAISE SQLSTATE '57P03'; END $$", StoreUnavailable),
        ("SET TRANSACTION READ ONLY; CREATE TABLE t (i int)", StoreUnavailable),
        ("SELECT * FROM no_such_table", StoreMisconfigured),
        ("SELECT no_such_column FROM point", StoreMisconfigured),
        ("SELECT no_such_function(1)", StoreMisconfigured),
        ("SET ROLE pg_monitor; CREATE TABLE t (i int)", StoreMisconfigured),
        ("SELEKT", AmrError),
    ],
)
async def test_errors_are_translated_by_their_state(
    database: Database, statement: str, expected: type[AmrError]
) -> None:
    with pytest.raises(AmrError) as caught:
        async with database.connection() as conn:
            await conn.execute(statement.encode())
    assert type(caught.value) is expected
    assert isinstance(caught.value.__cause__, psycopg.Error)


async def test_data_refused_before_they_are_sent(database: Database) -> None:
    with pytest.raises(StoreRejected):
        async with database.connection() as conn:
            await conn.execute("SELECT %s::text", ("nul \0 byte",))


async def test_a_missing_table_names_the_remedy(database: Database) -> None:
    with pytest.raises(Misconfigured, match="amr migrate"):
        async with database.connection() as conn:
            await conn.execute("SELECT * FROM no_such_table")


def test_an_error_of_no_known_class_is_called_ours() -> None:
    assert "report" in str(translate(psycopg.NotSupportedError("something new")))


async def test_a_transaction_is_committed_at_exit_and_rolled_back_at_an_error(database: Database) -> None:
    insert = "INSERT INTO point (code, zone) VALUES (%s, 'UTC')"
    async with database.connection() as conn:
        await conn.execute(insert, ("kept",))

    async def fail() -> None:
        async with database.connection() as conn:
            await conn.execute(insert, ("dropped",))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    async with database.connection() as conn:
        assert await (await conn.execute("SELECT code FROM point")).fetchall() == [("kept",)]


async def test_an_exhausted_pool_is_unavailable(database_settings: DatabaseSettings) -> None:
    tight = replace(database_settings, pool_size=1, pool_timeout=timedelta(milliseconds=50))
    async with open_database(tight) as database, database.connection():
        with pytest.raises(StoreUnavailable):
            async with database.connection():
                pass


async def test_sessions_are_set_up(database_settings: DatabaseSettings) -> None:
    assert database_settings.url
    options = f"{conninfo_to_dict(database_settings.url).get('options') or ''} -cwork_mem=4321kB"
    url = make_conninfo(database_settings.url, options=options)
    seven = timedelta(seconds=7)
    settings = replace(database_settings, url=url, statement_timeout=seven, application_name="amr collect")
    async with open_database(settings) as database, database.connection() as conn:
        shown = [
            (await (await conn.execute(f"SHOW {name}".encode())).fetchone() or [None])[0]
            for name in (
                "timezone",
                "statement_timeout",
                "application_name",
                "idle_in_transaction_session_timeout",
                "work_mem",  # what the address asks for stays in force
            )
        ]
    assert shown == ["UTC", "7s", "amr collect", "5min", "4321kB"]


@pytest.mark.parametrize("url", ["nonsense", "postgresql://[::1/x", "no_such_key=1"])
async def test_a_wrong_url_is_named(url: str) -> None:
    with pytest.raises(Misconfigured, match="AMR_DATABASE_URL"):
        async with open_database(DatabaseSettings(url, Path("/nonexistent"))):
            pass


async def test_a_password_never_reaches_the_message() -> None:
    with pytest.raises(StoreUnavailable) as caught:
        async with open_database(DatabaseSettings("postgresql://u:canary@127.0.0.1:1/x", Path("/nonexistent"))):
            pass
    assert "canary" not in f"{caught.value} {caught.value.__cause__}"


@pytest.fixture
def data() -> Iterator[Path]:
    folder = open_folder()
    yield folder
    shutil.rmtree(folder)


async def test_waits_for_a_database_that_is_not_up_yet(data: Path, caplog: pytest.LogCaptureFixture) -> None:
    server = EmbeddedServer(data)
    await server.start()
    await server.stop()
    settings = DatabaseSettings(server.dsn, data)
    with pytest.raises(StoreUnavailable):
        async with open_database(settings):
            pass

    async def use() -> object:
        async with open_database(settings, wait=True) as database, database.connection() as conn:
            return await (await conn.execute("SELECT 1")).fetchone()

    waiting = asyncio.create_task(use())
    while "waiting for the database" not in caplog.text:
        assert not waiting.done()
        await asyncio.sleep(0.01)
    await server.start()
    assert await waiting == (1,)
    await server.stop()
    assert caplog.text.count("waiting for the database") == 1


async def test_the_embedded_server_is_the_default_and_its_restart_is_survived(data: Path) -> None:
    async with open_database(DatabaseSettings(None, data)) as database:
        async with database.connection() as conn:
            await conn.execute("CREATE TABLE kept (n int)")
        pid = server_pid(cluster_of(data))
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        for _ in range(100):
            try:
                async with database.connection() as conn:
                    await conn.execute("SELECT n FROM kept")
                break
            except StoreUnavailable:
                await asyncio.sleep(0.1)
        else:
            pytest.fail("the pool never found the database again")
