"""A program for tests: one ingest process, subscribed and storing, until it is killed. `ingest_process.py URL JSON`."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from collectors.broker import Broker
from collectors.formats_in_use import load_formats
from collectors.subscriber import Subscriber
from ingest.intake import Intake
from storage.database import DatabaseSettings, open_database
from storage.readings import PostgresStore


async def run(url: str, options: dict[str, object]) -> None:
    dsn = str(options.pop("dsn"))
    async with open_database(DatabaseSettings(url=dsn, data=Path("/nonexistent"), pool_size=2)) as database:
        intake = Intake(PostgresStore(database), batch=200)
        formats = load_formats()
        subscriber = Subscriber(Broker.from_url(url, **options), formats.filters, formats.parse, intake)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(intake.run())
            tasks.create_task(subscriber.run())
            await subscriber.connected.wait()
            print("connected", flush=True)


if __name__ == "__main__":
    asyncio.run(run(sys.argv[1], json.loads(sys.argv[2])))
