"""What we ship for others to use really works: the broker's settings and rules, and the manual's example format."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from collectors.broker import Broker
from collectors.confirmation import confirmation, confirmed_topic
from collectors.format_cli import as_lines
from collectors.format_file import parse_format
from collectors.formats_in_use import Formats
from collectors.frames import Publish
from collectors.mqtt import Connection
from collectors.payload import Message
from collectors.probe import probe
from ingest.errors import Refused
from simulators.mosquitto import Mosquitto
from tests.collectors.push_rig import FILTERS, FORMATS, until
from tests.collectors.shipped import shipped_settings

ROOT = Path(__file__).parents[2]


@pytest.fixture
def shipped() -> Iterator[str]:
    with shipped_settings("amr", "tp-101") as settings:
        yield settings


async def test_the_shipped_settings_keep_what_an_absent_ingest_misses(shipped: str) -> None:
    async with Mosquitto(shipped) as mosquitto:
        for version in (5, 4):
            broker = Broker(
                "127.0.0.1", mosquitto.port, client_id="ingest", username="amr", password="secret", version=version
            )
            assert not (await probe(broker)).complaints


async def test_the_shipped_rules_let_a_gateway_write_its_own_topic_only(shipped: str) -> None:
    heard: list[Publish] = []
    async with Mosquitto(shipped) as mosquitto:
        broker = Broker("127.0.0.1", mosquitto.port, client_id="ingest", username="amr", password="secret")
        ingest = Connection(broker, FILTERS, lambda _, messages: heard.extend(messages))
        await ingest.open()
        gateway = Connection(replace(broker, client_id="gw", username="tp-101"), {}, lambda _, messages: None)
        await gateway.open()
        gateway.publish("amr/v1/tp-102/readings", b"a stranger's")
        gateway.publish("amr/v1/tp-101/readings", b"its own")
        await until(lambda: bool(heard))
        await gateway.close()
        await ingest.close()
    assert [(one.topic, one.payload) for one in heard] == [("amr/v1/tp-101/readings", b"its own")]


async def test_the_shipped_rules_let_a_gateway_hear_its_own_confirmations_only(shipped: str) -> None:
    heard: list[Publish] = []
    async with Mosquitto(shipped) as mosquitto:
        broker = Broker("127.0.0.1", mosquitto.port, client_id="edge", username="tp-101", password="secret")
        edge = Connection(broker, {confirmed_topic("+"): 1}, lambda _, messages: heard.extend(messages))
        own = Connection(
            replace(broker, client_id="own"),
            {confirmed_topic("tp-101"): 1},
            lambda _, messages: heard.extend(messages),
        )
        with contextlib.suppress(Refused):  # some versions refuse the subscription, some what comes through it
            await edge.open()
        await own.open()
        ingest = Connection(replace(broker, client_id="ingest", username="amr"), {}, lambda _, messages: None)
        await ingest.open()
        await ingest.publish(*confirmation("tp-102", ["a"]))
        await ingest.publish(*confirmation("tp-101", ["b"]))
        await until(lambda: bool(heard))
        for one in (edge, own, ingest):
            await one.close()
    assert {one.payload for one in heard} == {b'{"ids": ["b"]}'}


def test_the_manuals_format_is_read_as_the_manual_says() -> None:
    manual = (ROOT / "docs/mqtt.md").read_text()
    [example] = re.findall(r"```toml\n(.*?)```", manual, re.DOTALL)
    one = parse_format("block-7.toml", example.encode())
    [sample] = one.samples
    parsed, _ = Formats([one]).read(Message(sample.topic, sample.payload, sample.received_at))
    assert as_lines(parsed) == sample.readings
    assert sample.readings
    [own] = re.findall(r"```json\n(.*?)```", manual, re.DOTALL)
    parsed, gateway = FORMATS.read(Message("amr/v1/tp-1/readings", own.encode(), sample.received_at))
    assert (len(parsed.readings), len(parsed.rejects), gateway) == (1, 0, "tp-1")
