"""A region in simulation: 100 000 meters behind gateways, every half-hour of theirs as fast as it is sustained.

    python -m bench region        (or python -m bench.region [--meters 100000] [--seconds 120] [--workers 2])

Gateways of 100 to 200 meters publish through a real Mosquitto what their meters counted, a half-hour a cycle; real
`amr collect` processes of one group store it in PostgreSQL. The next cycle begins when at most one is not stored yet,
so that what is measured is sustained. The gateways share one connection and run, like broker and database, on the
same machine: their work is not in the workers' CPU and does slow them.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import re
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import uvloop

from bench.figure import Figure, quantile, record
from bench.place import Options, Place, from_environment, open_place
from bench.push_load import publish
from simulators.mosquitto import Mosquitto
from simulators.shape import Shape, load
from simulators.street import free_port

METERS, WORKERS, SECONDS = 100_000, 2, 120.0
CYCLE = timedelta(minutes=30)
START = datetime(2026, 1, 1, tzinfo=UTC)
MOST = 100
"""Readings in one message: a gateway of 150 meters sends two."""
LOOK = 0.25
"""Seconds between two looks at the workers: so exact is the age of what is not stored yet."""
PATIENCE = 300.0

_FLEET = """
WITH one AS (
    INSERT INTO meter (serial, model, gateway)
    SELECT 'r' || u.gateway || '-' || n, 'bench', 'g' || u.gateway
    FROM unnest(%s::integer[]) WITH ORDINALITY AS s(size, number)
    CROSS JOIN LATERAL (SELECT s.number - 1 AS gateway) u CROSS JOIN LATERAL generate_series(0, s.size - 1) n
    RETURNING id
)
INSERT INTO register (meter_id, channel, digits, decimals, max_rate) SELECT id, '1.8.0', 8, 3, 100 FROM one
"""


@dataclass(slots=True)
class Worker:
    """What one ingest process says of itself."""

    port: int
    said: Mapping[str, float] = field(default_factory=dict)

    async def look(self, client: httpx.AsyncClient) -> bool:
        """Ask it; False while it does not serve its metrics."""
        try:
            page = (await client.get(f"http://127.0.0.1:{self.port}/metrics", timeout=PATIENCE)).text
        except httpx.TransportError:
            return False
        said: defaultdict[str, float] = defaultdict(float)
        for name, value in re.findall(r"^(\w+)(?:{[^}]*})? (\S+)$", page, re.MULTILINE):
            said[name] += float(value)  # over all labels, like the doors of a process
        self.said = said
        return True


@dataclass(slots=True)
class Region:
    """What was published when, and how far the workers are."""

    meters: int
    workers: Sequence[Worker]
    begun: list[float] = field(default_factory=list)
    done: list[float] = field(default_factory=list)
    """When each cycle's first message was published, and when all of it was stored."""
    cpu: list[float] = field(default_factory=list)
    """CPU seconds of all workers by then."""
    memory: float = 0.0

    def total(self, name: str) -> float:
        return sum(worker.said.get(name, 0.0) for worker in self.workers)

    @property
    def stored(self) -> int:
        return int(self.total("amr_readings_total"))

    async def watch(self) -> None:
        """Until cancelled."""
        async with httpx.AsyncClient() as client:
            while True:
                await asyncio.gather(*(worker.look(client) for worker in self.workers))
                while len(self.done) < self.stored // self.meters:
                    self.done.append(time.monotonic())
                    self.cpu.append(self.total("process_cpu_seconds_total"))
                self.memory = max([self.memory, *(one.said["process_resident_memory_bytes"] for one in self.workers)])
                await asyncio.sleep(LOOK)

    async def until_stored(self, cycles: int) -> None:
        async with asyncio.timeout(PATIENCE):
            while len(self.done) < cycles:  # noqa: ASYNC110 - it is counted in other processes
                await asyncio.sleep(LOOK / 5)


def sizes(meters: int) -> list[int]:
    """Meters of each gateway: 100 to 200, the last one what is left."""
    found: list[int] = []
    while left := meters - sum(found):
        found.append(min(left, 100 + 37 * len(found) % 101))
    return found


def cycle(gateways: Sequence[int], number: int, shapes: Sequence[Shape]) -> Iterator[tuple[str, bytes]]:
    """What every gateway sends of one half-hour: households of two real shapes, each with a start of its own."""
    at = START + number * CYCLE
    stamp, counted = at.isoformat(), [(shape.energy(at) - shape.energy(START)) // 1000 for shape in shapes]
    for gateway, size in enumerate(gateways):
        for first in range(0, size, MOST):
            body = ",".join(
                f'{{"meter":"r{gateway}-{meter}","channel":"1.8.0","at":"{stamp}",'
                f'"value":"{(1000 * (gateway + meter) + counted[meter % len(counted)]) / 1000:.3f}"}}'
                for meter in range(first, min(first + MOST, size))
            )
            name = f"g{gateway}-{number}-{first}"
            yield f"amr/v1/g{gateway}/readings", f'{{"id":"{name}","readings":[{body}]}}'.encode()


@contextlib.asynccontextmanager
async def working(place: Place, broker: Mosquitto, folder: Path, count: int) -> AsyncIterator[list[Worker]]:
    """So many `amr collect`, connected; ended by SIGTERM."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("AMR_")}
    workers, processes = [Worker(free_port(0)) for _ in range(count)], []
    try:
        for number, worker in enumerate(workers):
            of_worker = {
                "AMR_DATABASE_URL": str(place.settings.url),
                "AMR_DATA": str(folder / f"worker-{number}"),
                "AMR_LINES": "none",
                "AMR_MQTT_URL": broker.url,
                "AMR_MQTT_GROUP": "region",
                "AMR_MQTT_CLIENT_ID": f"worker-{number}",
                "AMR_MQTT_TRY_OUT": "false",
                "AMR_METRICS_PORT": str(worker.port),
                "AMR_LOG_LEVEL": "WARNING",
            }
            processes.append(
                await asyncio.create_subprocess_exec(sys.executable, "-m", "amr", "collect", env=clean | of_worker)
            )
        async with asyncio.timeout(PATIENCE), httpx.AsyncClient() as client:
            for worker in workers:
                while not (await worker.look(client) and worker.said["amr_mqtt_connected"]):
                    ended = [process.returncode for process in processes if process.returncode is not None]
                    assert not ended, f"a worker ended with {ended} before it was connected"
                    await asyncio.sleep(LOOK)
        yield workers
    finally:
        for process in processes:
            if process.returncode is None:
                process.terminate()
        await asyncio.gather(*(process.wait() for process in processes))


async def drive(region: Region, broker: Mosquitto, gateways: Sequence[int], seconds: float) -> None:
    """Cycle after cycle for so long, at least three; the first is not measured: series that begin are judged longer."""
    shapes, until = [load("a"), load("b")], time.monotonic() + seconds
    while len(region.begun) < 3 or time.monotonic() < until:
        number = len(region.begun)
        region.begun.append(time.monotonic())
        await publish(broker.host, broker.port, cycle(gateways, number, shapes))
        await region.until_stored(number)
    await region.until_stored(len(region.begun))


async def bytes_of(place: Place) -> int:
    async with place.database.connection() as conn:
        row = await (await conn.execute("SELECT pg_database_size(current_database())")).fetchone()
    assert row
    return int(row[0])


async def run(meters: int = METERS, seconds: float = SECONDS, count: int = WORKERS) -> None:
    """The fleet, the workers, the cycles, and the figures."""
    gateways = sizes(meters)
    async with contextlib.AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="amr-region-", dir="/var/tmp")))
        place = await stack.enter_async_context(open_place(Options(dsn=from_environment())))
        broker = await stack.enter_async_context(Mosquitto())
        async with place.database.connection() as conn:
            await conn.execute(_FLEET, (gateways,))
        before = await bytes_of(place)
        workers = await stack.enter_async_context(working(place, broker, folder, count))
        region = Region(meters, workers)
        watching = asyncio.create_task(region.watch())
        try:
            await drive(region, broker, gateways, seconds)
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
        await check(place, region)
        tell(place, region, await bytes_of(place) - before)


async def check(place: Place, region: Region) -> None:
    """Every reading of every cycle is stored once, and good."""
    async with place.database.connection() as conn:
        asked = "SELECT count(*), count(*) FILTER (WHERE quality = 0), (SELECT count(*) FROM quarantine) FROM reading"
        found = await (await conn.execute(asked)).fetchone()
    wanted = region.meters * len(region.begun)
    assert found == (wanted, wanted, 0), f"{wanted} published; stored, good and quarantined: {found}"


def tell(place: Place, region: Region, grown: int) -> None:
    """The figures of the cycles behind the first."""
    cycles, seconds = len(region.done) - 1, region.done[-1] - region.done[0]
    readings, everything = cycles * region.meters, len(region.done) * region.meters
    ages = [done - begun for begun, done in zip(region.begun[1:], region.done[1:], strict=True)]
    what = f"{place.kind}; {region.meters} meters, {len(region.workers)} workers, {cycles} cycles in {seconds:.0f} s"
    factor = CYCLE.total_seconds() * cycles / seconds
    record(Figure("region, readings stored", readings / seconds, "readings/s", detail=what))
    record(Figure("region, faster than its half-hours", factor, "times", must="> 1", detail=what))
    record(Figure("region, age of the oldest not stored, median", quantile(ages, 0.5), "s", detail=what))
    record(Figure("region, age of the oldest not stored, worst", max(ages), "s", must="<= 1800", detail=what))
    record(
        Figure(
            "region, CPU of the workers", 1e6 * (region.cpu[-1] - region.cpu[0]) / readings, "µs/reading", detail=what
        )
    )
    record(Figure("region, memory of a worker", region.memory / 1e6, "MB", detail=what))
    record(Figure("region, disk", grown / everything, "bytes/reading", detail=f"{what}; grown by {grown / 1e6:.0f} MB"))


def main() -> None:
    """`python -m bench.region`."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--meters", type=int, default=METERS)
    options.add_argument("--seconds", type=float, default=SECONDS, help="after which no cycle begins")
    options.add_argument("--workers", type=int, default=WORKERS)
    given = options.parse_args()
    uvloop.run(run(given.meters, given.seconds, given.workers))


if __name__ == "__main__":
    main()
