"""The push path with several formats: what a broker may keep for us, what is asked of senders, what a group may not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from collectors.broker import Broker
from collectors.formats_in_use import load_formats, presets
from collectors.frames import Publish
from collectors.mqtt import Connection
from collectors.payload import Message
from collectors.push import receive, subscriber_of
from collectors.sparkplug import decode
from ingest.errors import Misconfigured
from ingest.model import Reason, RegisterSpec
from simulators.mosquitto import Mosquitto
from storage.database import Database
from tests.collectors.push_rig import HeldDoor, fetch, intake_on, running, until
from tests.storage.rows import install


@asynccontextmanager
async def sender(mosquitto: Mosquitto) -> AsyncIterator[Connection]:
    """A client that publishes."""
    connection = Connection(Broker.from_url(mosquitto.url, client_id="sender"), {}, lambda _, messages: None)
    await connection.open()
    try:
        yield connection
    finally:
        await connection.close()


async def test_messages_of_three_formats_are_stored_side_by_side(database: Database) -> None:
    formats = load_formats(["own-json", "wiren-board", "chirpstack"])
    specs = [RegisterSpec("1.8.0", 8), RegisterSpec("32.7.0")]
    await install(database, "1", specs, gateway="tp-1")
    await install(database, "wb-map3e_12", specs, gateway="wiren-board")
    await install(database, "48151623", specs, gateway="lora-7")
    async with Mosquitto() as mosquitto, intake_on(database) as intake:
        subscriber = subscriber_of(Broker.from_url(mosquitto.url), formats, intake)
        async with running(subscriber.run()):
            await asyncio.wait_for(subscriber.connected.wait(), 10)
            async with sender(mosquitto) as client:
                sent = [
                    client.publish(topic, payload)
                    for topic, payload in (
                        (
                            "amr/v1/tp-1/readings",
                            b'{"readings":[{"meter":"1","channel":"1.8.0","at":"2026-01-01T00:00:00Z","value":"1.5"}]}',
                        ),
                        ("/devices/wb-map3e_12/controls/Total AP energy", b"2.5"),
                        (
                            "application/lora-7/device/01/event/up",
                            b'{"time":"2026-01-01T00:00:00Z","deviceInfo":{"tags":{"serial":"48151623"}},'
                            b'"object":{"energy":3.5}}',
                        ),
                        (
                            "application/lora-8/device/01/event/up",
                            b'{"time":"2026-01-01T00:00:00Z","deviceInfo":{"tags":{"serial":"48151623"}},'
                            b'"object":{"energy":9.5}}',
                        ),
                    )
                ]
                await asyncio.wait_for(asyncio.gather(*sent), 10)
                await until(lambda: subscriber.counts.messages == 4)
                await until(lambda: subscriber.held == 0)
    rows = await fetch(
        database,
        "SELECT serial, value FROM reading r JOIN register g ON g.id = r.register_id JOIN meter m ON m.id = g.meter_id"
        " ORDER BY value",
    )
    assert rows == [("1", 1_500_000), ("wb-map3e_12", 2_500_000), ("48151623", 3_500_000)]
    assert await fetch(database, "SELECT reason FROM quarantine") == [("foreign_meter",)]


async def test_values_without_a_time_are_not_stamped_with_the_time_of_our_return() -> None:
    """What the broker kept while we were away would all be readings of now; the next live value has it all."""
    formats = load_formats(["own-json", "wiren-board"])
    async with Mosquitto() as mosquitto:
        for round_ in range(2):
            door = HeldDoor()
            subscriber = subscriber_of(Broker.from_url(mosquitto.url), formats, door)
            async with running(subscriber.run()):
                await asyncio.wait_for(subscriber.connected.wait(), 10)
                async with sender(mosquitto) as client:
                    await client.publish("/devices/a/controls/Total A energy", b"%d" % (90 + round_))
                await until(lambda: len(door.waiting) == 1)  # noqa: B023 - of this round
                assert [str(delivery.readings[0].value) for delivery, _ in door.waiting] == [str(90 + round_)]
                door.settle(1)
            async with sender(mosquitto) as client:  # while nobody listens
                await client.publish("/devices/a/controls/Total A energy", b"95")


async def test_an_unknown_alias_makes_us_ask_its_node_for_a_rebirth() -> None:
    formats = load_formats(["sparkplug-b"])
    samples = presets()["sparkplug-b"].samples
    heard: list[Publish] = []
    async with Mosquitto() as mosquitto:
        subscriber = subscriber_of(Broker.from_url(mosquitto.url), formats, HeldDoor())
        async with running(subscriber.run()):
            await asyncio.wait_for(subscriber.connected.wait(), 10)
            node = Connection(
                Broker.from_url(mosquitto.url, client_id="node"),
                {"spBv1.0/grid/NCMD/tp-7": 1},
                lambda _, messages: heard.extend(messages),
            )
            await node.open()
            data = next(sample for sample in samples if "/DDATA/" in sample.topic)
            for _ in range(3):
                await node.publish(data.topic, data.payload)
            await until(lambda: bool(heard))
            await asyncio.sleep(0.2)
            await node.close()
    [command] = heard  # asked once, however many messages need it
    [metric] = decode(command.payload).metrics
    assert (metric.name, metric.value) == ("Node Control/Rebirth", True)


def test_a_format_that_remembers_is_refused_in_a_group() -> None:
    broker = Broker("x", group="ingest")
    for name in ("sparkplug-b", "wiren-board"):
        with pytest.raises(Misconfigured, match=name):
            subscriber_of(broker, load_formats(["own-json", name]), HeldDoor())
    subscriber_of(broker, load_formats(["own-json", "thingsboard"]), HeldDoor())
    subscriber_of(replace(broker, group=None), load_formats(["sparkplug-b"]), HeldDoor())


async def test_receiving_warns_of_a_careless_broker_and_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    door = HeldDoor()
    async with Mosquitto("max_queued_messages 1000") as mosquitto:
        broker = Broker.from_url(mosquitto.url, version=4)
        async with running(receive(subscriber_of(broker, load_formats(), door))):
            await until(lambda: "max_queued_messages" in caplog.text)
            async with sender(mosquitto) as client:
                await client.publish("amr/v1/x/readings", b"{}")
            await until(lambda: len(door.waiting) == 1)
            door.settle(1)


async def test_clocks_gone_astray_are_refused_or_doubted_and_never_believed(database: Database) -> None:
    """1970 is a clock that was never set; 2099 may be one that is wrong, and what it says is kept for the judge."""
    await install(database, "1", [RegisterSpec("1.8.0", 8)], gateway="tp-1")
    element = '{"meter":"1","channel":"1.8.0","at":"%s-06-01T00:00:00Z","value":"%s"}'
    readings = ",".join(element % (year, value) for year, value in ((1970, 7), (2026, 8), (2099, 9)))
    message = Message("amr/v1/tp-1/readings", f'{{"readings":[{readings}]}}'.encode(), datetime(2026, 7, 1, tzinfo=UTC))
    async with intake_on(database) as intake:
        outcome = await intake.accept(load_formats().parse(message))
    assert outcome.rejected == 1
    assert await fetch(database, "SELECT value / 1000000, reasons FROM reading ORDER BY 1") == [
        (8, 0),
        (9, int(Reason.FUTURE_TIME)),
    ]
    assert await fetch(database, "SELECT reason FROM quarantine") == [("bad_time",)]
