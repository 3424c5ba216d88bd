"""All lines of a collector: owners follow the fleet, and what is wrong with one line stops no other."""

from __future__ import annotations

from dataclasses import replace

import pytest

from collectors import lines as lines_module
from collectors.lines import Lines
from collectors.link import Link
from collectors.meter_plan import MeterPlan
from collectors.modbus import ModbusLink
from ingest.model import Line, Polled, PolledLine
from simulators.modbus import ModbusServer
from tests.collectors.modbus_rig import Remembering, eventually, line_to, patient_catalog, polled, simulated

CATALOG = patient_catalog()


def modbus(line: Line) -> Link:
    return ModbusLink(line, CATALOG)


async def test_lines_start_change_and_stop_with_the_fleet() -> None:
    door = Remembering()
    async with (
        ModbusServer({5: simulated("abb-b23")}) as one,
        ModbusServer({6: simulated("eastron-sdm630")}) as two,
        Lines(door, modbus) as lines,
    ):
        first = PolledLine(line_to(one), (polled(5, "abb-b23"),))
        second = PolledLine(replace(line_to(two), name="tp-102"), (polled(6, "eastron-sdm630"),))
        await lines.update([first])
        await door.until(lambda door: bool(door.polls("serial-5")))
        owner = lines.owner("tp-101")
        await lines.update([first, second])
        await door.until(lambda door: bool(door.polls("serial-6")))
        assert lines.owner("tp-101") is owner
        moved = PolledLine(replace(first.line, address=f"127.0.0.1:{two.port}"), second.meters)
        await lines.update([moved])
        await door.until(lambda door: "modbus:tp-101/6" in {delivery.origin for delivery in door.deliveries})
        assert lines.owner("tp-102") is None
        assert lines.owner("tp-101") is not owner
        await eventually(lambda: not one.connections)
        await lines.update([])
        await eventually(lambda: not two.connections)


async def test_a_line_that_cannot_work_is_told_and_stops_no_other() -> None:
    door = Remembering()
    bad = PolledLine(Line("tp-0", "modbus-tcp", "host:port", {"bauds": 1}), (polled(1), polled(2)))
    async with ModbusServer({5: simulated("abb-b23")}) as server, Lines(door, modbus) as lines:
        await lines.update([bad, PolledLine(line_to(server), (polled(5, "abb-b23"),))])
        await door.until(lambda door: bool(door.polls("serial-5")))
    assert [contact.failure for contact in door.contacts("serial-2")] == ["misconfigured"]
    assert "write host:port" in str(door.contacts("serial-1")[0].detail)


async def test_a_meter_that_cannot_work_stops_no_other_of_its_line() -> None:
    door = Remembering()
    async with ModbusServer({5: simulated("abb-b23")}) as server, Lines(door, modbus) as lines:
        meters = (polled(1, "no-such-model"), replace(polled(2), address="two"), polled(5, "abb-b23"))
        await lines.update([PolledLine(line_to(server), meters)])
        await door.until(lambda door: bool(door.polls("serial-5")))
    assert "'no-such-model' is not in the catalogue" in str(door.contacts("serial-1")[0].detail)
    assert "'two' is no Modbus unit" in str(door.contacts("serial-2")[0].detail)


class Tripping(ModbusLink):
    """A link with a fault of ours in it."""

    def plan_of(self, meter: Polled) -> MeterPlan:
        if meter.serial == "serial-1":
            raise ZeroDivisionError
        return super().plan_of(meter)


async def test_a_fault_of_ours_is_logged_and_the_line_goes_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(lines_module, "AFTER_A_FAULT", 0.01)
    door = Remembering()
    async with (
        ModbusServer({5: simulated("abb-b23")}) as server,
        Lines(door, lambda line: Tripping(line, CATALOG)) as lines,
    ):
        await lines.update([PolledLine(line_to(server), (polled(1), polled(5, "abb-b23")))])
        await door.until(lambda door: bool(door.polls("serial-5")))
    assert "line tp-101: its owner failed and is started again" in caplog.text
    assert "ZeroDivisionError" in caplog.text
