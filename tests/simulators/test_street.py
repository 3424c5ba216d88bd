"""A street running: servers on real ports, gateways on a real broker."""

import asyncio
import os
import socket
import stat
import struct
import tomllib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from paho.mqtt import subscribe
from paho.mqtt.client import MQTTMessage
from pymodbus import FramerType
from pymodbus.client import AsyncModbusSerialClient, AsyncModbusTcpClient

from simulators.clock import Clock
from simulators.modbus import ModbusServer
from simulators.mosquitto import Mosquitto
from simulators.serial_line import SerialLine
from simulators.street import Street, free_port
from simulators.street_fleet import street_text
from simulators.table import StreetFileError

START = datetime(2026, 11, 20, tzinfo=UTC)
STREET = """
[[line]]
name = "tcp"
kind = "modbus-tcp"

[[line]]
name = "bus"
kind = "pty"
baud = 19200

[[meter]]
serial = "1"
model = "eastron-sdm120"
line = "tcp"
unit = 9
fault = [{ kind = "busy", begin = "+1h", end = "+2h" }]

[[meter]]
serial = "2"
model = "abb-b23"
line = "bus"
unit = 1

[[meter]]
serial = "3"
gateway = "gw"
"""


async def test_all_wires_run_and_tell_where() -> None:
    async with Street(STREET).start(Clock(START, factor=0)) as running:
        addresses = running.addresses()
        assert isinstance(running.lines["tcp"], ModbusServer)
        assert isinstance(running.lines["bus"], SerialLine)
        assert addresses["tcp"] == f"127.0.0.1:{running.lines['tcp'].port}"
        assert stat.S_ISCHR(os.stat(addresses["bus"]).st_mode)
        assert set(running.meters) == {"1", "2", "3"}
        assert set(running.units) == {"1", "2"}
        assert not running.gateways


async def test_a_scenario_breaks_the_wire_for_its_time() -> None:
    clock = Clock(START, factor=0)
    async with Street(STREET).start(clock) as running:
        line = running.lines["tcp"]
        assert isinstance(line, ModbusServer)
        client = AsyncModbusTcpClient(line.host, port=line.port, timeout=1, retries=0)
        assert await client.connect()
        errors = []
        for minutes in (59, 60, 119, 120):
            clock.move(START + timedelta(minutes=minutes))
            errors.append((await client.read_input_registers(0x48, count=2, device_id=9)).isError())
        client.close()
    assert errors == [False, True, True, False]


async def test_gateways_publish() -> None:
    async with Mosquitto() as broker, Street(STREET).start(Clock(START, 600), mqtt_url=broker.url) as running:
        heard = await asyncio.to_thread(
            subscribe.simple, "amr/v1/gw/readings", qos=1, hostname=broker.host, port=broker.port
        )
        assert isinstance(heard, MQTTMessage)
        assert b'"meter":"3"' in bytes(heard.payload)
        assert [meter.serial for meter in running.gateways["gw"].meters] == ["3"]


async def test_a_taken_port_is_named() -> None:
    async with ModbusServer({}) as other:
        street = Street(f'[[line]]\nname = "tcp"\nkind = "modbus-tcp"\nport = {other.port}\n')
        with pytest.raises(StreetFileError, match=f"line tcp: 127.0.0.1:{other.port} .* port = 0"):
            async with street.start(Clock(START)):
                pass


def test_the_shipped_street_is_as_the_demo_needs_it() -> None:
    spec = Street.shipped().describe()
    on_lines = [one for one in spec.meters if one.line]
    assert len(on_lines) == 12
    assert {one.model for one in on_lines} == {
        "eastron-sdm120",
        "eastron-sdm630",
        "abb-b23",
        "schneider-iem3155",
        "carlo-gavazzi-em24",
    }
    assert [line.name for line in spec.lines] == ["tp-101-north", "tp-101-south", "tp-102"]
    assert sorted({one.gateway for one in spec.meters if one.gateway}) == ["gw-tp-101", "gw-tp-102"]
    assert sum(1 for one in spec.meters if one.gateway) == 8


def test_the_shipped_street_takes_its_ports_unless_somebody_has_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simulators.street.free_port", lambda wanted: wanted if wanted != 15022 else 40022)
    assert [line.port for line in Street.shipped().describe().lines] == [15021, 40022, 15023]


def test_no_meter_of_the_shipped_street_is_overloaded() -> None:
    limits = {
        "eastron-sdm120": 45 * 230,
        "eastron-sdm630": 3 * 100 * 230,
        "abb-b23": 3 * 65 * 230,
        "schneider-iem3155": 3 * 63 * 230,
        "carlo-gavazzi-em24": 3 * 65 * 230,
        None: 60 * 230,
    }
    for one in Street.shipped().describe().meters:
        limit = limits[one.model] * (3 if one.model is None and one.meter.phases == 3 else 1)
        assert max(one.meter.shape.hours) * one.meter.scale <= limit, one.meter.serial


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StreetFileError, match=r"no\.toml cannot be read"):
        Street.read(tmp_path / "no.toml")


def test_the_demos_street_gives_way_to_whoever_holds_its_ports() -> None:
    def ports(street: Street) -> list[int]:
        return [line.port for line in street.describe(START).lines]

    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        taken = holder.getsockname()[1]
        assert free_port(taken) != taken
    assert free_port(taken) == taken
    first = ports(Street.shipped())
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a connection to it may just have ended
        holder.bind(("127.0.0.1", first[1]))
        holder.listen()
        assert first[1] not in ports(Street.shipped())


LINKED = """
[[line]]
name = "bus"
kind = "{kind}"
link = "{link}"
baud = 19200

[[meter]]
serial = "1"
model = "eastron-sdm120"
line = "bus"
unit = 1
"""


async def test_a_pseudo_terminal_is_found_where_one_wants_it(tmp_path: Path) -> None:
    link = tmp_path / "ttyMETERS"
    link.symlink_to("/dev/pts/4711")  # of a simulator that was killed
    street = Street(LINKED.format(kind="pty-ascii", link=link))
    async with street.start(Clock(START)) as running:
        assert running.addresses() == {"bus": str(link)}
        async with AsyncModbusSerialClient(
            str(link), framer=FramerType.ASCII, baudrate=19200, timeout=5, retries=0
        ) as client:
            answer = await client.read_input_registers(0x46, count=2, device_id=1)
        hertz = struct.unpack(">f", struct.pack(">2H", *answer.registers))[0]
        assert 49 < hertz < 51
        text = street_text(running.spec, START, addresses=running.addresses())
    assert f'kind = "modbus-ascii"\naddress = "{link}"\noptions = {{baud = 19200}}' in text
    assert not link.is_symlink()


def test_only_counters_have_a_display_that_runs_over_and_a_rate() -> None:
    told = tomllib.loads(street_text(Street.shipped().describe(START), START))
    registers = [one for meter in told["meter"] for one in meter.get("registers", ())]
    assert {one["channel"].split(".")[1] for one in registers} >= {"7", "8"}
    for one in registers:
        assert ("digits" in one) == ("max_rate" in one) == (one["channel"].split(".")[1] == "8"), one


async def test_what_stands_there_is_not_replaced_by_a_link(tmp_path: Path) -> None:
    there = tmp_path / "mine"
    there.write_text("precious")
    with pytest.raises(StreetFileError, match=r"line bus: link .*mine cannot be made \(File exists\)"):
        async with Street(LINKED.format(kind="pty", link=there)).start(Clock(START)):
            pass
    assert there.read_text() == "precious"
