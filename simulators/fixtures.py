"""pytest fixtures for anybody's CI: `pytest_plugins = ["simulators.fixtures"]`. The only file that imports pytest.

    async def test_mine(modbus_simulator):
        simulator = await modbus_simulator({1: "eastron-sdm120", 2: "abb-b23"})
        ... poll simulator.host, simulator.port ...
        simulator.unit(1).break_with("late", seconds=1.5)
        simulator.truth(2)["1.8.0"]   # Decimal, kWh

    async def test_a_street(street_simulator):
        running = await street_simulator("street.toml", speed=60)
        ... poll running.addresses()["name of a line"] ...

pytest-asyncio is needed, or another plugin that runs async fixtures.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest_asyncio

from simulators.clock import Clock
from simulators.rig import Simulator, SimulatorFactory, simulator_of

if TYPE_CHECKING:
    from simulators.street import RunningStreet, StreetFactory


@pytest_asyncio.fixture
async def modbus_simulator() -> AsyncIterator[SimulatorFactory]:
    """Start Modbus simulators, with the arguments of `simulators.rig.simulator_of`; the test's end stops them."""
    async with AsyncExitStack() as stack:

        async def start(*args: Any, **kwargs: Any) -> Simulator:
            simulator = simulator_of(*args, **kwargs)
            await stack.enter_async_context(simulator.wire)
            return simulator

        yield start


@pytest_asyncio.fixture
async def street_simulator() -> AsyncIterator["StreetFactory"]:
    """Run streets of meters by their files (see `simulators.street_file`); the test's end stops them."""
    from simulators.street import Street  # whoever only wants meters on a wire needs no paho

    async with AsyncExitStack() as stack:

        async def start(file: str | Path, *, speed: float = 1.0, at: datetime | None = None) -> "RunningStreet":
            return await stack.enter_async_context(Street.read(Path(file)).start(Clock(at, speed)))

        yield start
