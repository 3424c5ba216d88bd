"""Two ingest workers of one group restarted one after the other under load: every reading is stored exactly once."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from simulators.mosquitto import Mosquitto
from simulators.mqtt import Publisher, topic_of
from storage.database import Database, DatabaseSettings
from tests.collectors.push_rig import GATEWAY, fetch, message, meters, stored, until

PATIENCE = 60.0


class Worker:
    """`amr collect` that polls nothing and shares a subscription: what deploy/ runs as an ingest worker."""

    def __init__(self, name: str, folder: Path, url: str, settings: DatabaseSettings) -> None:
        self.log = folder / f"{name}.log"
        self._process: asyncio.subprocess.Process | None = None
        clean = {key: value for key, value in os.environ.items() if not key.startswith("AMR_")}
        self._environment = clean | {
            "AMR_DATABASE_URL": str(settings.url),
            "AMR_DATA": str(folder / name),
            "AMR_LINES": "none",
            "AMR_MQTT_URL": url,
            "AMR_MQTT_GROUP": "ingest",
            "AMR_MQTT_CLIENT_ID": name,
            "AMR_MQTT_TRY_OUT": "false",
        }

    async def start(self) -> None:
        """Start it, and wait until it is subscribed."""
        with self.log.open("w") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "amr", "collect", env=self._environment, stderr=log
            )
        await until(lambda: "connected, session" in self.log.read_text(), PATIENCE)

    async def stop(self) -> int:
        """SIGTERM, and how it ended."""
        if self._process is None:
            return 0
        process, self._process = self._process, None
        process.terminate()
        async with asyncio.timeout(PATIENCE):
            return await process.wait()


@asynccontextmanager
async def published(url: str) -> AsyncIterator[list[int]]:
    """One reading a message as long as the block; at its end the broker has confirmed the places in the list."""
    places: list[int] = []
    over = asyncio.Event()

    async def publish() -> None:
        while not over.is_set():
            await publisher.publish(topic_of(GATEWAY), message("100", len(places)))
            places.append(len(places))
            await asyncio.sleep(0.003)

    async with Publisher(url, "gateway") as publisher:
        publishing = asyncio.create_task(publish())
        try:
            yield places
        finally:
            over.set()
            async with asyncio.timeout(PATIENCE):
                await publishing
                await publisher.drain()


async def test_a_rolling_restart_of_ingest_workers_loses_nothing(
    database: Database, database_settings: DatabaseSettings, tmp_path: Path
) -> None:
    await meters(database, "100")

    async def count() -> int:
        [(rows,)] = await fetch(database, "SELECT count(*) FROM reading")
        return int(rows)

    async def more() -> None:
        before = await count()

        async def grown() -> bool:
            return await count() > before + 50

        await until(grown, PATIENCE)

    async with Mosquitto() as broker:
        workers = [Worker(name, tmp_path, broker.url, database_settings) for name in ("worker-1", "worker-2")]
        try:
            await asyncio.gather(*(worker.start() for worker in workers))
            async with published(broker.url) as places:
                for worker in workers:
                    await more()
                    assert await worker.stop() == 0
                    await more()  # the other one goes on
                    await worker.start()
                await more()

            async def all_there() -> bool:
                return await count() >= len(places)

            await until(all_there, PATIENCE)
        finally:
            await asyncio.gather(*(worker.stop() for worker in workers))
    assert await stored(database) == places
    assert await fetch(database, "SELECT count(*) FROM quarantine") == [(0,)]
