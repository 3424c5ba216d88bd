"""Every wire also under uvloop, whose transports and readers are its own."""

import asyncio
from collections.abc import Coroutine
from datetime import UTC, datetime
from typing import Any

import pytest
import uvloop
from pymodbus.client import AsyncModbusSerialClient, AsyncModbusTcpClient
from pymodbus.client.base import ModbusBaseClient

from simulators.broker import EmbeddedBroker
from simulators.clock import Clock
from simulators.mqtt import Publisher
from simulators.rig import simulator_of

CLOCK = Clock(datetime(2026, 11, 20, tzinfo=UTC), factor=0)


async def over(kind: str) -> None:
    simulator = simulator_of({1: "eastron-sdm120"}, kind=kind, clock=CLOCK)
    async with simulator.wire:
        client: ModbusBaseClient
        if kind == "pty":
            client = AsyncModbusSerialClient(simulator.path, baudrate=9600, timeout=2, retries=0)
        else:
            client = AsyncModbusTcpClient(simulator.host, port=simulator.port, timeout=2, retries=0)
        assert await client.connect()
        assert len((await client.read_input_registers(0x48, count=2, device_id=1)).registers) == 2
        client.close()


async def over_mqtt() -> None:
    async with EmbeddedBroker() as broker, Publisher(broker.url, "gw") as publisher:
        await asyncio.wait_for(await publisher.publish("t", "x"), 10)
    assert publisher.acknowledged == 1


@pytest.mark.parametrize(
    "wire", [lambda: over("modbus-tcp"), lambda: over("pty"), over_mqtt], ids=["tcp", "pty", "mqtt"]
)
def test_a_wire_under_uvloop(wire: Any) -> None:
    scenario: Coroutine[Any, Any, None] = wire()
    uvloop.run(scenario)
