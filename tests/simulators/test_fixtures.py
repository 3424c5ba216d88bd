"""The fixtures for anybody's CI, used as others would."""

import asyncio
from datetime import timedelta
from decimal import Decimal

import pytest
from pymodbus.client import AsyncModbusSerialClient, AsyncModbusTcpClient

from simulators.events import Drift, Exchange, Restart
from simulators.models import meter_of
from simulators.rig import SimulatorFactory

pytest_plugins = ["simulators.fixtures"]


async def test_meters_are_polled_and_broken_and_mended(modbus_simulator: SimulatorFactory) -> None:
    simulator = await modbus_simulator({1: "eastron-sdm120", 2: (meter_of("abb-b23", "77"), "abb-b23")})
    client = AsyncModbusTcpClient(simulator.host, port=simulator.port, timeout=1, retries=0)
    assert await client.connect()
    simulator.unit(2).break_with("busy")
    assert (await client.read_holding_registers(0x5000, count=4, device_id=2)).exception_code == 6
    simulator.unit(2).mend()
    answer = await client.read_holding_registers(0x5000, count=4, device_id=2)
    client.close()
    assert Decimal(answer.registers[3] + (answer.registers[2] << 16)) / 100 == simulator.truth(2)["1.8.0"]


async def test_the_clock_is_moved_and_the_registers_follow(modbus_simulator: SimulatorFactory) -> None:
    simulator = await modbus_simulator({1: "eastron-sdm120"})
    before = simulator.truth(1)["1.8.0"]
    simulator.clock.move(simulator.clock.now() + timedelta(days=1))
    assert simulator.truth(1)["1.8.0"] > before
    with pytest.raises(AssertionError, match="only a pty"):
        _ = simulator.path


async def test_a_serial_line(modbus_simulator: SimulatorFactory) -> None:
    simulator = await modbus_simulator({1: "eastron-sdm120"}, kind="pty", baud=38400)
    client = AsyncModbusSerialClient(simulator.path, baudrate=38400, timeout=1, retries=0)
    assert await client.connect()
    answer = await asyncio.wait_for(client.read_input_registers(0x0048, count=2, device_id=1), 5)
    client.close()
    assert len(answer.registers) == 2
    with pytest.raises(AssertionError, match="has a path"):
        _ = simulator.port


async def test_what_happens_to_a_meter_is_switched_too(modbus_simulator: SimulatorFactory) -> None:
    simulator = await modbus_simulator({1: "eastron-sdm120", 2: "eastron-sdm120", 3: "eastron-sdm120", 4: "abb-b23"})
    now, day = simulator.clock.now(), timedelta(days=1)
    before = {unit: simulator.truth(unit)["1.8.0"] for unit in (1, 2, 3, 4)}
    simulator.happen(1, Restart(now))
    simulator.happen(2, Exchange(now, "22000002", {"1.8.0": Decimal(5)}))
    simulator.happen(3, Drift(now, 3600.0))
    simulator.roll_over(4)
    assert simulator.truth(1)["1.8.0"] < before[1]
    assert Decimal(5) <= simulator.truth(2)["1.8.0"] < Decimal(6)
    assert simulator.unit(2).meter.serial_at(now) == "22000002"
    assert simulator.truth(4)["1.8.0"] > before[4]
    simulator.clock.move(now + day)
    assert simulator.truth(4)["1.8.0"] < before[4]
    assert simulator.unit(3).meter.clock(now + day) - simulator.unit(1).meter.clock(now + day) == timedelta(hours=1)
    client = AsyncModbusTcpClient(simulator.host, port=simulator.port, timeout=5, retries=0)
    assert await client.connect()
    answer = await client.read_holding_registers(0x5000, count=4, device_id=4)
    client.close()
    assert Decimal(answer.registers[3] + (answer.registers[2] << 16)) / 100 == simulator.truth(4)["1.8.0"]
