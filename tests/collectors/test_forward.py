"""Store and forward on a real Mosquitto: nothing leaves the disk before its commit, everything is stored once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from collectors.broker import Broker
from collectors.confirmation import confirmed_topic
from collectors.forward import BACKLOG_WINDOW, FRESH_WINDOW, Forwarder, Pace
from collectors.forward_out import Out
from collectors.forward_payload import readings_topic
from collectors.frames import Publish
from collectors.mqtt import Connection
from collectors.payload import read_own
from collectors.spool import Spool
from ingest.delivery import Contact, Delivery
from ingest.errors import Misconfigured
from ingest.model import Reading
from simulators.mosquitto import Mosquitto
from storage.database import Database
from tests.collectors.push_rig import GATEWAY, START, fetch, intake_on, meters, running, stored, subscribed, until

AT_ONCE = Pace(0.1, 0.2, spread=0.0, confirmation=0.5, longest_confirmation=1.0, linger=0.01)


@pytest.fixture
async def mosquitto() -> AsyncIterator[Mosquitto]:
    async with Mosquitto() as broker:
        yield broker


def poll(place: int, serial: str = "100") -> Delivery:
    """Reading number `place` of a meter (see `push_rig.message`)."""
    at = START + timedelta(minutes=place)
    reading = Reading(serial, "1.8.0", at, 100 + Decimal(place) / 100)
    return Delivery("line", [reading], contacts=[Contact(serial, at)])


@asynccontextmanager
async def forwarding(url: str, folder: Path, pace: Pace = AT_ONCE, gateway: str = GATEWAY) -> AsyncIterator[Forwarder]:
    async with Spool(folder / f"{gateway}.sqlite") as spool:
        forwarder = Forwarder(Broker.from_url(url, client_id=f"edge-{gateway}"), gateway, spool, pace)
        async with running(forwarder.run()):
            yield forwarder


@asynccontextmanager
async def listening(mosquitto: Mosquitto, heard: list[Publish]) -> AsyncIterator[Connection]:
    """Somebody who hears what is forwarded and confirms nothing by himself."""

    def received(connection: Connection, messages: list[Publish]) -> None:
        heard.extend(messages)
        connection.acknowledge([one.mid for one in messages])

    broker = Broker.from_url(mosquitto.url, client_id="listener")
    connection = Connection(broker, {readings_topic(GATEWAY): 1}, received)
    await connection.open()
    try:
        yield connection
    finally:
        await connection.close()


def receipt(publish: Publish) -> str:
    return read_own(publish.payload).receipt


def places(publish: Publish) -> list[int]:
    return [int(reading.value * 100) - 10_000 for reading in read_own(publish.payload).readings]


async def keep(folder: Path, first: int, count: int) -> None:
    """Polls of a time without a network."""
    async with forwarding("mqtt://127.0.0.1:1", folder) as forwarder:
        done = [await forwarder.put(poll(place)) for place in range(first, first + count)]
        await asyncio.wait_for(asyncio.gather(*done), 20)


async def confirm(connection: Connection, *receipts: str) -> None:
    ids = ",".join(f'"{one}"' for one in receipts)
    await connection.publish(confirmed_topic(GATEWAY), b'{"ids":[%s]}' % ids.encode())


async def test_what_is_polled_is_stored_and_then_forgotten(
    mosquitto: Mosquitto, database: Database, tmp_path: Path
) -> None:
    await meters(database, "100", "101")
    await keep(tmp_path, 0, 300)
    async with (
        intake_on(database) as intake,
        subscribed(Broker.from_url(mosquitto.url, client_id="ingest"), intake),
        forwarding(mosquitto.url, tmp_path) as forwarder,
    ):
        outcome = await asyncio.wait_for(await forwarder.put(poll(300)), 20)
        assert (outcome.kept, outcome.stored, outcome.verdicts) == (True, False, [])  # nobody judged it yet
        assert forwarder.offer(Delivery("line", contacts=[Contact("101", START, "timeout", "no answer")]))
        await until(lambda: forwarder.counts.confirmed == 302)
        assert forwarder._spool.depth() == 0
    assert await stored(database) == list(range(301))
    assert await fetch(
        database, "SELECT serial, failure FROM last_contact JOIN meter m ON m.id = meter_id ORDER BY serial"
    ) == [("100", None), ("101", "timeout")]
    assert await fetch(database, "SELECT count(*) FROM quarantine") == [(0,)]


async def test_nothing_is_forgotten_before_it_is_confirmed_and_it_is_sent_again(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    heard: list[Publish] = []
    async with listening(mosquitto, heard) as central, forwarding(mosquitto.url, tmp_path) as forwarder:
        await forwarder.connected.wait()
        await (await forwarder.put(poll(1)))
        await until(lambda: len(heard) >= 3)  # the broker acknowledged it each time
        assert len({receipt(one) for one in heard}) == 1
        assert forwarder._spool.depth() == 1
        await confirm(central, "somebody else's", receipt(heard[0]))
        await until(lambda: forwarder._spool.depth() == 0)
        count = len(heard)
        await (await forwarder.put(poll(2)))
        await until(lambda: len(heard) > count)
        assert places(heard[-1]) == [2]


async def test_new_data_do_not_wait_for_the_backlog(mosquitto: Mosquitto, tmp_path: Path) -> None:
    """With an ingest that is away the backlog fills its window; what is polled now goes out all the same."""
    count = 200 * (BACKLOG_WINDOW + 10)
    await keep(tmp_path, 0, count)
    heard: list[Publish] = []
    patient = replace(AT_ONCE, confirmation=600.0, longest_confirmation=600.0)
    async with listening(mosquitto, heard) as central, forwarding(mosquitto.url, tmp_path, patient) as forwarder:
        await until(lambda: len(heard) == BACKLOG_WINDOW)
        old = [place for one in heard for place in places(one)]
        assert old == list(range(len(old)))  # oldest first
        await (await forwarder.put(poll(count)))
        await until(lambda: len(heard) == BACKLOG_WINDOW + 1)
        assert places(heard[-1]) == [count]
        for number in range(1, FRESH_WINDOW):
            await (await forwarder.put(poll(count + number)))
            await until(lambda: len(heard) > BACKLOG_WINDOW + number)  # noqa: B023
        for number in range(FRESH_WINDOW, FRESH_WINDOW + 3):
            await (await forwarder.put(poll(count + number)))
        assert not forwarder._fresh  # with so much unconfirmed what is new waits on the disk, too
        done = 0
        while done < len(heard):
            batch, done = heard[done:], len(heard)
            await confirm(central, *(receipt(one) for one in batch))
            await until(lambda: forwarder._spool.depth() == 0 or len(heard) > done)  # noqa: B023
        await until(lambda: forwarder._spool.depth() == 0)
    assert sorted(place for one in heard for place in places(one)) == list(range(count + FRESH_WINDOW + 3))


async def test_what_was_under_way_when_the_broker_died_is_sent_again(mosquitto: Mosquitto, tmp_path: Path) -> None:
    heard: list[Publish] = []
    patient = replace(AT_ONCE, confirmation=600.0, longest_confirmation=600.0)
    async with forwarding(mosquitto.url, tmp_path, patient) as forwarder:
        await asyncio.wait_for(forwarder.connected.wait(), 20)
        await (await forwarder.put(poll(1)))
        await until(lambda: forwarder.counts.messages == 1 and forwarder._underway == 0)
        await mosquitto.kill()  # it had acknowledged the message, for an ingest it never saw
        await until(lambda: not forwarder.connected.is_set())
        await (await forwarder.put(poll(2)))
        await mosquitto.start()
        async with listening(mosquitto, heard) as central:
            await until(lambda: {place for one in heard for place in places(one)} == {1, 2})
            await confirm(central, *(receipt(one) for one in heard))
            await until(lambda: forwarder._spool.depth() == 0)


async def test_another_gateways_meter_is_refused_and_confirmed(
    mosquitto: Mosquitto, database: Database, tmp_path: Path
) -> None:
    """What is in quarantine is committed as well: the edge must not send it for ever."""
    await meters(database, "100", gateway="somebody-else")
    async with (
        intake_on(database) as intake,
        subscribed(Broker.from_url(mosquitto.url, client_id="ingest"), intake),
        forwarding(mosquitto.url, tmp_path) as forwarder,
    ):
        await (await forwarder.put(poll(1)))
        await until(lambda: forwarder.counts.confirmed == 1)
    assert await fetch(database, "SELECT reason FROM quarantine") == [("foreign_meter",)]
    assert await fetch(database, "SELECT count(*) FROM last_contact") == [(0,)]


async def test_what_is_put_at_the_end_is_still_kept(tmp_path: Path) -> None:
    async with Spool(tmp_path / "spool.sqlite") as spool:
        forwarder = Forwarder(Broker("127.0.0.1", 1), GATEWAY, spool, AT_ONCE)
        async with running(forwarder.run()):
            await asyncio.sleep(0)
            for place in range(2500):
                assert forwarder.offer(poll(place))
    async with Spool(tmp_path / "spool.sqlite") as spool:
        assert spool.depth() == 2500


@pytest.mark.parametrize("gateway", ["", "a/b", "a+", "#", "a\nb"])
async def test_a_gateway_is_one_level_of_a_topic(gateway: str, tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="gateway"):
        Forwarder(Broker("127.0.0.1"), gateway, Spool(tmp_path / "x"))


def test_messages_that_are_not_confirmed_come_again_less_and_less_often() -> None:
    out = Out(60.0, 900.0)
    sent = out.add("a", [1], b"", fresh=False, now=0.0)
    pauses = []
    for _ in range(7):
        now = sent.again_at
        assert out.due(now - 1) is None
        assert out.due(now) is sent
        out.sent(sent, now)
        pauses.append(sent.again_at - now)
    assert all(
        0.75 * ideal <= pause <= 1.25 * ideal for pause, ideal in zip(pauses, [120, 240, 480, *[900] * 4], strict=True)
    )
    others = {Out(60.0, 900.0).add("a", [1], b"", fresh=True, now=0.0).again_at for _ in range(20)}
    assert len(others) > 1  # a hundred gateways do not come back together
    assert out.confirmed(["b", "a", "a"]) == [1]
    assert 1 not in out
