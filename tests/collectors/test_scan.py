"""Who is on a line: every model of the catalogue is found by what it answers, over TCP and on a serial line."""

from __future__ import annotations

import asyncio
import termios
from collections.abc import Sequence
from decimal import Decimal

import pytest
from typer.testing import CliRunner, Result

from collectors import serial_port
from collectors.catalog import load_catalog
from collectors.cli import meter
from collectors.fit import doubts
from collectors.link import LineDown
from collectors.port_settings import PortSettings
from collectors.scan import Found, scan, tries, units_of
from ingest.errors import Misconfigured
from ingest.model import Line
from simulators.ascii_framing import AsciiStation
from simulators.framing import RtuStation
from simulators.modbus import ModbusServer
from simulators.serial_line import SerialLine
from tests.collectors.modbus_rig import line_to, scripted, simulated

CATALOG = load_catalog()
WAITING = {"timeout": 0.3, "late": 0.0, "quiet": 0.02, "connect_pause": 0.0}
TWINS = {"abb-b24": "abb-b23", "carlo-gavazzi-em340": "carlo-gavazzi-em330", "schneider-iem3255": "schneider-iem3155"}
"""Models that share their whole map with another: both fit, and the label on the meter tells."""


async def found_on(line: Line, units: Sequence[int]) -> list[Found]:
    return [one async for one in scan(line, units, CATALOG, lambda unit: None)]


@pytest.mark.parametrize("slug", list(CATALOG))
async def test_every_model_is_found_by_its_answers(slug: str) -> None:
    unit = simulated(slug)
    async with ModbusServer({5: unit}) as server:
        [found] = await found_on(line_to(server, **{**WAITING, "timeout": 5.0}), [5])
    assert found.trouble is None
    fitting = [fit.model.slug for fit in found.fits]
    assert slug in fitting
    if found.fits[0].model.slug != slug:
        assert TWINS.get(slug) == found.fits[0].model.slug
    [fit] = [fit for fit in found.fits if fit.model.slug == slug]
    assert fit.missing == ()
    assert fit.serial in (unit.meter.serial, None)


async def test_silent_addresses_are_passed_over() -> None:
    units = {3: simulated("eastron-sdm120"), 6: simulated("abb-b23", "11000002")}
    asked: list[int] = []
    async with ModbusServer(units, kind="rtu-over-tcp") as server:
        found = [one async for one in scan(line_to(server, **WAITING), range(2, 8), CATALOG, asked.append)]
    assert [(one.unit, one.fits[0].model.slug) for one in found] == [(3, "eastron-sdm120"), (6, "abb-b23")]
    assert asked == [2, 3, 4, 5, 6, 7]


async def test_who_answers_without_fitting_is_named() -> None:
    def refuse(request: bytes) -> list[bytes | float | None]:
        return [request[:4] + bytes((0, 3, request[6], request[7] | 0x80, 2))]

    async with scripted(refuse) as server:
        [found] = await found_on(line_to(server), [9])
    assert (found.unit, found.fits, found.trouble) == (9, [], None)


async def test_two_at_one_address_are_trouble() -> None:
    async with scripted(lambda request: [bytes.fromhex("05 04 02 00 01 aa bb")], "rtu-over-tcp") as server:
        [found] = await found_on(line_to(server, **WAITING), [5])
    assert found.trouble is not None
    assert "no whole frame" in found.trouble


async def test_a_gateway_that_hangs_up_is_called_again() -> None:
    def answer(request: bytes) -> list[bytes | float | None]:
        if request[6] == 1:
            return [None]
        return [request[:4] + bytes((0, 3, request[6], request[7] | 0x80, 2))]

    async with scripted(answer) as server:
        found = await found_on(line_to(server), [1, 2])
    assert [one.unit for one in found] == [2]
    assert server.connections == 2


async def test_a_line_that_is_not_there_says_so() -> None:
    server = ModbusServer({})
    await server.start()
    await server.stop()
    with pytest.raises(LineDown):
        await found_on(line_to(server), [1])


def run(*arguments: str) -> Result:
    return CliRunner().invoke(meter, arguments)


async def test_the_speed_of_a_serial_line_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    async with SerialLine(RtuStation({2: simulated("eastron-sdm630")}), baud=19200) as line:
        asking = ("--address", line.path, "--kind", "modbus-rtu", "--units", "1-2", "--timeout", "0.5")
        result = await asyncio.to_thread(run, "scan", *asking, "--baud", "9600", "--baud", "19200", "--baud", "38400")
        assert line.misheard > 0
    assert result.exit_code == 0
    assert "19200 8N1  unit 2: eastron-sdm630, serial 11000001, 1.8.0 = " in result.stdout
    assert "Hz" in result.stdout.splitlines()[0]
    assert "or eastron-sdm120" in result.stdout
    assert "9600 8N1: 2 addresses, about" in result.stderr
    assert "38400" not in result.stderr
    assert "Next: `amr meter read`" in result.stderr


async def test_nobody_is_an_error_with_a_remedy() -> None:
    async with ModbusServer({}, kind="rtu-over-tcp") as server:
        where = ("--address", f"127.0.0.1:{server.port}", "--kind", server.kind, "--units", "1", "--timeout", "0.1")
        result = await asyncio.to_thread(run, "scan", *where)
    assert result.exit_code == 1
    assert "nobody answered" in result.stderr
    assert "check the wiring" in result.stderr


def test_every_speed_and_parity_is_tried_once() -> None:
    made = tries(Line("l", "modbus-rtu", "/dev/ttyUSB0", {"timeout": 1.0}), (9600, 19200), ("N", "E"))
    assert [(one.options["baud"], one.options["parity"]) for one in made] == [
        (9600, "N"),
        (19200, "N"),
        (9600, "E"),
        (19200, "E"),
    ]
    assert {one.options["timeout"] for one in made} == {1.0}


def test_addresses_are_read_strictly() -> None:
    assert units_of("1-3, 100,2") == [1, 2, 3, 100]
    for wrong in ("", "5-3", "1-", "a", "1-256", "-3"):
        with pytest.raises(Misconfigured, match="write like 1-32,100"):
            units_of(wrong)


@pytest.mark.parametrize(
    ("channel", "value", "doubtful"),
    [
        ("14.7.0", "50", False),
        ("14.7.0", "3.1", True),
        ("32.7.0", "230", False),
        ("32.7.0", "2302", True),
        ("13.7.0", "1.2", True),
        ("1.8.0", "-1", True),
        ("1.8.0", "0", False),
        ("31.7.0", "20000", True),
        ("1.7.0", "-4000", False),
    ],
)
def test_what_no_meter_shows_is_doubted(channel: str, value: str, doubtful: bool) -> None:
    assert bool(list(doubts({channel: Decimal(value)}))) is doubtful


async def test_a_line_of_ascii_is_scanned_and_what_the_port_cannot_is_passed_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def only_even(settings: PortSettings) -> object:
        if settings.parity == "N":
            raise termios.error(22, "Invalid argument")
        return opened(settings)

    opened = serial_port._open
    monkeypatch.setattr(serial_port, "_open", only_even)
    async with SerialLine(AsciiStation({2: simulated("eastron-sdm630")}), baud=19200) as line:
        asking = ("--address", line.path, "--kind", "modbus-ascii", "--units", "2", "--timeout", "0.5", "--direct")
        both = ("--parity", "n", "--parity", "e", "--baud", "19200")
        result = await asyncio.to_thread(run, "scan", *asking, *both)
    assert result.exit_code == 0, result.stderr
    assert "cannot be set to 19200 7N1" in result.stderr
    assert "19200 7E1  unit 2: eastron-sdm630" in result.stdout
