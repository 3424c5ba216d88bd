"""Migrations: once, in order, safe against each other, and strict about history."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace

import pytest

from ingest.errors import Misconfigured
from storage.database import Database, DatabaseSettings, open_database
from storage.migrate import LOCK, Migration, apply, migrate, shipped


async def test_applies_everything_once(database_settings: DatabaseSettings) -> None:
    async with open_database(database_settings) as database:
        assert await migrate(database) == [migration.name for migration in shipped()]
        assert await migrate(database) == []


async def test_two_processes_at_once_apply_each_file_once(database_settings: DatabaseSettings) -> None:
    script = (
        "import asyncio, pathlib, sys\n"
        "from storage.database import DatabaseSettings, open_database\n"
        "from storage.migrate import migrate\n"
        "async def main():\n"
        "    async with open_database(DatabaseSettings(sys.argv[1], pathlib.Path('/nonexistent'))) as database:\n"
        "        print(len(await migrate(database)))\n"
        "asyncio.run(main())\n"
    )
    assert database_settings.url
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", script, database_settings.url, stdout=asyncio.subprocess.PIPE
        )
        for _ in range(3)
    ]
    answers = [(await process.communicate())[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert sorted(int(answer) for answer in answers) == [0, 0, len(shipped())]


async def test_a_migration_under_way_is_waited_for(database: Database) -> None:
    slow = [*shipped(), Migration(9000, "slow", "SELECT pg_sleep(0.5); CREATE TABLE slow (n int)")]
    applied = await asyncio.gather(*(apply(database, slow) for _ in range(3)))
    assert sorted(applied) == [[], [], ["slow"]]


async def test_a_database_that_goes_away_meanwhile_is_waited_for(database_settings: DatabaseSettings) -> None:
    """As the embedded one does when the command that runs it ends: whoever waits at the lock loses its connection."""
    async with open_database(database_settings) as database, database.own_connection() as holder:
        await holder.execute(LOCK)
        migrating = asyncio.create_task(migrate(database))
        async with asyncio.timeout(60):
            while not await (await holder.execute(_END_WHO_WAITS)).fetchall():
                assert not migrating.done()
                await asyncio.sleep(0.02)
            while not await (await holder.execute(_WHO_WAITS)).fetchall():  # it came back by itself
                assert not migrating.done()
                await asyncio.sleep(0.02)
            await holder.execute("SELECT pg_advisory_unlock_all()")
            assert await migrating == [migration.name for migration in shipped()]


_WHO_WAITS = """
SELECT w.pid FROM pg_locks w JOIN pg_locks h USING (locktype, classid, objid, objsubid)
WHERE w.locktype = 'advisory' AND NOT w.granted AND h.pid = pg_backend_pid()
"""
_END_WHO_WAITS = f"SELECT pg_terminate_backend(pid) FROM ({_WHO_WAITS}) AS waiting"


async def test_a_failing_migration_leaves_nothing_behind(database: Database) -> None:
    broken = Migration(9000, "broken", "CREATE TABLE half_done (id int); SELECT 1/0;")
    with pytest.raises(Exception, match="division"):
        await apply(database, [*shipped(), broken])
    async with database.connection() as conn:
        row = await (await conn.execute("SELECT to_regclass('half_done'), max(number) FROM migration")).fetchone()
    assert row == (None, shipped()[-1].number)


async def test_a_changed_old_file_is_refused(database: Database) -> None:
    first, *rest = shipped()
    with pytest.raises(Misconfigured, match=r"0001 .* was changed"):
        await apply(database, [replace(first, sql=first.sql + "-- later"), *rest])


async def test_a_newer_database_is_refused(database: Database) -> None:
    newer = Migration(9000, "from_the_future", "SELECT 1")
    await apply(database, [*shipped(), newer])
    with pytest.raises(Misconfigured, match="newer than the code"):
        await migrate(database)
