"""What we ship for others to use really works: the broker's settings and rules, and the manual's example format."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from collectors.broker import Broker
from collectors.format_cli import as_lines
from collectors.format_file import parse_format
from collectors.formats_in_use import Formats
from collectors.frames import Publish
from collectors.mqtt import Connection
from collectors.payload import Message
from collectors.probe import probe
from simulators.mosquitto import Mosquitto
from tests.collectors.push_rig import FILTERS, FORMATS, until

ROOT = Path(__file__).parents[2]
OURS = ("listener", "password_file", "acl_file", "persistence_location")


@pytest.fixture
def shipped() -> Iterator[str]:
    """Our mosquitto.conf with the paths and the port of a test, and two users."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        passwords, rules = folder / "passwords", folder / "acl"
        passwords.touch()
        for user in ("amr", "tp-101"):
            subprocess.run(["mosquitto_passwd", "-b", passwords, user, "secret"], check=True, timeout=10)
        rules.write_text((ROOT / "deploy/mosquitto.acl.example").read_text())
        for file in (passwords, rules):
            file.chmod(0o644)
        lines = (ROOT / "deploy/mosquitto.conf").read_text().splitlines()
        kept = [line for line in lines if not line.startswith(OURS)]
        yield "\n".join([*kept, f"password_file {passwords}", f"acl_file {rules}"])


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
