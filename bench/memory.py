"""How much memory the ingest process takes at full load, and whether it stays so.

    python -m bench.memory [--minutes 1] [--registers 10000]

Readings are put into the queue as fast as the store takes them, every register a little further each time; the queue is
always full. The database is another process. Everything that `amr collect` imports is imported.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import importlib
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import uvloop

from bench.figure import Figure, record
from bench.place import Options, Place, from_environment, open_place
from bench.write import FLEET
from ingest.delivery import Delivery
from ingest.intake import Intake
from ingest.model import Reading
from storage.readings import PostgresStore

START = datetime(2020, 1, 1, tzinfo=UTC)
STEP = timedelta(minutes=30)
GATEWAY = 50
"""Registers in one delivery, as a concentrator would bring them."""

_PAGE = 4096


def resident() -> float:
    """MiB of this process that are in memory."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * _PAGE / 1024**2


async def load(intake: Intake, registers: int, until: float) -> int:
    """Fill the queue until then; gives how many readings were put."""
    count = step = 0
    while time.monotonic() < until:
        for first in range(1, registers + 1, GATEWAY):
            value = Decimal(1000 + step) / 8
            batch = [Reading(f"w{n}", "1.8.0", START + STEP * step, value) for n in range(first, first + GATEWAY)]
            await intake.put(Delivery("bench", batch))
            count += GATEWAY
        step += 1
    await intake.drain()
    return count


async def watch(samples: list[float]) -> None:
    while True:
        samples.append(resident())
        await asyncio.sleep(1)


async def measure(place: Place, minutes: float, registers: int) -> None:
    async with place.database.connection() as conn:
        for statement in FLEET:
            await conn.execute(statement.encode())
    samples: list[float] = []
    begun = time.monotonic()
    intake = Intake(PostgresStore(place.database))
    tasks = [asyncio.create_task(intake.run()), asyncio.create_task(watch(samples))]
    count = await load(intake, registers, begun + 60 * minutes)
    for task in tasks:
        task.cancel()
    spent = time.monotonic() - begun
    quarter = len(samples) // 4
    early, late = max(samples[quarter : 2 * quarter]), max(samples[-quarter:])
    detail = (
        f"{count / spent:.0f} readings/s for {spent / 60:.1f} minutes; second quarter {early:.0f}, last {late:.0f} MiB"
    )
    record(Figure("ingest process at full load, most memory", max(samples), "MiB", None, "<= 200, flat", detail))


async def run(minutes: float = 1, registers: int = 10_000) -> None:
    """On an empty database."""
    importlib.import_module("amr")
    gc.set_threshold(100_000, 50, 1000)  # as the service does
    async with open_place(Options(dsn=from_environment())) as place:
        await measure(place, minutes, registers)


def main() -> None:
    """`python -m bench.memory`."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--minutes", type=float, default=1)
    options.add_argument("--registers", type=int, default=10_000, help="at most 10000")
    asked = options.parse_args()
    uvloop.run(run(asked.minutes, asked.registers))


if __name__ == "__main__":
    main()
