"""What the push tests stand on: a real broker, a real intake on the database, a subscriber running between them."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from collectors.broker import Broker
from collectors.formats_in_use import load_formats
from collectors.subscriber import Door, Subscriber
from ingest.delivery import Delivery, Outcome
from ingest.intake import Intake
from ingest.model import RegisterSpec
from simulators.mqtt import Publisher, topic_of
from storage.database import Database
from storage.readings import PostgresStore
from tests.storage.rows import install

GATEWAY = "tp-101"
START = datetime(2026, 1, 1, tzinfo=UTC)
WAIT = 20.0

FORMATS = load_formats()
FILTERS = FORMATS.filters


def message(serial: str, first: int, count: int = 1) -> bytes:
    """Readings number `first` and following of one meter: one a minute, each 0.01 above the last."""
    readings = [
        {
            "meter": serial,
            "channel": "1.8.0",
            "at": (START + timedelta(minutes=place)).isoformat(),
            "value": str(100 + Decimal(place) / 100),
        }
        for place in range(first, first + count)
    ]
    return json.dumps({"readings": readings}).encode()


async def meters(database: Database, *serials: str, gateway: str = GATEWAY) -> None:
    """Meters delivered by one gateway, each with its energy register."""
    for serial in serials:
        await install(database, serial, [RegisterSpec("1.8.0", 8)], gateway=gateway)


async def publish_all(url: str, payloads: Sequence[bytes], gateway: str = GATEWAY) -> None:
    """Publish with QoS 1 and wait for every PUBACK."""
    async with Publisher(url, f"publisher-{gateway}") as publisher:
        for payload in payloads:
            await publisher.publish(topic_of(gateway), payload)
        await asyncio.wait_for(publisher.drain(), WAIT)


async def fetch(database: Database, sql: str) -> list[tuple[Any, ...]]:
    """Rows of a question to the database."""
    async with database.connection() as conn:
        return await (await conn.execute(sql.encode())).fetchall()


async def stored(database: Database) -> list[int]:
    """The places (see `message`) of all readings stored, in order."""
    rows = await fetch(database, "SELECT value / 10000 - 10000 FROM reading ORDER BY 1")
    return [int(value) for (value,) in rows]


async def until(condition: Callable[[], Awaitable[bool] | bool], seconds: float = WAIT) -> None:
    """Wait for something to become true; TimeoutError when it never does."""
    async with asyncio.timeout(seconds):
        while True:
            answer = condition()
            if answer if isinstance(answer, bool) else await answer:
                return
            await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def running(work: Awaitable[None]) -> AsyncIterator[asyncio.Task[None]]:
    """A task that runs as long as the block, cancelled and awaited at its end; its own failure is raised."""
    task = asyncio.ensure_future(work)
    assert isinstance(task, asyncio.Task)
    try:
        yield task
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@contextlib.asynccontextmanager
async def intake_on(database: Database, **options: Any) -> AsyncIterator[Intake]:
    """A real intake, storing."""
    intake = Intake(PostgresStore(database), **options)
    async with running(intake.run()):
        yield intake


@contextlib.asynccontextmanager
async def subscribed(broker: Broker, door: Door, **options: Any) -> AsyncIterator[Subscriber]:
    """A subscriber to our own JSON, connected."""
    subscriber = Subscriber(broker, FILTERS, FORMATS.parse, door, **options)
    async with running(subscriber.run()):
        await asyncio.wait_for(subscriber.connected.wait(), WAIT)
        yield subscriber


@dataclass
class HeldDoor:
    """A door whose futures the test settles itself."""

    waiting: list[tuple[Delivery, asyncio.Future[Outcome]]] = field(default_factory=list)

    async def put(self, delivery: Delivery) -> asyncio.Future[Outcome]:
        done: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self.waiting.append((delivery, done))
        return done

    def settle(self, count: int, error: Exception | None = None) -> None:
        """Answer the first `count`, oldest first."""
        for _, done in self.waiting[:count]:
            if error is None:
                done.set_result(Outcome())
            else:
                done.set_exception(error)
        del self.waiting[:count]
