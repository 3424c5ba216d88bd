"""Home Assistant announcements become format files that are right, or are told why not."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from collectors.broker import Broker
from collectors.discovery import propose
from collectors.format_cli import app
from collectors.format_file import parse_format
from collectors.formats_in_use import Formats
from collectors.mqtt import Connection
from collectors.payload import Message
from simulators.mosquitto import Mosquitto

# As Tasmota's own discovery publishes it, abbreviated.
TASMOTA = {
    "name": "plug001 ENERGY Total",
    "stat_t": "tele/plug001/SENSOR",
    "uniq_id": "218FF9_ENERGY_Total",
    "dev": {"ids": ["218FF9"]},
    "unit_of_meas": "kWh",
    "dev_cla": "energy",
    "stat_cla": "total_increasing",
    "val_tpl": "{{value_json['ENERGY']['Total']}}",
}


def config(**changes: object) -> tuple[str, bytes]:
    return ("homeassistant/sensor/x/config", json.dumps({**TASMOTA, **changes}).encode())


def test_one_entity_is_one_field_that_reads_its_message() -> None:
    [proposal] = propose([config()])
    assert proposal.name == "tele-plug001-sensor"
    one = parse_format(f"{proposal.name}.toml", proposal.text.encode())
    message = Message("tele/plug001/SENSOR", b'{"ENERGY":{"Total":6.5}}', datetime.now(UTC))
    [reading] = Formats([one]).parse(message).readings
    assert (reading.meter, reading.channel, str(reading.value)) == ("218FF9", "1.8.0", "6.5")


def test_entities_of_one_topic_are_fields_of_one_format_and_the_rest_is_told() -> None:
    [proposal] = propose(
        [
            config(),
            config(
                uniq_id="p", name="Power", dev_cla="power", unit_of_meas="W", val_tpl="{{ value_json.ENERGY.Power }}"
            ),
            config(uniq_id="y", name="Energy Today", val_tpl="{{ value_json.ENERGY.Today }}"),
            config(uniq_id="t", name="Energy scaled", val_tpl="{{ value_json.ENERGY.Total * 10 }}"),
            config(uniq_id="g", name="Gas", unit_of_meas="m³"),
            config(uniq_id="s", dev_cla="temperature"),
        ]
    )
    assert len(proposal.fields) == 2
    assert len(proposal.left_out) == 3
    for word in ("Today", "scaled", "m³"):
        assert word in proposal.text
    assert len(parse_format("x.toml", proposal.text.encode()).fields) == 2


@pytest.mark.parametrize(
    ("changes", "channel"),
    [
        ({"name": "Energy exported"}, "2.8.0"),
        ({"name": "Energy tariff 2"}, "1.8.2"),
        ({"name": "Energy phase b"}, "41.8.0"),
        ({"name": "Energy L3"}, "61.8.0"),
        ({"dev_cla": "reactive_energy", "unit_of_meas": "varh"}, "3.8.0"),
        ({"dev_cla": "voltage", "unit_of_meas": "V", "name": "U"}, "32.7.0"),
        ({"dev_cla": "voltage", "unit_of_meas": "V", "name": "Voltage L2"}, "52.7.0"),
        ({"dev_cla": "current", "unit_of_meas": "mA", "name": "I"}, "31.7.0"),
        ({"dev_cla": "frequency", "unit_of_meas": "Hz"}, "14.7.0"),
        ({"dev_cla": "power_factor", "unit_of_meas": "%"}, "13.7.0"),
        ({"dev_cla": "power", "unit_of_meas": "kW"}, "1.7.0"),
    ],
)
def test_channels_are_guessed_from_class_and_name(changes: dict[str, object], channel: str) -> None:
    [proposal] = propose([config(**changes)])
    [one] = parse_format("x.toml", proposal.text.encode()).fields
    assert one.channel == channel


def test_bare_values_base_topics_and_devices_with_components() -> None:
    device = {
        "~": "site/7",
        "device": {"serial_number": "48151623", "identifiers": "x"},
        "components": {
            "a": {"p": "sensor", "device_class": "energy", "unit_of_measurement": "Wh", "state_topic": "~/energy"},
            "b": {"p": "switch", "state_topic": "~/relay"},
            "c": 7,
        },
    }
    [proposal] = propose([("homeassistant/device/7/config", json.dumps(device).encode())])
    one = parse_format("x.toml", proposal.text.encode())
    [reading] = Formats([one]).parse(Message("site/7/energy", b"1500", datetime.now(UTC))).readings
    assert (reading.meter, f"{reading.value:f}") == ("48151623", "1.500")


@pytest.mark.parametrize(
    ("topic", "payload"),
    [
        ("homeassistant/sensor/x/config", b""),
        ("homeassistant/sensor/x/config", b"[]"),
        ("homeassistant/sensor/x/config", b"\xff"),
        ("homeassistant/sensor/x/config", b"[" * 100_000),
        ("homeassistant/sensor/x/state", json.dumps(TASMOTA).encode()),
        config(stat_t="a/#"),
        config(stat_t=7),
    ],
)
def test_what_is_no_announcement_of_a_value_is_passed_over(topic: str, payload: bytes) -> None:
    assert propose([(topic, payload)]) == []


@settings(max_examples=300)
@given(
    st.dictionaries(
        st.sampled_from(["name", "stat_t", "uniq_id", "val_tpl", "unit_of_meas", "dev_cla", "~", "dev"]),
        st.text(max_size=12) | st.integers() | st.sampled_from(['"', "\\", "\n", "x]", "{{ value_json['\"'] }}"]),
    )
)
def test_whatever_a_device_calls_itself_the_file_is_valid(changes: dict[str, object]) -> None:
    for proposal in propose([config(**changes)]):
        parse_format("x.toml", proposal.text.encode())


async def test_discover_listens_to_a_broker_and_writes_files(tmp_path: Path) -> None:
    async with Mosquitto() as mosquitto:
        connection = Connection(Broker.from_url(mosquitto.url, client_id="device"), {}, lambda _, messages: None)
        await connection.open()
        topic, payload = config()
        await connection.publish(topic, payload, retained=True)
        await connection.close()
        words = ["discover", mosquitto.url, "--seconds", "0.5"]
        printed = await asyncio.to_thread(CliRunner().invoke, app, words)
        assert "1 announcements, 1 mappings proposed" in printed.output
        assert 'channel = "1.8.0"' in printed.output
        for word in ("wrote", "is there already"):
            written = await asyncio.to_thread(CliRunner().invoke, app, [*words, "--into", str(tmp_path)])
            assert written.exit_code == 0
            assert word in written.output
        assert "tele-plug001-sensor.toml" in written.output
    failed = await asyncio.to_thread(CliRunner().invoke, app, ["discover", "mqtt://127.0.0.1:1"])
    assert failed.exit_code == 1
    assert "is the broker running" in failed.output
