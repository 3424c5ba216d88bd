"""A meter is who it says it is: another one in its place is noticed, and its values belong to nobody."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from collectors import modbus
from collectors.identity import same_serial
from collectors.line import Owner
from collectors.modbus import ModbusLink
from simulators.clock import Clock
from simulators.events import Exchange
from simulators.faults import Kind
from simulators.modbus import ModbusServer
from simulators.unit import Unit
from tests.collectors.modbus_rig import AT, Remembering, line_to, patient_catalog, polled, scripted, simulated
from tests.collectors.running import running

CATALOG = patient_catalog()


@pytest.mark.parametrize(
    ("known", "said"),
    [("11000001", "11000001"), ("0011000001", "11000001"), ("SN 1100-0001", "11000001"), ("23111000001", "11000001")],
)
def test_one_number_printed_differently(known: str, said: str) -> None:
    assert same_serial(known, said)
    assert same_serial(said, known)


@pytest.mark.parametrize(("known", "said"), [("11000001", "11000002"), ("meter", "11000001"), ("110", "11000001")])
def test_different_numbers(known: str, said: str) -> None:
    assert not same_serial(known, said)


def exchanged_at(later: timedelta) -> Unit:
    """A meter that is exchanged for another, counting from 3 kWh, some time after the beginning."""
    unit = simulated("eastron-sdm120")
    change = Exchange(AT + later, "11000099", {"1.8.0": Decimal(3)})
    return Unit(replace(unit.meter, events=(change,)), unit.layout, Clock(AT, factor=0))


async def test_a_swapped_meter_is_noticed_and_its_values_are_kept_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(modbus, "IDENTIFY_EVERY", 0.0)
    unit, meter = exchanged_at(timedelta(hours=1)), replace(polled(5), serial="11000001")
    async with ModbusServer({5: unit}) as server:
        link = ModbusLink(line_to(server, check_serial=True), CATALOG)
        await link.open()
        before = await link.read(meter)
        assert (before.serial, before.problem) == ("11000001", None)
        assert "1.8.0" in before.values
        unit.clock.move(AT + timedelta(hours=2))
        for _ in range(2):
            after = await link.read(meter)
            assert dict(after.values) == {}
            assert after.serial == "11000099"
            assert "the meter says it is 11000099, not 11000001; declare the exchange" in str(after.problem)
            assert {(one.reason, one.meter) for one in after.rejects} == {("swapped_meter", "11000001")}
            assert {one.channel for one in after.rejects} == set(before.values)
        declared = await link.read(replace(meter, serial="11000099"))
        assert declared.problem is None
        assert declared.values["1.8.0"] < 100
        await link.close()


async def test_a_swapped_meter_is_asked_again_on_every_poll() -> None:
    unit, meter = exchanged_at(timedelta(hours=-1)), replace(polled(5), serial="11000001")
    async with ModbusServer({5: unit}) as server:
        link = ModbusLink(line_to(server, check_serial=True), CATALOG)
        await link.open()
        assert (await link.read(meter)).problem
        unit.clock.move(AT - timedelta(hours=2))
        assert (await link.read(meter)).problem is None
        asked = unit.requests
        await link.read(meter)
        assert unit.requests == asked + 1
        await link.close()


async def test_the_news_of_a_swapped_meter_says_so() -> None:
    door, unit = Remembering(), exchanged_at(timedelta(hours=-1))
    async with ModbusServer({5: unit}) as server:
        line = line_to(server, check_serial=True)
        owner = Owner(line, ModbusLink(line, CATALOG), door)
        owner.update([replace(polled(5), serial="11000001")])
        async with running(owner):
            await door.until(lambda door: bool(door.deliveries))
    [delivery] = door.deliveries
    assert delivery.readings == []
    assert [(contact.meter, contact.failure) for contact in delivery.contacts] == [("11000001", "swapped_meter")]
    assert b"1.8.0=" in b" ".join(reject.raw for reject in delivery.rejects)


async def test_a_meter_without_a_number_is_believed_and_not_asked_twice() -> None:
    asked: list[int] = []

    def answer(request: bytes) -> list[bytes | float | None]:
        address, count = int.from_bytes(request[8:10], "big"), int.from_bytes(request[10:12], "big")
        asked.append(address)
        if address == 0xFC00:
            return [request[:4] + bytes((0, 3, 5, request[7] | 0x80, 2))]
        return [request[:4] + bytes((0, 3 + 2 * count, 5, request[7], 2 * count)) + bytes(2 * count)]

    async with scripted(answer) as server:
        link = ModbusLink(line_to(server, check_serial=True), CATALOG)
        await link.open()
        for _ in range(2):
            assert (await link.read(polled(5))).problem is None
        assert asked == [0xFC00, 0, 0]
        await link.close()


async def test_a_refused_register_is_asked_for_again_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    lacking = True

    def answer(request: bytes) -> list[bytes | float | None]:
        address, count = int.from_bytes(request[8:10], "big"), int.from_bytes(request[10:12], "big")
        if lacking and address <= 0x48 < address + count:
            return [request[:4] + bytes((0, 3, 5, request[7] | 0x80, 2))]
        return [request[:4] + bytes((0, 3 + 2 * count, 5, request[7], 2 * count)) + bytes(2 * count)]

    async with scripted(answer) as server:
        link = ModbusLink(line_to(server), CATALOG)
        await link.open()
        assert "1.8.0" not in (await link.read(polled(5))).values
        lacking = False
        assert "1.8.0" not in (await link.read(polled(5))).values
        monkeypatch.setattr(modbus, "monotonic", lambda: float("inf"))
        assert "1.8.0" in (await link.read(polled(5))).values
        await link.close()


@pytest.mark.parametrize("kind", ["modbus-tcp", "rtu-over-tcp"])
async def test_who_was_silent_is_asked_who_it_is_before_its_values_count(
    kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    door, unit = Remembering(), exchanged_at(timedelta(hours=1))
    async with ModbusServer({5: unit}, kind=kind) as server:
        line = line_to(server, check_serial=True, timeout=0.5, late=0.0)
        owner = Owner(line, ModbusLink(line, CATALOG), door)
        owner.update([replace(polled(5), serial="11000001", period=timedelta(seconds=0.2))])
        async with running(owner):
            await door.until(lambda door: len(door.polls("11000001")) > 1)
            unit.break_with(Kind.DEAD)
            await door.until(lambda door: door.contacts("11000001")[-1].failure == "timeout")
            before = len(door.polls("11000001"))
            unit.clock.move(AT + timedelta(hours=2))
            unit.mend()
            await door.until(lambda door: door.contacts("11000001")[-1].failure == "swapped_meter")
    assert len(door.polls("11000001")) == before
    silent, swapped = (one.getMessage() for one in caplog.records if "meter 11000001" in one.getMessage())
    assert "unit 5 did not answer" in silent
    assert "says it is 11000099, not 11000001" in swapped
    assert "What to try: another meter stands there: record the exchange" in swapped
