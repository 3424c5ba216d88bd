"""Processes in any order, stopped while everything hangs, and twice of one kind."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from subprocess import PIPE

import pytest

from bench.soak_house import STOP_WITHIN, House, Part, Size, house
from bench.soak_watch import Watched
from storage.database import Database

TINY = Size(lines=1, meters=3, gateways=0, pushed=0)


@pytest.fixture
async def built() -> AsyncIterator[House]:
    async with house(TINY, watched=Watched()) as built:
        yield built
        for part in built.parts.values():
            print(f"--- {part.name}\n{part.log.read_text()[-5000:]}")  # shown when the test failed


async def until(true: Callable[[], Awaitable[bool]], patience: float = 180) -> None:
    async with asyncio.timeout(patience):
        while True:
            if await true():
                return
            await asyncio.sleep(0.1)


async def stored(database: Database) -> int:
    async with database.connection() as conn:
        rows = await (await conn.execute("SELECT count(DISTINCT (register_id, taken_at)) FROM reading")).fetchall()
    return int(rows[0][0])


async def more(built: House) -> None:
    """Polls are being stored."""
    before = await stored(built.database)

    async def grown() -> bool:
        return await stored(built.database) > before + 100

    await until(grown)


async def test_a_collector_starts_without_database_and_meters_and_goes_to_work_when_they_come(built: House) -> None:
    collector = built.parts["collector"]
    await more(built)
    await collector.kill()
    for proxy in built.proxies.values():
        proxy.cut()
    collector.start()
    await asyncio.sleep(3)
    assert collector.process is not None
    assert collector.process.poll() is None, "it waits"
    built.proxies["line-0"].mend()
    asked = len(built.watched.asked["51000000"])

    async def polled() -> bool:
        return len(built.watched.asked["51000000"]) > asked + 20

    await until(polled)  # without the database: it knows its fleet, and nobody can have taken its line
    before = await stored(built.database)
    assert await stored(built.database) == before
    built.proxies["collector-database"].mend()
    await more(built)


async def test_everybody_ends_in_time_though_the_database_hangs(built: House) -> None:
    await more(built)
    for name in ("collector-database", "ingest-database", "api-database"):
        built.proxies[name].freeze()
    await asyncio.sleep(3)  # transactions are under way into nowhere
    took = await asyncio.gather(*(part.terminate() for part in built.parts.values()))
    assert max(took) < STOP_WITHIN


async def test_what_was_polled_before_a_sigterm_is_stored_or_kept(built: House) -> None:
    """All answers that the collector had are in the database right after it ended."""
    await more(built)
    await built.parts["collector"].terminate()
    answered = sum(len(built.watched.polls(serial)) for serial in built.street.units)
    async with built.database.connection() as conn:
        rows = await conn.execute(
            "SELECT count(DISTINCT (g.meter_id, x.taken_at)) FROM reading x JOIN register g ON g.id = x.register_id"
        )
        [(polls,)] = await rows.fetchall()
    assert answered - 1 <= polls <= answered + 1  # one may have been asked for while it was told to stop


async def test_a_second_collector_of_the_same_name_and_folder_does_no_harm(built: House) -> None:
    first = built.parts["collector"]
    await more(built)
    second = Part("second", first.command, first.environment, built.folder / "second.log")
    connections = built.proxies["line-0"].connections
    second.start()
    try:

        async def registered() -> bool:
            async with built.database.connection() as conn:
                rows = await conn.execute("SELECT count(*) FROM collector WHERE 'line-0' = ANY(wants)")
                return bool((await rows.fetchall())[0][0] == 2)

        await until(registered)
        await more(built)
        assert built.proxies["line-0"].connections == connections, "only one speaks on the line"
    finally:
        assert await second.terminate() < STOP_WITHIN
    await more(built)


def test_a_process_that_is_held_up_ends_all_the_same() -> None:
    """As the API is while it is built on a busy machine: nothing of the loop hears the signal."""
    with subprocess.Popen([sys.executable, "-c", _HELD], stdout=PIPE, stderr=PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.terminate()
        _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "something hangs" in said


_HELD = """
import time, uvloop
from ingest.stopping import until_stopped
async def hold():
    print(flush=True)
    time.sleep(600)
uvloop.run(until_stopped(hold(), within=0.5))
"""
