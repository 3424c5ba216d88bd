"""A Modbus link over real sockets against meters and wires that misbehave: nothing foreign, late or short is taken."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

import pytest

from collectors.catalog import Catalog
from collectors.crc import crc16
from collectors.link import LineDown, Silent
from collectors.meter_model import Kind, Model, ModelRegister
from collectors.modbus import ModbusLink
from ingest.errors import AmrError, Busy, Malformed, Misconfigured, Refused
from ingest.model import Line
from simulators.faults import Kind as Fault
from simulators.modbus import ModbusServer
from simulators.unit import Unit
from tests.collectors.modbus_rig import (
    AT,
    IMPATIENT,
    PATIENCE,
    line_to,
    patient_catalog,
    polled,
    scripted,
    simulated,
    values,
)

CATALOG = patient_catalog()
BOTH = pytest.mark.parametrize("kind", ["modbus-tcp", "rtu-over-tcp"])
QUICK = {"late": 0.3, "quiet": 0.02, "connect_pause": 0.0}
HEARD = 1.5
"""Seconds in which a damaged answer surely comes: what was heard is looked at when the patience ends."""


async def opened(server: ModbusServer, catalog: Catalog = CATALOG) -> ModbusLink:
    link = ModbusLink(line_to(server, **QUICK), catalog)
    await link.open()
    return link


def energy(unit: Unit) -> Decimal:
    return unit.meter.values(AT)["1.8.0"]


@BOTH
@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault.DEAD, Silent),
        (Fault.BUSY, Busy),
        (Fault.ILLEGAL_ADDRESS, Refused),
        (Fault.NOISE, AmrError),
        (Fault.WRONG_UNIT, Malformed),
        (Fault.HALF_FRAME, AmrError),
        (Fault.SHORT, Malformed),
        (Fault.DISCONNECT, LineDown),
    ],
)
async def test_a_fault_is_an_error_and_never_a_value(kind: str, fault: Fault, error: type[AmrError]) -> None:
    faulty, healthy = simulated("eastron-sdm120"), simulated("eastron-sdm120", "11000002")
    async with ModbusServer({5: faulty, 6: healthy}, kind=kind) as server:
        link = await opened(server, patient_catalog(0.2 if fault is Fault.DEAD else HEARD))
        faulty.break_with(fault)
        with pytest.raises(error):
            await link.read(polled(5, IMPATIENT))
        if fault is Fault.DISCONNECT:
            await link.open()
        assert (await link.read(polled(6))).values["1.8.0"] == energy(healthy)
        faulty.mend()
        assert (await link.read(polled(5))).values["1.8.0"] == energy(faulty)
        await link.close()


async def test_noise_before_an_answer_does_not_hide_it() -> None:
    unit = simulated("eastron-sdm120")
    async with ModbusServer({5: unit}, kind="rtu-over-tcp") as server:
        unit.break_with(Fault.LEADING_NOISE)
        link = await opened(server)
        assert (await link.read(polled(5))).values["1.8.0"] == energy(unit)
        await link.close()


@BOTH
async def test_a_late_answer_of_one_meter_is_not_taken_for_the_next(kind: str) -> None:
    """The late answer comes when the next meter is asked, and just before that one's own."""
    late: list[bytes] = []

    def answer(request: bytes) -> list[bytes | float | None]:
        unit = request[6] if kind == "modbus-tcp" else request[0]
        pdu = bytes((3, 4)) + (1000 * unit).to_bytes(4, "big")
        rtu = bytes((unit,)) + pdu
        frame = request[:4] + bytes((0, 7, unit)) + pdu if kind == "modbus-tcp" else rtu + crc16(rtu)
        if unit == 5:
            late.append(frame)
            return []
        return [*(late.pop() for _ in late[:]), frame]

    async with scripted(answer, kind) as server:
        link = ModbusLink(line_to(server, **QUICK), TWO_PLACES)
        await link.open()
        with pytest.raises(Silent):
            await link.read(polled(5, "hasty"))
        assert values(await link.read(polled(6, "two-places"))) == {"1.8.0": 6000, "2.8.0": 6000}
        await link.close()


TWO = Model(
    *("two-places", "Somebody", "Two places", "nowhere", 0),
    registers=(
        ModelRegister("1.8.0", 0, 3, Kind.UINT32, Decimal(1), "kWh"),
        ModelRegister("2.8.0", 100, 3, Kind.UINT32, Decimal(1), "kWh"),
    ),
    timeout=PATIENCE,
)
TWO_PLACES = Catalog({"two-places": TWO, "hasty": replace(TWO, slug="hasty", timeout=0.2)})


async def test_a_late_answer_of_the_same_meter_is_not_taken_for_another_register() -> None:
    """The trap of RTU: unit, function and length of the late answer all fit the next question."""
    asked = 0

    def answer(request: bytes) -> list[bytes | float | None]:
        nonlocal asked
        asked += 1
        address = int.from_bytes(request[2:4], "big")
        frame = bytes((5, 3, 4)) + (1000 + address).to_bytes(4, "big")
        return [0.5 if asked == 1 else 0.03, frame + crc16(frame)]

    async with scripted(answer, "rtu-over-tcp") as server:
        link = ModbusLink(line_to(server, **{**QUICK, "late": 3.0}), TWO_PLACES)
        await link.open()
        with pytest.raises(Silent):
            await link.read(polled(5, "hasty"))
        for _ in range(3):
            assert values(await link.read(polled(5, "two-places"))) == {"1.8.0": 1000, "2.8.0": 1100}
        await link.close()


async def test_a_late_answer_on_tcp_is_told_by_its_transaction() -> None:
    requests: list[bytes] = []

    def answer(request: bytes) -> list[bytes | float | None]:
        requests.append(request)
        if len(requests) == 1:
            return []
        late = [] if len(requests) > 2 else [reply(requests[0], 7)]
        return [*late, reply(request, 1000)]

    def reply(request: bytes, value: int) -> bytes:
        return request[:4] + bytes((0, 7, 5, 3, 4)) + value.to_bytes(4, "big")

    async with scripted(answer) as server:
        link = ModbusLink(line_to(server, **QUICK), TWO_PLACES)
        await link.open()
        with pytest.raises(Silent):
            await link.read(polled(5, "hasty"))
        assert values(await link.read(polled(5, "two-places"))) == {"1.8.0": 1000, "2.8.0": 1000}
        await link.close()


async def test_an_answer_in_pieces_is_put_together() -> None:
    def answer(request: bytes) -> list[bytes | float | None]:
        frame = request[:4] + bytes((0, 7, 5, 3, 4)) + bytes(4)
        return [piece for at in range(len(frame)) for piece in (frame[at : at + 1], 0.001)]

    async with scripted(answer) as server:
        link = ModbusLink(line_to(server), TWO_PLACES)
        await link.open()
        assert values(await link.read(polled(5, "two-places"))) == {"1.8.0": 0, "2.8.0": 0}
        await link.close()


async def test_a_line_that_talks_without_end_is_hung_up() -> None:
    def answer(request: bytes) -> list[bytes | float | None]:
        return [b"\xff" * 50, 0.01] * 1000

    async with scripted(answer, "rtu-over-tcp") as server:
        link = ModbusLink(line_to(server, **{**QUICK, "timeout": HEARD, "quiet": 1.0}), TWO_PLACES)
        await link.open()
        with pytest.raises(Malformed, match="no whole frame"):
            await link.read(polled(5, "hasty"))
        with pytest.raises(LineDown, match="does not fall silent"):
            await link.read(polled(6, "two-places"))
        await link.close()


async def test_rtu_behind_a_port_taken_for_modbus_tcp_is_told() -> None:
    unit = simulated("eastron-sdm120")
    async with ModbusServer({5: unit}, kind="rtu-over-tcp") as server:
        link = ModbusLink(Line("tp-101", "modbus-tcp", f"127.0.0.1:{server.port}", {"timeout": 0.15}), CATALOG)
        await link.open()
        with pytest.raises(Silent):
            await link.read(polled(5))
        await link.close()


async def test_a_register_the_meter_lacks_leaves_the_plan_and_is_reported() -> None:
    lacking = 0x34
    asked: list[tuple[int, int]] = []

    def answer(request: bytes) -> list[bytes | float | None]:
        function, address, count = (
            request[7],
            int.from_bytes(request[8:10], "big"),
            int.from_bytes(request[10:12], "big"),
        )
        asked.append((address, count))
        if address <= lacking < address + count:
            return [request[:4] + bytes((0, 3, 5, function | 0x80, 2))]
        return [request[:4] + bytes((0, 3 + 2 * count, 5, function, 2 * count)) + bytes(2 * count)]

    async with scripted(answer) as server:
        link = ModbusLink(line_to(server), CATALOG)
        await link.open()
        meter = polled(5, "eastron-sdm630")
        first = await link.read(meter)
        [reject] = first.rejects
        assert (reject.reason, reject.channel, reject.meter) == ("unsupported_register", "1.7.0", "serial-5")
        assert "exception 2 (illegal address)" in reject.detail
        assert set(first.values) == {one.channel for one in CATALOG["eastron-sdm630"].registers} - {"1.7.0"}
        asked.clear()
        again = await link.read(meter)
        assert again.rejects == ()
        assert not any(address <= lacking < address + count for address, count in asked)
        await link.close()
        await link.open()
        asked.clear()
        await link.read(meter)
        assert not any(address <= lacking < address + count for address, count in asked)
        await link.close()


async def test_a_meter_that_refuses_everything_is_asked_for_everything_again() -> None:
    unit = simulated("eastron-sdm120")
    async with ModbusServer({5: unit}) as server:
        unit.break_with(Fault.ILLEGAL_ADDRESS)
        link = await opened(server)
        with pytest.raises(Refused, match="refuses every register of eastron-sdm120; is it really one"):
            await link.read(polled(5))
        unit.mend()
        assert len((await link.read(polled(5))).values) == 9
        await link.close()


async def test_a_register_that_is_no_number_is_rejected_alone() -> None:
    model = Model(
        *("bcd", "Somebody", "BCD", "nowhere", 0),
        registers=(
            ModelRegister("1.8.0", 0, 3, Kind.BCD32, Decimal(1), "kWh"),
            ModelRegister("2.8.0", 2, 3, Kind.BCD32, Decimal(1), "kWh"),
        ),
    )

    def answer(request: bytes) -> list[bytes | float | None]:
        return [request[:4] + bytes.fromhex("000B 05 03 08 00001234 0000AB34")]

    async with scripted(answer) as server:
        link = ModbusLink(line_to(server), Catalog({"bcd": model}))
        await link.open()
        answered = await link.read(polled(5, "bcd"))
        assert values(answered) == {"1.8.0": 1234}
        assert [(reject.reason, reject.channel) for reject in answered.rejects] == [("malformed_register", "2.8.0")]
        await link.close()


@pytest.mark.parametrize(
    ("code", "error", "told"),
    [
        (1, Refused, "illegal function"),
        (4, Refused, "device failure"),
        (5, Busy, "acknowledge"),
        (6, Busy, "device busy"),
        (10, Silent, "gateway gets no answer"),
        (11, Silent, "gateway gets no answer"),
        (99, Refused, "exception 99 (unknown)"),
    ],
)
async def test_exceptions_are_told_apart(code: int, error: type[AmrError], told: str) -> None:
    def answer(request: bytes) -> list[bytes | float | None]:
        return [request[:4] + bytes((0, 3, 5, request[7] | 0x80, code))]

    async with scripted(answer) as server:
        link = ModbusLink(line_to(server), CATALOG)
        await link.open()
        with pytest.raises(error) as caught:
            await link.read(polled(5))
        assert type(caught.value) is error
        assert told in str(caught.value)
        await link.close()


async def test_a_closed_port_says_where(unused_tcp_port_factory: Callable[[], int]) -> None:
    link = ModbusLink(Line("l", "modbus-tcp", f"127.0.0.1:{unused_tcp_port_factory()}"), CATALOG)
    with pytest.raises(LineDown, match=r"cannot connect to 127\.0\.0\.1:\d+") as caught:
        await link.open()
    assert isinstance(caught.value.__cause__, OSError)


async def test_a_link_that_is_not_open_says_so() -> None:
    with pytest.raises(LineDown, match="line l is not open"):
        await ModbusLink(Line("l", "modbus-tcp", "127.0.0.1:1"), CATALOG).read(polled(5))


async def test_a_short_patience_after_a_long_one_is_kept() -> None:
    unit = simulated("eastron-sdm120")
    async with ModbusServer({5: unit}) as server:
        link = await opened(server)
        await link.read(polled(5))
        unit.break_with(Fault.DEAD)
        async with asyncio.timeout(PATIENCE / 2):
            with pytest.raises(Silent):
                await link.read(polled(5, IMPATIENT))
        await link.close()


async def test_a_peer_that_hangs_up_ends_the_wait_at_once() -> None:
    async with scripted(lambda request: [None]) as server:
        link = ModbusLink(line_to(server, timeout=PATIENCE), CATALOG)
        await link.open()
        async with asyncio.timeout(PATIENCE / 2):
            with pytest.raises(LineDown, match="closed the connection"):
                await link.read(polled(5))
        await link.close()


async def test_an_unknown_model_and_a_bad_unit_are_named() -> None:
    unit = simulated("eastron-sdm120")
    async with ModbusServer({5: unit}) as server:
        link = await opened(server)
        with pytest.raises(Misconfigured, match="model 'x' is not in the catalogue"):
            await link.read(polled(5, "x"))
        with pytest.raises(Misconfigured, match="meter serial-999: address '999' is no Modbus unit"):
            await link.read(polled(999))
        assert (await link.read(polled(5))).values["1.8.0"] == energy(unit)
        await link.close()


async def test_words_are_given_as_they_came() -> None:
    unit = simulated("eastron-sdm120")
    async with ModbusServer({5: unit}) as server:
        link = await opened(server)
        words = await link.words(polled(5))
        assert len(words) == 9
        assert all(len(one) == 4 for one in words.values())
        assert await link.ask(5, 4, 0x48, 2) == words["1.8.0"]
        with pytest.raises(Refused):
            await link.ask(5, 4, 0x9000, 2)
        await link.close()
