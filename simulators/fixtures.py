"""pytest fixtures for anybody's CI: `pytest_plugins = ["simulators.fixtures"]`. The only file that imports pytest.

    async def test_mine(modbus_simulator):
        simulator = await modbus_simulator({1: "eastron-sdm120", 2: "abb-b23"})
        ... poll simulator.host, simulator.port ...
        simulator.unit(1).break_with("late", seconds=1.5)
        simulator.truth(2)["1.8.0"]   # Decimal, kWh

pytest-asyncio is needed, or another plugin that runs async fixtures.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest_asyncio

from simulators.rig import Simulator, SimulatorFactory, simulator_of


@pytest_asyncio.fixture
async def modbus_simulator() -> AsyncIterator[SimulatorFactory]:
    """Start Modbus simulators, with the arguments of `simulators.rig.simulator_of`; the test's end stops them."""
    async with AsyncExitStack() as stack:

        async def start(*args: Any, **kwargs: Any) -> Simulator:
            simulator = simulator_of(*args, **kwargs)
            await stack.enter_async_context(simulator.wire)
            return simulator

        yield start
