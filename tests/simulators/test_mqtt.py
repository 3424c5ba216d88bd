"""Gateways over MQTT, received by paho from a real Mosquitto and from the embedded broker."""

import asyncio
import gc
import json
import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from simulators.broker import EmbeddedBroker
from simulators.clock import Clock
from simulators.events import Drift
from simulators.meter import Meter
from simulators.mosquitto import Mosquitto
from simulators.mqtt import Gateway, Publisher, broker_address, next_mark, payload_of, readings_of, topic_of
from simulators.shape import load

AT = datetime(2026, 11, 19, 20, tzinfo=UTC)
WAIT = 10.0


def meter(serial: str = "22000001", **facts: Any) -> Meter:
    resolution = Decimal("0.001")
    return Meter(serial=serial, shape=load("b"), resolution=resolution, start={"1.8.0": Decimal("12345.678")}, **facts)


@asynccontextmanager
async def listener(
    port: int, topic: str = "amr/v1/+/readings", *, persistent: bool = False
) -> AsyncIterator[asyncio.Queue[MQTTMessage]]:
    loop, heard, subscribed = asyncio.get_running_loop(), asyncio.Queue[MQTTMessage](), asyncio.Event()

    def on_message(client: Client, data: Any, message: MQTTMessage) -> None:
        loop.call_soon_threadsafe(heard.put_nowait, message)

    def on_subscribe(*_: Any) -> None:
        loop.call_soon_threadsafe(subscribed.set)

    client = Client(CallbackAPIVersion.VERSION2, client_id="listener", clean_session=not persistent)
    client.on_message = on_message
    client.on_connect = lambda c, *_: c.subscribe(topic, qos=1)
    client.on_subscribe = on_subscribe
    client.connect_async("127.0.0.1", port)
    client.loop_start()
    try:
        await asyncio.wait_for(subscribed.wait(), WAIT)
        yield heard
    finally:
        client.disconnect()
        await asyncio.to_thread(client.loop_stop)


@pytest.fixture(params=["mosquitto", "embedded"])
async def broker(request: pytest.FixtureRequest) -> AsyncIterator[Mosquitto | EmbeddedBroker]:
    async with Mosquitto() if request.param == "mosquitto" else EmbeddedBroker() as started:
        yield started


async def test_a_gateway_publishes_its_meters(broker: Mosquitto | EmbeddedBroker) -> None:
    meters = [meter(), meter("22000002", zones=True)]
    async with listener(broker.port) as heard, Publisher(broker.url, "gw") as publisher:
        gateway = Gateway("gw-tp-101", meters, Clock(AT, factor=0), publisher, timedelta(seconds=30))
        await gateway.publish(AT)
        await asyncio.wait_for(publisher.drain(), WAIT)
        message = await asyncio.wait_for(heard.get(), WAIT)
    assert publisher.acknowledged == 1
    assert message.topic == "amr/v1/gw-tp-101/readings"
    readings = json.loads(message.payload)["readings"]
    shown = {(one["meter"], one["channel"]): Decimal(one["value"]) for one in readings}
    assert shown == {(m.serial, channel): value for m in meters for channel, value in m.values(AT).items()}
    assert {one["at"] for one in readings} == {"2026-11-20T00:00:00+04:00"}


async def test_a_round_comes_at_every_mark_of_the_clock() -> None:
    clock = Clock(AT + timedelta(seconds=7), factor=600)
    async with Mosquitto() as broker, listener(broker.port) as heard, Publisher(broker.url, "gw") as publisher:
        gateway = Gateway("gw-1", [meter()], clock, publisher, timedelta(minutes=1))
        running = asyncio.create_task(gateway.run())
        stamps = [
            json.loads((await asyncio.wait_for(heard.get(), WAIT)).payload)["readings"][0]["at"] for _ in range(4)
        ]
        running.cancel()
    marks = [datetime.fromisoformat(stamp) for stamp in stamps[1:]]
    assert marks[0].second == 0
    assert [later - marks[0] for later in marks] == [timedelta(minutes=n) for n in range(3)]


async def test_what_was_not_acknowledged_survives_the_brokers_death() -> None:
    async with Mosquitto() as broker, Publisher(broker.url, "gw") as publisher:
        await asyncio.wait_for(publisher.connected.wait(), WAIT)
        await broker.kill()
        for number in range(20):
            await publisher.publish("amr/v1/gw/readings", str(number))
        assert publisher.unacknowledged == 20
        await broker.start()
        async with listener(broker.port) as heard:
            await asyncio.wait_for(publisher.drain(), WAIT)
            # Those acknowledged before the listener came are gone; none may be left at the publisher.
            assert publisher.acknowledged == 20
            await publisher.publish("amr/v1/gw/readings", "after")
            assert await _last(heard) == b"after"


async def _last(heard: asyncio.Queue[MQTTMessage]) -> bytes:
    while True:
        payload = bytes((await asyncio.wait_for(heard.get(), WAIT)).payload)
        if payload == b"after":
            return payload


async def test_the_window_makes_the_publisher_wait() -> None:
    async with Mosquitto() as broker, Publisher(broker.url, "gw", window=3) as publisher:
        await asyncio.wait_for(publisher.connected.wait(), WAIT)
        await broker.kill()
        for number in range(3):
            await publisher.publish("t", str(number))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(publisher.publish("t", "one too many"), 0.2)
        await broker.start()
        await asyncio.wait_for(await asyncio.wait_for(publisher.publish("t", "now"), WAIT), WAIT)
        assert publisher.acknowledged == 4


async def test_a_publisher_without_a_broker_ends_cleanly() -> None:
    publisher = Publisher("mqtt://127.0.0.1:1", "gw")
    await publisher.start()
    waiting = await publisher.publish("t", "x")
    await asyncio.wait_for(publisher.stop(), WAIT)
    assert waiting.cancelled()


async def test_a_stopped_publisher_leaves_no_socket_to_the_garbage_collector() -> None:
    loop, gone = asyncio.get_running_loop(), asyncio.Event()
    gc.disable()
    try:
        async with Publisher("mqtt://127.0.0.1:1", "gw") as publisher:
            weakref.finalize(publisher._client, loop.call_soon_threadsafe, gone.set)
        await asyncio.wait_for(gone.wait(), WAIT)
    finally:
        gc.enable()


async def test_a_persistent_session_gets_what_came_meanwhile(broker: Mosquitto | EmbeddedBroker) -> None:
    async with listener(broker.port, "t", persistent=True):
        pass
    async with Publisher(broker.url, "gw") as publisher:
        await asyncio.wait_for(await publisher.publish("t", "meanwhile"), WAIT)
    async with listener(broker.port, "t", persistent=True) as heard:
        assert (await asyncio.wait_for(heard.get(), WAIT)).payload == b"meanwhile"


async def test_mosquitto_comes_back_on_its_port_and_leaves_no_folder() -> None:
    async with Mosquitto() as broker:
        port, first = broker.port, broker.pid
        await broker.restart()
        assert broker.port == port
        assert broker.pid != first
        folder = broker.folder
        assert folder is not None
    assert not folder.exists()


async def test_a_wrong_mosquitto_configuration_is_told() -> None:
    broker = Mosquitto(extra="no_such_setting true")
    with pytest.raises(RuntimeError, match="ended at once"):
        await broker.start()
    assert broker.folder is None


def test_readings_are_stamped_by_the_meters_own_clock() -> None:
    fast = meter(events=(Drift(AT - timedelta(days=2), 60.0),))
    assert {one["at"] for one in readings_of(fast, AT)} == {"2026-11-20T00:02:00+04:00"}


def test_the_payload_is_our_own_json() -> None:
    reading = {"meter": "1", "channel": "1.8.0", "at": "2026-11-20T00:00:00+04:00", "value": "12345.678"}
    assert topic_of("gw") == "amr/v1/gw/readings"
    assert payload_of([reading]) == (
        b'{"readings":[{"meter":"1","channel":"1.8.0","at":"2026-11-20T00:00:00+04:00","value":"12345.678"}]}'
    )


def test_marks_and_addresses() -> None:
    assert next_mark(AT, timedelta(minutes=30)) == AT + timedelta(minutes=30)
    assert next_mark(AT + timedelta(seconds=1), timedelta(minutes=30)) == AT + timedelta(minutes=30)
    assert broker_address("mqtt://broker.local") == ("broker.local", 1883)
    with pytest.raises(ValueError, match="http://x"):
        broker_address("http://x")
