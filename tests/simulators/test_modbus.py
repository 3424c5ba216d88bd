"""The Modbus server over real sockets, held to pymodbus's client and to raw frames."""

import asyncio
import struct
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from pymodbus.client import AsyncModbusTcpClient
from pymodbus.framer import FramerType

from simulators.clock import Clock
from simulators.framing import rtu
from simulators.layouts import LAYOUTS, layout_of
from simulators.meter import Meter
from simulators.modbus import ModbusServer
from simulators.shape import load
from simulators.unit import Unit

AT = datetime(2026, 11, 20, 14, 30, tzinfo=UTC)
ASK_ENERGY = bytes.fromhex("0007 0000 0006 05 04 0048 0002")
FRAMERS = {"modbus-tcp": FramerType.SOCKET, "rtu-over-tcp": FramerType.RTU}


def unit(serial: str = "11000001", model: str = "eastron-sdm120") -> Unit:
    layout = layout_of(model)
    meter = Meter(
        serial=serial,
        shape=load("b"),
        phases=layout.phases,
        start={"1.8.0": Decimal("12345.6")},
        resolution=layout.resolution,
    )
    return Unit(meter, layout, Clock(AT, factor=0))


@pytest.fixture(params=["modbus-tcp", "rtu-over-tcp"])
async def server(request: pytest.FixtureRequest) -> AsyncIterator[ModbusServer]:
    async with ModbusServer({5: unit(), 7: unit("11000002", "abb-b23")}, kind=request.param) as started:
        yield started


@pytest.fixture
async def client(server: ModbusServer) -> AsyncIterator[AsyncModbusTcpClient]:
    asking = AsyncModbusTcpClient(
        server.host, port=server.port, framer=FRAMERS[server.kind], timeout=0.3, retries=0, reconnect_delay=0
    )
    assert await asking.connect()
    yield asking
    asking.close()


async def test_pymodbus_reads_the_truth(server: ModbusServer, client: AsyncModbusTcpClient) -> None:
    truth = server.units[5].meter.values(AT)
    answer = await client.read_input_registers(0x0048, count=2, device_id=5)
    value = client.convert_from_registers(answer.registers, client.DATATYPE.FLOAT32)
    assert isinstance(value, float)
    assert round(Decimal(value), 2) == truth["1.8.0"]


async def test_many_units_answer_behind_one_port(server: ModbusServer, client: AsyncModbusTcpClient) -> None:
    answer = await client.read_holding_registers(0x5000, count=4, device_id=7)
    value = client.convert_from_registers(answer.registers, client.DATATYPE.UINT64)
    assert isinstance(value, int)
    assert value * Decimal("0.01") == server.units[7].meter.values(AT)["1.8.0"]


@pytest.mark.parametrize(
    ("address", "count", "code"), [(0x0048, 80, 2), (0x0000, 81, 3), (0x9000, 2, 2), (0x005F, 2, 2)]
)
async def test_reads_outside_of_the_map_are_refused(
    client: AsyncModbusTcpClient, address: int, count: int, code: int
) -> None:
    answer = await client.read_input_registers(address, count=count, device_id=5)
    assert answer.exception_code == code


async def test_another_function_is_refused(client: AsyncModbusTcpClient) -> None:
    assert (await client.read_coils(0x0048, count=2, device_id=5)).exception_code == 1
    assert (await client.write_register(0x0048, 1, device_id=5)).exception_code == 1


async def test_a_unit_that_is_not_there_stays_silent(server: ModbusServer, client: AsyncModbusTcpClient) -> None:
    with pytest.raises(Exception, match="No response received"):
        await client.read_input_registers(0x0048, count=2, device_id=99)


@pytest.mark.parametrize("count", ["0000", "007e", "ffff"])
async def test_counts_no_meter_takes_are_refused(count: str) -> None:
    async with ModbusServer({5: unit()}) as server:
        answer = await raw(server, bytes.fromhex("0007 0000 0006 05 04 0048" + count), 9)
    assert answer == bytes.fromhex("0007 0000 0003 05 84 03")


async def test_pipelined_and_torn_requests_are_all_answered_in_order() -> None:
    async with ModbusServer({5: unit()}) as server:
        reader, writer = await asyncio.open_connection(server.host, server.port)
        stream = b"".join(number.to_bytes(2, "big") + ASK_ENERGY[2:] for number in range(20))
        for begin in range(0, len(stream), 7):
            writer.write(stream[begin : begin + 7])
            await writer.drain()
        answers = [await asyncio.wait_for(reader.readexactly(13), 2) for _ in range(20)]
        writer.close()
        await writer.wait_closed()
    assert [int.from_bytes(answer[:2], "big") for answer in answers] == list(range(20))
    assert len({answer[2:] for answer in answers}) == 1


async def test_what_is_no_modbus_ends_the_connection() -> None:
    async with ModbusServer({5: unit()}) as server:
        assert await raw(server, b"GET / HTTP/1.1\r\n\r\n", 1) == b""


async def test_the_port_stays_the_same_when_the_converter_comes_back() -> None:
    server = ModbusServer({5: unit()})
    await server.start()
    port = server.port
    await server.stop()
    with pytest.raises(OSError, match="onnect"):
        await asyncio.open_connection(server.host, port)
    async with server:
        assert server.port == port
        assert len(await raw(server, ASK_ENERGY, 13)) == 13


async def test_an_unknown_kind_is_named() -> None:
    with pytest.raises(ValueError, match="'modbus-udp'"):
        ModbusServer({}, kind="modbus-udp")


async def raw(server: ModbusServer, request: bytes, size: int) -> bytes:
    reader, writer = await asyncio.open_connection(server.host, server.port)
    writer.write(request)
    answer = await asyncio.wait_for(reader.read(size), 2)
    writer.close()
    await writer.wait_closed()
    return answer


async def test_a_late_answer_meets_the_next_request() -> None:
    slow, quick = unit(), unit("11000002")
    slow.break_with("late", seconds=0.3)
    async with ModbusServer({5: slow, 6: quick}, kind="rtu-over-tcp") as server:
        reader, writer = await asyncio.open_connection(server.host, server.port)
        writer.write(rtu(5, ASK_ENERGY[7:]))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.readexactly(9), 0.05)
        writer.write(rtu(6, ASK_ENERGY[7:]))
        answers = [await asyncio.wait_for(reader.readexactly(9), 5) for _ in range(2)]
        writer.close()
        await writer.wait_closed()
    assert [answer[0] for answer in answers] == [6, 5]


async def test_a_disconnect_closes_and_the_next_connection_is_served() -> None:
    one = unit()
    async with ModbusServer({5: one}) as server:
        one.break_with("disconnect")
        assert await raw(server, ASK_ENERGY, 13) == b""
        one.mend()
        assert len(await raw(server, ASK_ENERGY, 13)) == 13


async def test_a_thousand_connections_are_served() -> None:
    async with ModbusServer({5: unit()}) as server:
        streams = [await asyncio.open_connection(server.host, server.port) for _ in range(1000)]
        for _, writer in streams:
            writer.write(ASK_ENERGY)
        answers = {await asyncio.wait_for(reader.readexactly(13), 30) for reader, _ in streams}
        assert server.connections == 1000
        for _, writer in streams:
            writer.close()
            await writer.wait_closed()
    assert len(answers) == 1


@pytest.mark.parametrize("model", sorted(LAYOUTS))
async def test_every_models_energy_is_in_the_map_it_tells(model: str) -> None:
    one = unit(model=model)
    (place,) = (field for field in one.layout.fields if field.channel == "1.8.0")
    function = min(one.layout.functions)
    async with ModbusServer({1: one}) as server:
        client = AsyncModbusTcpClient(server.host, port=server.port, timeout=2, retries=0)
        assert await client.connect()
        ask = client.read_holding_registers if function == 3 else client.read_input_registers
        words = len(place.pack(None)) // 2
        answer = await ask(place.address, count=words, device_id=1)
        client.close()
    assert struct.pack(f">{words}H", *answer.registers) == place.pack(one.meter.values(AT)["1.8.0"])
