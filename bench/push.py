"""What pushing costs: messages from a real Mosquitto to committed and acknowledged, one process, beside two ceilings.

    python -m bench push        (or python -m bench.push [--share 0.2] [--backlog 2000000])

Messages of 1, 10 and 100 readings wait at the broker for an absent ingest. Ceiling 1 is paho that receives and
acknowledges them and does nothing else, ceiling 2 the door that judges and stores the same readings already parsed.
Then a long backlog is drained, and how much memory grows by it. About three minutes; loopback only.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import itertools
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import uvloop
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from bench.figure import Figure, record
from bench.place import Options, Place, from_environment, open_place
from bench.push_load import FLEET, GATEWAYS, METERS, messages, minutes, publish
from collectors.broker import Broker
from collectors.formats_in_use import load_formats
from collectors.mqtt import Connection
from collectors.payload import Message
from collectors.subscriber import Subscriber
from ingest.delivery import Delivery, Outcome
from ingest.intake import Intake, utc_now
from simulators.mosquitto import Mosquitto
from storage.readings import PostgresStore

SIZES = {1: (60_000, ">= 25000 messages/s"), 10: (20_000, ""), 100: (6_000, ">= 100000 readings/s")}
"""Readings a message: how many messages, and what issue 7 wants."""

GC = (100_000, 50, 1000)
"""As `amr` runs."""

PATIENCE = 300.0
_TOPICS = {"amr/v1/+/readings": 1}


@dataclass(frozen=True, slots=True)
class Spent:
    """Seconds, and CPU seconds of this process, for so many messages."""

    messages: int
    seconds: float
    cpu: float

    @property
    def rate(self) -> float:
        return self.messages / self.seconds


async def queue(mosquitto: Mosquitto, client_id: str, todo: Iterator[tuple[str, bytes]]) -> int:
    """Let the broker keep messages for a session that is not there."""
    session = Connection(Broker.from_url(mosquitto.url, client_id=client_id), _TOPICS, lambda _, messages: None)
    await session.open()
    await session.close()
    return await publish(mosquitto.host, mosquitto.port, todo)


def paho_alone(mosquitto: Mosquitto, client_id: str, count: int) -> Spent:
    """Ceiling 1: paho in its own thread, every message acknowledged at once."""
    done = threading.Event()
    numbers = itertools.count(1)

    def received(client: Client, _: object, message: MQTTMessage) -> None:
        client.ack(message.mid, message.qos)
        if next(numbers) == count:
            done.set()

    client = Client(CallbackAPIVersion.VERSION2, client_id, clean_session=False, manual_ack=True)
    client.on_message = received
    begun, cpu = time.perf_counter(), time.process_time()
    client.connect(mosquitto.host, mosquitto.port)
    client.loop_start()
    assert done.wait(PATIENCE)
    spent = Spent(count, time.perf_counter() - begun, time.process_time() - cpu)
    client.disconnect()
    client.loop_stop()
    return spent


async def door_alone(intake: Intake, deliveries: list[Delivery]) -> Spent:
    """Ceiling 2: judged and stored, nothing received and nothing parsed."""
    begun, cpu = time.perf_counter(), time.process_time()
    last: asyncio.Future[Outcome] | None = None
    for delivery in deliveries:
        last = await intake.put(delivery)
    assert last is not None
    async with asyncio.timeout(PATIENCE):
        await last
    return Spent(len(deliveries), time.perf_counter() - begun, time.process_time() - cpu)


async def pushed(mosquitto: Mosquitto, intake: Intake, client_id: str, count: int) -> Spent:
    """All of it: received, parsed, judged, committed and acknowledged."""
    formats = load_formats()
    subscriber = Subscriber(Broker.from_url(mosquitto.url, client_id=client_id), formats.filters, formats.parse, intake)
    begun, cpu = time.perf_counter(), time.process_time()
    running = asyncio.create_task(subscriber.run())
    async with asyncio.timeout(PATIENCE):
        while subscriber.counts.acknowledged < count:  # noqa: ASYNC110 - an event would be a part of what is measured
            await asyncio.sleep(0.005)
    spent = Spent(count, time.perf_counter() - begun, time.process_time() - cpu)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert subscriber.counts.rejects == 0
    return spent


async def one_size(place: Place, mosquitto: Mosquitto, intake: Intake, size: int, count: int, first: int) -> int:
    """The figures of one size of message; gives the next minute nobody has a reading of."""
    used = minutes(count, size)
    formats = load_formats()
    ready = [formats.parse(Message(*one, utc_now())) for one in messages(count, size, first)]
    door = await door_alone(intake, ready)
    del ready
    await queue(mosquitto, f"paho-{size}", messages(count, size, first))
    paho = await asyncio.to_thread(paho_alone, mosquitto, f"paho-{size}", count)
    await queue(mosquitto, f"ours-{size}", messages(count, size, first + used))
    ours = await pushed(mosquitto, intake, f"ours-{size}", count)
    detail = (
        f"{place.kind}; {ours.rate * size:.0f} readings/s, {1e6 * ours.cpu / count / size:.1f} µs of CPU a reading;"
        f" ceilings: paho alone {paho.rate:.0f} messages/s, the door alone {door.rate:.0f}"
        f" ({1e6 * door.cpu / count / size:.1f} µs a reading)"
    )
    must = SIZES[size][1]
    record(
        Figure(
            f"push, {size} readings a message", ours.rate, "messages/s", min(paho.rate, door.rate),
            f"{must}; >= 0.6 of the lower ceiling" if must else ">= 0.6 of the lower ceiling", detail,
        )
    )  # fmt: skip
    return first + 2 * used


async def backlog(place: Place, mosquitto: Mosquitto, intake: Intake, readings: int, first: int) -> None:
    """A long absence: memory must not follow the length of the queue."""
    count = readings // 100
    await queue(mosquitto, "backlog", messages(count, 100, first))
    before, most, over = resident(), 0.0, asyncio.Event()

    async def watch() -> None:
        nonlocal most
        while not over.is_set():
            most = max(most, resident())
            await asyncio.sleep(0.1)

    watching = asyncio.create_task(watch())
    spent = await pushed(mosquitto, intake, "backlog", count)
    over.set()
    await watching
    detail = f"{place.kind}; {readings} readings in {spent.seconds:.0f} s, memory grew by {most - before:.0f} MB"
    record(Figure("push, a backlog at the broker", readings / spent.seconds, "readings/s", detail=detail))
    record(Figure("push, memory while a backlog drains", most, "MB", must="flat", detail=f"{before:.0f} MB before"))


def resident() -> float:
    """MB of this process in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


async def run(share: float = 1.0, readings: int = 2_000_000) -> None:
    """All sizes on one fleet, then the backlog."""
    gc.set_threshold(*GC)
    async with open_place(Options(dsn=from_environment())) as place, Mosquitto() as mosquitto:
        async with place.database.connection() as conn:
            for statement in FLEET.strip().split(";\n"):
                await conn.execute(statement.encode())
        intake = Intake(PostgresStore(place.database))
        storing = asyncio.create_task(intake.run())
        first = 1
        formats = load_formats()
        for one in messages(GATEWAYS * METERS // 100, 100, 0):  # a series that has no end yet is judged thoroughly
            await intake.accept(formats.parse(Message(*one, utc_now())))
        for size, (count, _) in SIZES.items():
            first = await one_size(place, mosquitto, intake, size, int(count * share), first)
        if readings:
            await backlog(place, mosquitto, intake, readings, first)
        storing.cancel()
        await asyncio.gather(storing, return_exceptions=True)


def main() -> None:
    """`python -m bench.push`."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--share", type=float, default=1.0, help="of the messages, for a quick look")
    options.add_argument("--backlog", type=int, default=2_000_000, help="readings that wait; 0: none")
    given = options.parse_args()
    uvloop.run(run(given.share, given.backlog))


if __name__ == "__main__":
    main()
