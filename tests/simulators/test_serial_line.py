"""RTU over a pseudo-terminal, held to pymodbus's serial client."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from pymodbus.client import AsyncModbusSerialClient
from pymodbus.exceptions import ModbusIOException

from simulators.clock import Clock
from simulators.framing import RtuStation
from simulators.layouts import layout_of
from simulators.meter import Meter
from simulators.serial_line import SerialLine
from simulators.shape import load
from simulators.unit import Unit

AT = datetime(2026, 11, 20, 14, 30, tzinfo=UTC)


@pytest.fixture
def unit() -> Unit:
    meter = Meter(serial="11000001", shape=load("a"), start={"1.8.0": Decimal("500.25")})
    return Unit(meter, layout_of("eastron-sdm120"), Clock(AT, factor=0))


@pytest.fixture
async def line(unit: Unit) -> AsyncIterator[SerialLine]:
    async with SerialLine(RtuStation({5: unit}), baud=19200) as started:
        yield started


async def client(line: SerialLine, baud: int = 19200) -> AsyncModbusSerialClient:
    asking = AsyncModbusSerialClient(line.path, baudrate=baud, timeout=0.4, retries=0, reconnect_delay=0)
    assert await asking.connect()
    return asking


async def test_a_serial_client_reads_the_truth(line: SerialLine, unit: Unit) -> None:
    asking = await client(line)
    answer = await asking.read_input_registers(0x0048, count=2, device_id=5)
    value = asking.convert_from_registers(answer.registers, asking.DATATYPE.FLOAT32)
    asking.close()
    assert isinstance(value, float)
    assert round(Decimal(value), 2) == unit.meter.values(AT)["1.8.0"]


async def test_a_long_answer_comes_whole_though_in_pieces(line: SerialLine) -> None:
    asking = await client(line)
    answer = await asking.read_input_registers(0x0000, count=0x50, device_id=5)
    asking.close()
    assert len(answer.registers) == 0x50


async def test_the_line_outlives_its_clients(line: SerialLine) -> None:
    for _ in range(2):
        asking = await client(line)
        assert not (await asking.read_input_registers(0x0048, count=2, device_id=5)).isError()
        asking.close()


async def test_a_client_at_another_speed_is_not_understood(line: SerialLine, unit: Unit) -> None:
    asking = await client(line, baud=9600)
    with pytest.raises(ModbusIOException):
        await asking.read_input_registers(0x0048, count=2, device_id=5)
    asking.close()
    assert line.misheard > 0
    assert unit.requests == 0


@pytest.mark.parametrize("kind", ["dead", "noise", "half-frame", "disconnect", "wrong-unit"])
async def test_a_fault_leaves_the_asker_without_an_answer(line: SerialLine, unit: Unit, kind: str) -> None:
    unit.break_with(kind)
    asking = await client(line)
    with pytest.raises(ModbusIOException):
        await asking.read_input_registers(0x0048, count=2, device_id=5)
    asking.close()
    assert unit.requests == 1


async def test_impossible_speeds_are_named() -> None:
    with pytest.raises(ValueError, match="baud 12345"):
        SerialLine(RtuStation({}), baud=12345)
    with pytest.raises(ValueError, match="bits 8"):
        SerialLine(RtuStation({}), bits=8)
