"""Whoever fails at a line hears what to try next, and what is wrong with the options before anything is asked."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

import amr
from collectors.advice import advice
from collectors.cli_words import given_line
from collectors.line_settings import settings_of
from collectors.link import LineDown, Silent
from ingest.errors import Busy, Malformed, Misconfigured, Refused, Unreachable
from ingest.model import Line
from simulators.faults import Kind
from simulators.framing import RtuStation
from simulators.modbus import ModbusServer
from simulators.serial_line import SerialLine
from tests.collectors.modbus_rig import simulated

PATIENCE = 60.0


async def run(*words: str) -> Result:
    return await asyncio.to_thread(CliRunner().invoke, amr.app, [*words, "--direct"])


def at(server: ModbusServer, *more: str) -> tuple[str, ...]:
    return ("--address", f"127.0.0.1:{server.port}", *more)


async def test_a_silent_meter_brings_what_to_look_at() -> None:
    async with ModbusServer({5: simulated("abb-b23")}) as server:
        result = await run("meter", "read", *at(server), "--unit", "6", "--model", "abb-b23")
    assert result.exit_code == 1
    assert "unit 6 did not answer" in result.stderr
    assert "What to try: check the unit id" in result.stderr
    assert "--kind rtu-over-tcp" in result.stderr


async def test_a_wrong_model_brings_the_scan() -> None:
    async with ModbusServer({5: simulated("abb-b23")}) as server:
        result = await run("meter", "read", *at(server), "--unit", "5", "--model", "eastron-sdm120")
    assert "What to try: it answers, so the line is good: see with `amr meter scan`" in result.stderr


async def test_a_port_where_nobody_listens_is_told_from_a_machine_that_is_away() -> None:
    async with ModbusServer({}) as server:
        where = at(server)
    result = await run("meter", "read", *where, "--model", "abb-b23")
    assert f"cannot connect to {where[1]}: Connection refused" in result.stderr
    assert "What to try: the machine is there and nobody listens at that port" in result.stderr
    assert "`ping h`" in (advice(LineDown("h:1 took no connection"), settings_of(Line("l", "modbus-tcp", "h:1"))) or "")


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (Silent("unit 5"), "`amr meter scan` finds who answers"),
        (Busy("later"), "ask again in some seconds"),
        (Malformed("noise"), "two meters with one address"),
        (Refused("no"), "`amr meter scan`"),
        (Unreachable("line l: left"), None),
        (LineDown("line l is down"), "`amr status` says what is at fault"),
    ],
)
def test_of_a_line_somebody_else_speaks_on_only_the_error_is_known(error: Exception, told: str | None) -> None:
    tip = advice(error)  # type: ignore[arg-type]
    assert (tip is None) if told is None else (tip is not None and told in tip)


def test_a_wire_that_somebody_else_asks_on_is_listened_to() -> None:
    settings = settings_of(Line("l", "modbus-rtu", "/dev/ttyUSB0"))
    assert "`amr line watch --listen`" in (advice(LineDown("line l does not fall silent for 0.05 s"), settings) or "")
    assert advice(LineDown("cannot connect to /dev/ttyUSB0: there is no such serial port; …"), settings) is None


async def test_the_kind_is_known_by_the_address() -> None:
    async with SerialLine(RtuStation({5: simulated("eastron-sdm120")})) as line:
        result = await run("meter", "read", "--address", line.path, "--unit", "5", "--model", "eastron-sdm120")
    assert result.exit_code == 0, result.stderr
    assert given_line("10.0.0.7", None).line.kind == "modbus-tcp"
    assert given_line("COM3", None).line.kind == "modbus-rtu"
    assert given_line("/dev/ttyS0", "serial").line.kind == "serial"


async def test_what_is_left_out_is_as_the_line_is_stored() -> None:
    stored = Line("tp-1", "serial", "/dev/ttyUSB0", {"baud": 2400, "parity": "E"})
    assert given_line("/dev/ttyUSB0", None).over(stored) == stored
    other = given_line("/dev/ttyUSB0", "modbus-rtu", baud=9600, parity="n").over(stored)
    assert other == Line("tp-1", "modbus-rtu", "/dev/ttyUSB0", {"baud": 9600, "parity": "N"})


@pytest.mark.parametrize(
    ("address", "stored"),
    [
        ("10.0.0.7", "10.0.0.7:502"),
        ("10.0.0.7:503", "10.0.0.7:503"),
        ("[fd00::7]", "[fd00::7]:502"),
        ("[fd00::7]:503", "[fd00::7]:503"),
        ("/dev/serial/by-path/pci-0000:00:14.0", "/dev/serial/by-path/pci-0000:00:14.0"),
    ],
)
def test_a_stored_line_is_recognised_without_its_port(address: str, stored: str) -> None:
    assert given_line(address, None).stored_as == stored


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("read", "--model", "abb-b23", "--address", "/dev/ttyS9", "--kind", "modbus-tcp"), "the kind modbus-rtu"),
        (("read", "--model", "abb-b23", "--address", "10.0.0.7:502", "--kind", "modbus-rtu"), "the kind rtu-over-tcp"),
        (("read", "--model", "abb-b24x", "--address", "h:1"), "did you mean 'abb-b24' or 'abb-b23'?"),
        (("read", "--model", "mercury-230", "--address", "h:1"), "carries Modbus only, not mercury-230"),
        (("scan", "--address", "h:1", "--protocol", "mercury"), "carries Modbus only, not mercury"),
        (("scan", "--address", "h:1", "--protocol", "modbus", "--protocol", "merkury"), "'merkury' is unknown"),
        (("scan", "--address", "h:1", "--timeout", "0"), "write seconds from 0.02"),
        (("scan", "--address", "/dev/ttyS9", "--baud", "9600", "--baud", "1234"), "baud = 1234"),
        (("read", "--model", "abb-b23"), "say which line"),
    ],
)
async def test_options_are_checked_before_anything_is_asked(words: tuple[str, ...], told: str) -> None:
    result = await run("meter", *words)
    assert result.exit_code == 1
    assert told in result.stderr
    assert "What to try" not in result.stderr


async def test_both_ways_to_send_frames_to_a_host_are_tried() -> None:
    async with ModbusServer({2: simulated("eastron-sdm120")}, kind="rtu-over-tcp") as server:
        result = await run("meter", "scan", *at(server, "--units", "1-2", "--timeout", "0.2"))
        kept = await run("meter", "scan", *at(server, "--units", "2", "--timeout", "0.2", "--kind", "modbus-tcp"))
    assert result.exit_code == 0, result.stderr
    assert f"127.0.0.1:{server.port} rtu-over-tcp  unit 2: eastron-sdm120" in result.stdout
    assert f"127.0.0.1:{server.port} modbus-tcp: 2 addresses" in result.stderr
    assert kept.exit_code == 1


async def test_more_dead_than_there_are_is_a_mistake() -> None:
    result = await asyncio.to_thread(
        CliRunner().invoke, amr.app, ["line", "budget", "--meters", "abb-b23:3", "--dead", "4"]
    )
    assert result.exit_code == 1
    assert "--dead 4 of 3 meters cannot be" in result.stderr


@pytest.fixture
def heeded(request: pytest.FixtureRequest) -> Iterator[signal.Signals]:
    """A signal that a process started from here heeds, though these tests themselves may be run under nohup."""
    before = signal.signal(request.param, signal.SIG_DFL)
    yield request.param
    signal.signal(request.param, before)


@pytest.mark.parametrize("heeded", [signal.SIGTERM, signal.SIGHUP], indirect=True)
async def test_a_watch_ends_by_a_signal_as_by_ctrl_c(heeded: signal.Signals, tmp_path: Path) -> None:
    unit = simulated("eastron-sdm120")
    async with ModbusServer({5: unit}) as server:
        watch = ("line", "watch", *at(server), "--meter", "5=eastron-sdm120", "--direct")
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "amr", *watch),
            env={**os.environ, "AMR_DATA": str(tmp_path)},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        assert process.stdout is not None
        async with asyncio.timeout(PATIENCE):
            assert b"unit 5 is asked" in await process.stdout.readline()
            process.send_signal(heeded)
            _, said = await process.communicate()
    assert (process.returncode, said) == (0, b"")


async def test_a_reading_ends_by_a_signal_without_a_traceback(tmp_path: Path) -> None:
    unit = simulated("eastron-sdm120")
    unit.break_with(Kind.DEAD)
    async with ModbusServer({5: unit}) as server:
        read = ("meter", "scan", *at(server), "--timeout", "5", "--direct")
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "amr", *read),
            env={**os.environ, "AMR_DATA": str(tmp_path)},
            stderr=asyncio.subprocess.PIPE,
        )
        assert process.stderr is not None
        async with asyncio.timeout(PATIENCE):
            assert b"247 addresses" in await process.stderr.readline()
            process.terminate()
            said = await process.stderr.read()
            assert await process.wait() > 0
    assert b"Traceback" not in said


def test_a_line_of_a_fleet_file_cannot_be_a_port_and_a_host() -> None:
    with pytest.raises(Misconfigured, match="write host:port, or the kind modbus-rtu"):
        settings_of(Line("l", "rtu-over-tcp", "/dev/ttyUSB0"))
    assert settings_of(Line("l", "serial", "/dev/serial/by-path/pci-0000:00:14.0")).host.endswith("14.0")
