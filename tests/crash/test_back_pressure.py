"""A store that does not answer: nobody's memory grows, the broker keeps, lines wait, and then all of it is there."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

from collectors.broker import Broker
from collectors.spool import Spool
from collectors.spooling import Spooling
from ingest.intake import Intake
from ingest.refuge import SparedIntake
from simulators.mosquitto import Mosquitto
from storage.database import Database
from storage.readings import PostgresStore
from tests.collectors.push_rig import HeldDoor, message, meters, publish_all, stored, subscribed, until
from tests.collectors.test_spooling import poll
from tests.ingest.memory_store import spec
from tests.ingest.test_refuge import Hanging

WINDOW = 50


async def test_a_slow_store_leaves_messages_unacknowledged_at_the_broker() -> None:
    async with Mosquitto() as mosquitto:
        door = HeldDoor()
        broker = Broker.from_url(mosquitto.url, client_id="ingest", window=WINDOW)
        async with subscribed(broker, door, grace=0.1) as subscriber:
            await publish_all(mosquitto.url, [message("100", place) for place in range(1000)])
            await until(lambda: subscriber.held >= WINDOW)
            await asyncio.sleep(0.5)
            assert subscriber.held <= WINDOW, "the others wait at the broker"
            assert subscriber.counts.acknowledged == 0
        again = HeldDoor()
        async with subscribed(Broker.from_url(mosquitto.url, client_id="ingest"), again, grace=0.1):
            await until(lambda: len(again.waiting) == 1000)


async def test_a_slow_store_makes_putting_wait_and_loses_nothing() -> None:
    store = Hanging()
    store.install("m1", [spec()])
    intake = Intake(store, capacity=10, batch=5, max_wait=0.001)
    storing = asyncio.create_task(intake.run())
    putting = asyncio.create_task(_put_all(intake, 100))
    try:
        await until(lambda: intake.depth.rows == 10)
        await asyncio.sleep(0.1)
        assert intake.depth.rows == 10
        assert not putting.done()
        store.leave.set()
        async with asyncio.timeout(30):
            await putting
            await intake.drain()
    finally:
        storing.cancel()
        await asyncio.gather(storing, return_exceptions=True)
    assert len(store.tables.rows) == 100


async def _put_all(intake: Intake, count: int) -> None:
    for number in range(count):
        await intake.put(poll(number))


async def test_while_a_store_hangs_polls_go_to_disk_and_memory_stays_empty(tmp_path: Path) -> None:
    store = Hanging()
    store.install("m1", [spec()])
    plain = Intake(store, max_wait=0.001)
    async with Spool(tmp_path / "spool.sqlite") as spool:
        spooling = Spooling(spool, plain)
        polls = SparedIntake(store, spooling, patience=timedelta(seconds=0.05), max_wait=0.001, capacity=50)
        tasks = [asyncio.create_task(work) for work in (plain.run(), polls.run(), spooling.run())]
        try:
            async with asyncio.timeout(60):
                done = [await polls.put(poll(number)) for number in range(300)]
                outcomes = await asyncio.gather(*done)
            assert all(outcome.kept for outcome in outcomes)
            assert (polls.depth.rows, spool.depth()) == (0, 300)
            store.leave.set()
            await until(lambda: spool.depth() == 0)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
    assert len(store.tables.rows) == 300


async def test_a_backlog_and_fresh_polls_end_in_the_same_history(database: Database, tmp_path: Path) -> None:
    """Old ones arrive after new ones; nothing is judged by its arrival."""
    await meters(database, "m1", gateway="")
    store = PostgresStore(database)
    plain = Intake(store)
    running = asyncio.create_task(plain.run())
    try:
        async with Spool(tmp_path / "spool.sqlite") as spool:
            spooling = Spooling(spool, plain)
            await spooling.keep([poll(number) for number in range(100, 150)])
            for number in range(150, 160):
                await plain.accept(poll(number))
            await spooling.drain()
            assert spool.depth() == 0
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert len(await stored(database)) == 60
    async with database.connection() as conn:
        rows = await (await conn.execute("SELECT quality, count(*) FROM reading GROUP BY quality")).fetchall()
    assert len(rows) == 1
