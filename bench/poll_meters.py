"""The meter that is polled in the figures: 20 registers in one read, ten values; simulated in a process of its own.

python -m bench.poll_meters [awake]        serves Modbus TCP on a free port, prints it, ends with its standard input
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal

import uvloop

from collectors.catalog import Catalog
from collectors.meter_model import Kind, Model, ModelRegister
from simulators.clock import Clock
from simulators.layout import AMPERES, VOLTS, Field, Layout, row
from simulators.meter import Meter
from simulators.modbus import ModbusServer
from simulators.packing import float32, integer
from simulators.shape import load
from simulators.unit import Unit

SLUG = "bench-20"
ENERGIES = ("1.8.0", "2.8.0", "3.8.0")
MOMENTARY = (*VOLTS, *AMPERES, "1.7.0")
WORDS = 20


def model(channels: tuple[str, ...] = ENERGIES + MOMENTARY) -> Model:
    """Three counters as whole numbers, seven momentary values as floats; all 20 registers are read in any case."""
    places = {channel: 2 * at for at, channel in enumerate(ENERGIES + MOMENTARY)}
    registers = tuple(_register(channel, places[channel]) for channel in channels)
    if "1.7.0" not in channels:
        registers = (*registers, _register("1.7.0", places["1.7.0"]))
    return Model(SLUG, "Bench", "Twenty registers", "made up", 0, registers, max_gap=WORDS, timeout=10.0)


def catalog(channels: tuple[str, ...] = ENERGIES + MOMENTARY) -> Catalog:
    """A catalogue of that one model."""
    return Catalog({SLUG: model(channels)})


def _register(channel: str, address: int) -> ModelRegister:
    if channel in ENERGIES:
        return ModelRegister(
            channel, address, 3, Kind.UINT32, Decimal("0.01"), digits=8, decimals=2, max_rate=Decimal(100)
        )
    return ModelRegister(channel, address, 3, Kind.FLOAT32)


def _unit() -> Unit:
    whole = integer(2, Decimal("0.01"), signed=False)
    layout = Layout(
        model=SLUG,
        source="made up",
        functions=frozenset((3,)),
        fields=(
            *row(0, ENERGIES, whole),
            *row(6, VOLTS, float32()),
            *row(12, AMPERES, float32()),
            Field(18, "1.7.0", float32()),
        ),
        spans=((0, WORDS),),
        phases=3,
        resolution=Decimal("0.01"),
        digits=8,
    )
    shares = {"2.8.0": Decimal("0.1"), "3.8.0": Decimal("0.2")}
    meter = Meter(
        serial="1",
        shape=load("b"),
        phases=3,
        start={"1.8.0": Decimal("12345.6")},
        shares=shares,
        resolution=Decimal("0.01"),
        digits=8,
    )
    return Unit(meter, layout, Clock(datetime(2026, 11, 20, 14, 30, tzinfo=UTC), factor=0))


async def _serve(awake: bool) -> None:
    unit, loop = _unit(), asyncio.get_running_loop()

    def look_again() -> None:
        loop.call_soon(look_again)

    async with ModbusServer(dict.fromkeys(range(248), unit)) as server:
        print(server.port, flush=True)
        if awake:
            look_again()
        await loop.run_in_executor(None, sys.stdin.read)


@contextlib.asynccontextmanager
async def served(*, awake: bool = False) -> AsyncIterator[int]:
    """The simulator in another process; gives its port.

    One that is kept awake never sleeps between requests. Otherwise whoever asks more slowly than it answers pays for
    waking it with each `send`, several times what the exchange costs, which no meter beyond a network would charge.
    """
    pipe = asyncio.subprocess.PIPE
    words = (sys.executable, "-m", "bench.poll_meters", *(["awake"] if awake else []))
    process = await asyncio.create_subprocess_exec(*words, stdin=pipe, stdout=pipe)
    assert process.stdin
    assert process.stdout
    try:
        async with asyncio.timeout(30):
            port = int(await process.stdout.readline())
        yield port
    finally:
        process.stdin.close()
        await process.wait()


if __name__ == "__main__":
    uvloop.run(_serve("awake" in sys.argv))
