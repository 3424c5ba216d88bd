"""The push path on a real Mosquitto: nothing acknowledged before its commit, nothing lost, nothing doubled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from collectors.broker import Broker
from collectors.payload import Message
from collectors.subscriber import Subscriber
from ingest.delivery import Delivery
from ingest.errors import StoreRejected, StoreUnavailable
from simulators.mosquitto import Mosquitto
from storage.database import Database
from tests.collectors.push_rig import (
    FILTERS,
    GATEWAY,
    HeldDoor,
    fetch,
    intake_on,
    message,
    meters,
    publish_all,
    running,
    stored,
    subscribed,
    until,
)


@pytest.fixture
async def mosquitto() -> AsyncIterator[Mosquitto]:
    async with Mosquitto() as broker:
        yield broker


@pytest.fixture(params=[5, 4])
def broker(request: pytest.FixtureRequest, mosquitto: Mosquitto) -> Broker:
    return Broker.from_url(mosquitto.url, client_id="ingest", version=request.param)


async def test_published_readings_are_stored_and_acknowledged(
    broker: Broker, mosquitto: Mosquitto, database: Database
) -> None:
    await meters(database, "100")
    async with intake_on(database) as intake, subscribed(broker, intake) as subscriber:
        await publish_all(mosquitto.url, [message("100", place, 5) for place in range(0, 500, 5)])
        await until(lambda: subscriber.counts.acknowledged == 100)
        assert await stored(database) == list(range(500))
    assert subscriber.held == 0


async def test_messages_of_our_absence_wait_at_the_broker(
    broker: Broker, mosquitto: Mosquitto, database: Database
) -> None:
    await meters(database, "100")
    async with intake_on(database) as intake:
        async with subscribed(broker, intake):
            pass
        await publish_all(mosquitto.url, [message("100", place) for place in range(3000)])
        async with subscribed(broker, intake) as subscriber:
            await until(lambda: subscriber.counts.acknowledged == 3000)
        assert await stored(database) == list(range(3000))


async def test_nothing_is_acknowledged_before_it_is_committed(broker: Broker, mosquitto: Mosquitto) -> None:
    door = HeldDoor()
    async with subscribed(broker, door, grace=0.1) as subscriber:
        await publish_all(mosquitto.url, [message("100", place) for place in range(10)])
        await until(lambda: len(door.waiting) == 10)
        door.settle(4)
        await until(lambda: subscriber.counts.acknowledged == 4)
    again = HeldDoor()
    async with subscribed(broker, again, grace=0.1):
        await until(lambda: len(again.waiting) == 6)
        assert [delivery.readings for delivery, _ in again.waiting] == [
            delivery.readings for delivery, _ in door.waiting
        ]


async def test_acknowledgements_keep_the_order_of_arrival(mosquitto: Mosquitto) -> None:
    door = HeldDoor()
    async with subscribed(Broker.from_url(mosquitto.url), door, grace=0.1) as subscriber:
        await publish_all(mosquitto.url, [message("100", place) for place in range(3)])
        await until(lambda: len(door.waiting) == 3)
        first = door.waiting.pop(0)
        door.settle(2)
        await asyncio.sleep(0.05)
        assert subscriber.counts.acknowledged == 0
        door.waiting.append(first)
        door.settle(1)
        await until(lambda: subscriber.counts.acknowledged == 3)


async def test_acknowledgements_of_a_lost_connection_are_dropped(mosquitto: Mosquitto) -> None:
    """A broker that lost its state counts message ids from 1 again: a late PUBACK of an old 1 would delete a new 1."""
    door = HeldDoor()
    async with subscribed(Broker.from_url(mosquitto.url), door, grace=0.1) as subscriber:
        await publish_all(mosquitto.url, [message("100", place) for place in range(10)])
        await until(lambda: len(door.waiting) == 10)
        await mosquitto.kill()
        await until(lambda: not subscriber.connected.is_set())
        await mosquitto.start()
        await asyncio.wait_for(subscriber.connected.wait(), 20)
        await publish_all(mosquitto.url, [message("100", place) for place in range(10, 20)])
        await until(lambda: len(door.waiting) == 20)
        door.settle(10)  # the ten from before, committed late
        await asyncio.sleep(0.1)
    again = HeldDoor()
    async with subscribed(Broker.from_url(mosquitto.url), again, grace=0.1):
        await until(lambda: len(again.waiting) == 10)
        assert [delivery.raw for delivery, _ in again.waiting] == [message("100", place) for place in range(10, 20)]


async def test_subscriptions_are_made_again_on_every_connection(mosquitto: Mosquitto) -> None:
    door = HeldDoor()
    async with subscribed(Broker.from_url(mosquitto.url), door, grace=0.1) as subscriber:
        await mosquitto.kill()  # it forgets sessions and subscriptions
        await until(lambda: not subscriber.connected.is_set())
        await mosquitto.start()
        await asyncio.wait_for(subscriber.connected.wait(), 20)
        await publish_all(mosquitto.url, [message("100", 0)])
        await until(lambda: len(door.waiting) == 1)
        assert subscriber.counts.connections == 2


async def test_a_message_the_store_cannot_take_now_is_put_again_and_only_then_acknowledged(
    mosquitto: Mosquitto,
) -> None:
    door = HeldDoor()
    async with subscribed(Broker.from_url(mosquitto.url), door, grace=0.1) as subscriber:
        await publish_all(mosquitto.url, [message("100", place) for place in range(2)])
        await until(lambda: len(door.waiting) == 2)
        door.settle(1, StoreUnavailable("away"))
        await publish_all(mosquitto.url, [message("100", 2)])
        await until(lambda: len(door.waiting) == 2)  # the second, and the first again; the third has to wait
        assert [delivery.raw for delivery, _ in door.waiting] == [message("100", 1), message("100", 0)]
        assert subscriber.counts.acknowledged == 0
        door.settle(2)
        await until(lambda: len(door.waiting) == 1)
        door.settle(1)
        await until(lambda: subscriber.counts.acknowledged == 3)


async def test_a_message_refused_for_good_stays_with_the_broker_and_stops_nobody(mosquitto: Mosquitto) -> None:
    door = HeldDoor()
    async with subscribed(Broker.from_url(mosquitto.url), door, grace=0.1) as subscriber:
        await publish_all(mosquitto.url, [message("100", place) for place in range(3)])
        await until(lambda: len(door.waiting) == 3)
        door.settle(1, StoreRejected("no"))
        door.settle(2)
        await until(lambda: subscriber.counts.acknowledged == 2)
        assert subscriber.counts.unstored == 1
    again = HeldDoor()
    async with subscribed(Broker.from_url(mosquitto.url), again, grace=0.1):
        await until(lambda: len(again.waiting) == 1)
        assert again.waiting[0][0].raw == message("100", 0)


async def test_a_malformed_message_is_quarantined_and_acknowledged(mosquitto: Mosquitto, database: Database) -> None:
    await meters(database, "100")
    async with (
        intake_on(database) as intake,
        subscribed(Broker.from_url(mosquitto.url), intake) as subscriber,
    ):
        await publish_all(mosquitto.url, [b"\xff\x00 not json", message("100", 1), b'{"readings":[1]}'])
        await until(lambda: subscriber.counts.acknowledged == 3)
    assert await stored(database) == [1]
    rows = await fetch(database, "SELECT origin, reason, raw FROM quarantine ORDER BY id")
    assert rows == [
        (f"mqtt:amr/v1/{GATEWAY}/readings", "malformed", b"\xff\x00 not json"),
        (f"mqtt:amr/v1/{GATEWAY}/readings", "malformed", b'{"readings": [1]}'),
    ]


async def test_a_gateway_delivers_for_its_own_meters_only(mosquitto: Mosquitto, database: Database) -> None:
    await meters(database, "100")
    await meters(database, "200", gateway="another")
    async with (
        intake_on(database) as intake,
        subscribed(Broker.from_url(mosquitto.url), intake) as subscriber,
    ):
        await publish_all(mosquitto.url, [message("100", 1), message("200", 2)])
        await until(lambda: subscriber.counts.acknowledged == 2)
    assert await stored(database) == [1]
    assert await fetch(database, "SELECT reason, meter FROM quarantine") == [("foreign_meter", "200")]


async def test_a_defect_of_the_parser_costs_one_message_and_is_told(mosquitto: Mosquitto) -> None:
    """With paho's own loop an exception in on_message ends its thread while is_connected() stays True."""
    door = HeldDoor()

    def broken(message: Message) -> Delivery:
        if message.payload == b"boom":
            raise RuntimeError("a defect")
        return Delivery("mqtt:ok")

    subscriber = Subscriber(Broker.from_url(mosquitto.url), FILTERS, broken, door, grace=0.1)
    async with running(subscriber.run()):
        await asyncio.wait_for(subscriber.connected.wait(), 10)
        await publish_all(mosquitto.url, [b"boom", b"fine"])
        await until(lambda: len(door.waiting) == 2)
    assert [delivery.rejects[0].reason for delivery, _ in door.waiting[:1]] == ["parser_failed"]
    assert door.waiting[0][0].rejects[0].raw == b"boom"


async def test_a_backlog_larger_than_what_is_held_does_not_look_like_a_silent_broker(mosquitto: Mosquitto) -> None:
    """The queued messages come before the SUBACK, which is not read while we hold too much."""
    broker = Broker.from_url(mosquitto.url, patience=timedelta(seconds=1))
    async with subscribed(broker, HeldDoor(), grace=0.1):
        pass
    await publish_all(mosquitto.url, [bytes([65 + place]) * 100_000 for place in range(60)])
    door = HeldDoor()
    async with subscribed(broker, door, grace=0.1, most_bytes=1_000_000) as subscriber:
        await asyncio.sleep(1.5)
        assert subscriber.connected.is_set()
        while subscriber.counts.acknowledged < 60:
            door.settle(len(door.waiting))
            await asyncio.sleep(0.01)
        assert subscriber.counts.connections == 1
        assert subscriber.counts.messages == 60


async def test_reading_stops_when_too_much_is_held(mosquitto: Mosquitto) -> None:
    door = HeldDoor()
    payloads = [bytes([65 + place]) * 100_000 for place in range(30)]
    async with subscribed(Broker.from_url(mosquitto.url), door, grace=0.1, most_bytes=1_000_000) as subscriber:
        await publish_all(mosquitto.url, payloads)
        await until(lambda: subscriber.held >= 10)
        await asyncio.sleep(0.3)
        most = subscriber.held
        assert most < 20
        while len(door.waiting) < 30 - subscriber.counts.acknowledged:
            door.settle(1)
            await asyncio.sleep(0.01)
        door.settle(len(door.waiting))
        await until(lambda: subscriber.counts.acknowledged == 30)
