"""Ingest processes killed with -9 in the middle of a stream: nothing is lost, nothing is doubled."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from simulators.mosquitto import Mosquitto
from simulators.mqtt import Publisher, topic_of
from storage.database import Database, DatabaseSettings
from tests.collectors.push_rig import GATEWAY, fetch, message, meters, stored, until

PROGRAM = Path(__file__).with_name("ingest_process.py")
ROOT = Path(__file__).parents[2]


@asynccontextmanager
async def ingest(
    url: str, settings: DatabaseSettings, client_id: str, group: str | None = None
) -> AsyncIterator[asyncio.subprocess.Process]:
    """An ingest process, connected; killed at the end, whatever happened."""
    options = {"dsn": settings.url, "client_id": client_id, "group": group}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", f"tests.collectors.{PROGRAM.stem}", url, json.dumps(options),
        cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        assert await asyncio.wait_for(process.stdout.readline(), 30) == b"connected\n"
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def publish(url: str, count: int) -> None:
    """`count` messages of one reading, not faster than they can be killed in between."""
    async with Publisher(url, "gateway") as publisher:
        for place in range(count):
            await publisher.publish(topic_of(GATEWAY), message("100", place))
            if place % 50 == 0:
                await asyncio.sleep(0.01)
        await asyncio.wait_for(publisher.drain(), 20)


async def progress(database: Database) -> int:
    [(count,)] = await fetch(database, "SELECT count(*) FROM reading")
    return int(count)


async def test_a_process_killed_again_and_again_loses_and_doubles_nothing(
    database: Database, database_settings: DatabaseSettings
) -> None:
    await meters(database, "100")
    total = 4000
    async with Mosquitto() as broker:
        async with ingest(broker.url, database_settings, "ingest-1"):
            pass
        publishing = asyncio.create_task(publish(broker.url, total))
        for share in (0.1, 0.4):
            async with ingest(broker.url, database_settings, "ingest-1") as process:

                async def enough(wanted: float = share * total) -> bool:
                    return await progress(database) >= wanted

                await until(enough, 30)
                process.kill()
        await publishing
        assert await progress(database) < total
        async with ingest(broker.url, database_settings, "ingest-1"):

            async def all_there() -> bool:
                return await progress(database) == total

            await until(all_there, 30)
    assert await stored(database) == list(range(total))
    assert await fetch(database, "SELECT count(*) FROM quarantine") == [(0,)]


async def test_a_shared_stream_survives_the_death_of_a_member_who_comes_back(
    database: Database, database_settings: DatabaseSettings
) -> None:
    """Mosquitto keeps a dead member's unacknowledged messages for that member, so its name has to come back."""
    await meters(database, "100")
    total = 3000
    async with (
        Mosquitto() as broker,
        ingest(broker.url, database_settings, "member-1", "ingest"),
        ingest(broker.url, database_settings, "member-2", "ingest"),
    ):
        async with ingest(broker.url, database_settings, "member-3", "ingest") as third:
            publishing = asyncio.create_task(publish(broker.url, total))

            async def some() -> bool:
                return await progress(database) > total / 4

            await until(some, 30)
            third.kill()
        await publishing
        await asyncio.sleep(0.5)
        assert await progress(database) < total  # what the third held waits for the third
        async with ingest(broker.url, database_settings, "member-3", "ingest"):

            async def all_there() -> bool:
                return await progress(database) == total

            await until(all_there, 30)
    assert await stored(database) == list(range(total))
    assert await fetch(database, "SELECT count(*) FROM quarantine") == [(0,)]
