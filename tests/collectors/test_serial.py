"""Modbus on a serial line: a pseudo-terminal with the timing of a wire, and everything that may go wrong on it."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
import serial  # type: ignore[import-untyped]
from pymodbus.framer import FramerAscii
from pymodbus.pdu import DecodePDU

from collectors import serial_port
from collectors.catalog import Catalog
from collectors.decode import decode
from collectors.link import LineDown, NotSettable, Silent
from collectors.modbus import ModbusLink
from collectors.port_settings import PortSettings
from collectors.serial_port import open_port
from collectors.wire import Wire
from ingest.errors import AmrError, Busy, Malformed
from ingest.model import Line
from simulators.ascii_framing import AsciiStation
from simulators.faults import Kind as Fault
from simulators.framing import RtuStation
from simulators.serial_line import SerialLine
from simulators.unit import Unit
from tests.collectors.modbus_rig import AT, IMPATIENT, PATIENCE, eventually, patient_catalog, polled, simulated

CATALOG = patient_catalog()
HASTY = "hasty-abb"
QUICK: dict[str, object] = {"late": 0.4, "quiet": 0.02, "connect_pause": 0.0, "check_serial": False}
HEARD = 1.5
"""Seconds in which a damaged answer surely comes: what was heard is looked at when the patience ends."""


def link_to(path: str, kind: str = "modbus-rtu", impatience: float = 0.2, **options: object) -> ModbusLink:
    patient = patient_catalog(impatience)
    catalog = Catalog({**patient, HASTY: replace(patient["abb-b23"], slug=HASTY, timeout=0.15)})
    return ModbusLink(Line("tp-101", kind, path, {**QUICK, **options}), catalog)


def energy(unit: Unit) -> Decimal:
    return unit.meter.values(AT)["1.8.0"]


@pytest.mark.parametrize("baud", [9600, 38400])
async def test_meters_of_a_serial_line_are_read(baud: int) -> None:
    units = {5: simulated("eastron-sdm120"), 6: simulated("abb-b23", "11000002")}
    async with SerialLine(RtuStation(units), baud=baud) as line:
        link = link_to(line.path, baud=baud)
        await link.open()
        assert (await link.read(polled(5))).values["1.8.0"] == energy(units[5])
        assert (await link.read(polled(6, "abb-b23"))).values["1.8.0"] == energy(units[6])
        assert line.collisions == 0
        await link.close()


async def test_at_another_speed_nobody_answers() -> None:
    async with SerialLine(RtuStation({5: simulated("eastron-sdm120")}), baud=19200) as line:
        link = link_to(line.path, baud=9600)
        await link.open()
        with pytest.raises(Silent):
            await link.read(polled(5, IMPATIENT))
        await link.close()


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault.DEAD, Silent),
        (Fault.BUSY, Busy),
        (Fault.NOISE, Malformed),
        (Fault.WRONG_UNIT, Malformed),
        (Fault.HALF_FRAME, Malformed),
        (Fault.SHORT, Malformed),
    ],
)
async def test_a_fault_is_an_error_and_the_next_meter_is_read(fault: Fault, error: type[AmrError]) -> None:
    faulty, healthy = simulated("eastron-sdm120"), simulated("eastron-sdm120", "11000002")
    async with SerialLine(RtuStation({5: faulty, 6: healthy}), baud=38400) as line:
        link = link_to(line.path, impatience=0.2 if fault is Fault.DEAD else HEARD, baud=38400)
        await link.open()
        faulty.break_with(fault)
        with pytest.raises(error):
            await link.read(polled(5, IMPATIENT))
        assert (await link.read(polled(6))).values["1.8.0"] == energy(healthy)
        faulty.mend()
        assert (await link.read(polled(5))).values["1.8.0"] == energy(faulty)
        await link.close()


async def test_a_late_answer_is_waited_out_before_its_meter_is_asked_again() -> None:
    slow, quick = simulated("abb-b23"), simulated("abb-b23", "11000002")
    async with SerialLine(RtuStation({5: slow, 6: quick}), baud=38400) as line:
        link = link_to(line.path, baud=38400)
        await link.open()
        slow.break_with(Fault.LATE, seconds=0.35, every=2)
        for _ in range(6):
            for number, unit in ((5, slow), (6, quick)):
                # Talking at once on one wire spoils both frames: an error is right, another's value never.
                with contextlib.suppress(Silent, Malformed):
                    assert (await link.read(polled(number, HASTY))).values == meant(unit)
        slow.mend()
        assert (await link.read(polled(5, "abb-b23"))).values == meant(slow)
        assert (await link.read(polled(6, "abb-b23"))).values == meant(quick)
        await link.close()


def meant(unit: Unit) -> dict[str, Decimal]:
    """What the catalogue makes of the unit's words when nothing goes wrong."""
    words = unit.layout.words(unit.meter.values(AT))
    model = CATALOG["abb-b23"]
    seen = {
        one.channel: decode(one, b"".join(words[one.address + at].to_bytes(2, "big") for at in range(one.words)))
        for one in model.registers
    }
    return {channel: value for channel, value in seen.items() if value is not None}


async def test_noise_before_an_answer_does_not_hide_it() -> None:
    unit = simulated("eastron-sdm120")
    unit.break_with(Fault.LEADING_NOISE)
    async with SerialLine(RtuStation({5: unit}), baud=38400) as line:
        link = link_to(line.path, baud=38400)
        await link.open()
        assert (await link.read(polled(5))).values["1.8.0"] == energy(unit)
        await link.close()


async def test_an_adapter_that_is_unplugged_is_a_lost_line() -> None:
    line = SerialLine(RtuStation({5: simulated("eastron-sdm120")}))
    await line.start()
    link = link_to(line.path, timeout=PATIENCE)
    await link.open()
    reading = asyncio.create_task(link.read(polled(5)))
    await asyncio.sleep(0)
    await line.stop()
    with pytest.raises(LineDown):
        await asyncio.wait_for(reading, PATIENCE / 2)
    with pytest.raises(LineDown):
        await link.open()
    await link.close()


async def test_a_port_that_is_not_there_names_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(LineDown, match=r"ttyUSB7: there is no such serial port; this machine has "):
        await link_to(str(tmp_path / "ttyUSB7")).open()


async def test_a_port_that_is_taken_names_the_remedy() -> None:
    async with SerialLine(RtuStation({})) as line:
        first = link_to(line.path)
        await first.open()
        with pytest.raises(LineDown, match="another program has it open"):
            await link_to(line.path).open()
        await first.close()
        again = link_to(line.path)
        await again.open()
        await again.close()


@contextmanager
def ascii_meter(unit: Unit) -> Iterator[str]:
    """A meter that speaks Modbus ASCII on a pseudo-terminal, framed by pymodbus."""
    framer = FramerAscii(DecodePDU(True))
    ours, theirs = os.openpty()
    tty.setraw(theirs)
    heard = b""

    def answer() -> None:
        nonlocal heard
        heard += os.read(ours, 4096)
        used, unit_id, _, pdu = framer.decode(heard)
        heard = heard[used:]
        if pdu:
            os.write(ours, framer.encode(unit.answer(pdu), unit_id, 0))

    asyncio.get_running_loop().add_reader(ours, answer)
    try:
        yield os.ttyname(theirs)
    finally:
        asyncio.get_running_loop().remove_reader(ours)
        os.close(ours)
        os.close(theirs)


async def test_ascii_is_spoken_too() -> None:
    unit = simulated("eastron-sdm120")
    with ascii_meter(unit) as path:
        link = link_to(path, "modbus-ascii")
        await link.open()
        assert (await link.read(polled(5))).values["1.8.0"] == energy(unit)
        await link.close()


async def test_a_long_request_is_sent_whole() -> None:
    ours, theirs = os.openpty()
    tty.setraw(theirs)
    os.set_blocking(ours, False)
    heard = bytearray()
    asyncio.get_running_loop().add_reader(ours, lambda: heard.extend(os.read(ours, 65536)))
    wire = Wire()
    transport = await open_port(PortSettings(os.ttyname(theirs), 115200), wire)
    whole = bytes(range(256)) * 400
    transport.write(whole)
    await eventually(lambda: len(heard) >= len(whole))
    assert bytes(heard) == whole
    wire.close()
    asyncio.get_running_loop().remove_reader(ours)
    os.close(ours)
    os.close(theirs)


async def test_a_port_that_cannot_be_set_so_says_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise termios.error(22, "Invalid argument")

    async with SerialLine(RtuStation({})) as line:
        monkeypatch.setattr("serial.serialposix.termios.tcsetattr", refuse)
        with pytest.raises(
            NotSettable, match=rf"{line.path} cannot be set to 9600 8N1: Invalid argument; take another"
        ):
            await link_to(line.path).open()


async def test_a_pseudo_terminal_is_opened_again_with_parity(tmp_path: Path) -> None:
    unit = simulated("eastron-sdm120")
    link = str(tmp_path / "ttyMETERS")
    async with SerialLine(AsciiStation({5: unit}), link=link):
        for _ in range(2):
            wire = link_to(link, "modbus-ascii")
            await wire.open()
            assert (await wire.read(polled(5))).values["1.8.0"] == energy(unit)
            await wire.close()


def test_who_may_not_open_a_port_is_told_the_group(tmp_path: Path) -> None:
    port = tmp_path / "ttyUSB0"
    port.touch()
    said = serial_port._why(str(port), serial.SerialException(errno.EACCES, "Permission denied"))
    assert f"`sudo usermod -aG {port.group()} USER`, then log in anew" in said
