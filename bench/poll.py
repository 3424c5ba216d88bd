"""What polling costs: polls a second and CPU a poll, beside a bare client that exchanges the same frames in one run.

    python -m bench.poll [--seconds 4] [--only NAME]

The collector is the real one (lines, schedule, plans, decoding, deliveries) with a door that only counts, then the real
door before PostgreSQL. The simulator is another process, so CPU a poll is the collector's alone; polls a second also
depend on how fast the simulator answers. About four minutes; loopback only.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import resource
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import psycopg
import uvloop

from bench import poll_line
from bench.figure import Figure, record
from bench.place import Options, open_place
from bench.poll_bare import Spent, bare
from bench.poll_meters import ENERGIES, MOMENTARY, SLUG, WORDS, catalog, served
from collectors.clock import Clock
from collectors.lines import Lines
from collectors.modbus import modbus_link
from ingest.delivery import Delivery, Outcome
from ingest.intake import Intake
from ingest.model import Line, Polled, PolledLine, RegisterSpec
from storage.database import Database
from storage.readings import PostgresStore

PERIOD = timedelta(minutes=5)
WARM = 2
"""Rounds before it is measured how polls are stored: the first begins every series, the second comes to know them."""

LIMIT = 120.0
"""Seconds after which a round that does not end is a fault."""


class Counting:
    """A door that keeps nothing, and tells when so many polls came."""

    def __init__(self) -> None:
        self.polls = 0
        self.failures = 0
        self._awaited = 0
        self._reached = asyncio.Event()
        self._done: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._done.set_result(Outcome())

    async def put(self, delivery: Delivery) -> asyncio.Future[Outcome]:
        self.offer(delivery)
        return self._done

    def offer(self, delivery: Delivery) -> bool:
        self.polls += 1
        self.failures += delivery.contacts[0].failure is not None
        if self.polls == self._awaited:
            self._reached.set()
        return True

    async def until(self, polls: int) -> None:
        """Wait for so many polls in all."""
        self._awaited = polls
        self._reached.clear()
        if self.polls < polls:
            async with asyncio.timeout(LIMIT):
                await self._reached.wait()


class Jumping(Clock):
    """A clock that can be put on by a period: everybody is due at once, as when a collector has fallen behind."""

    def __init__(self) -> None:
        super().__init__()
        self.ahead = timedelta(hours=-12)  # the door doubts readings of the future

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead


def fleet(port: int, connections: int, meters: int) -> list[PolledLine]:
    """So many meters spread over the connections, each a line of its own."""
    lines = []
    for number in range(connections):
        serials = range(number, meters, connections)
        polled = tuple(Polled(f"b{serial:06}", SLUG, str(at % 247 + 1), PERIOD) for at, serial in enumerate(serials))
        lines.append(PolledLine(Line(f"l{number}", "modbus-tcp", f"127.0.0.1:{port}"), polled))
    return lines


@dataclass(slots=True)
class Rounds:
    """Rounds in which every meter is due at once, as when a collector fell behind; connections and plans stand."""

    lines: list[PolledLine]
    meters: int
    door: Counting
    clock: Jumping
    running: Lines

    async def next(self) -> Spent:
        """One more round."""
        self.clock.ahead += PERIOD
        await self.running.update(self.lines)  # wakes the owners, which look at the clock then
        begun, cpu, before = time.perf_counter(), time.process_time(), self.door.polls
        await self.door.until(before + self.meters)
        return Spent(self.meters, time.perf_counter() - begun, time.process_time() - cpu)


@contextlib.asynccontextmanager
async def ready(port: int, connections: int, channels: tuple[str, ...]) -> AsyncIterator[Rounds]:
    """A collector that has polled every meter once."""
    meters = connections * max(10, min(200, 10_000 // connections))
    door, clock, known = Counting(), Jumping(), catalog(channels)
    lines = fleet(port, connections, meters)
    async with Lines(door, lambda line: modbus_link(line, known), clock) as running:
        await running.update(lines)
        await door.until(meters)
        yield Rounds(lines, meters, door, clock, running)
        assert not door.failures, f"{door.failures} polls failed"


async def efficiency(port: int, seconds: float) -> None:
    """Polls/s and CPU a poll for 1, 10, 100 and 1 000 connections, each beside the bare client.

    The two take turns in short slices, and of each the cheapest counts: what else the machine does spoils some slices.
    """
    for connections in (1, 10, 100, 1000):
        async with (
            ready(port, connections, ENERGIES + MOMENTARY) as ten,
            ready(port, connections, (ENERGIES[0],)) as two,
        ):
            slices: dict[str, list[Spent]] = {"bare": [], "ten": [], "two": []}
            until = time.monotonic() + 2 * seconds
            while len(slices["bare"]) < 3 or time.monotonic() < until:
                slices["bare"].append(await bare(port, connections, seconds / 10))
                slices["ten"].append(await ten.next())
                slices["two"].append(await two.next())
        free, of_ten, of_two = (min(one.micro for one in some) for some in slices.values())
        rates = [max(one.polls / one.seconds for one in slices[some]) for some in ("ten", "bare")]
        told = f"poll of {WORDS} registers, {connections} connections"
        record(
            Figure(
                *(f"{told}, rate", rates[0], "polls/s", rates[1]),
                detail="ceiling: the bare client's rate; simulator and client share the machine",
            )
        )
        for values, ours in ((10, of_ten), (2, of_two)):
            record(
                Figure(
                    *(f"{told}, {values} values, efficiency", 1e6 / ours, "polls/CPU-s", 1e6 / free),
                    must="ratio at least 0.5",
                    detail=f"{ours:.1f} µs of CPU a poll, bare {free:.1f} µs, the best of {len(slices['bare'])} slices",
                )
            )


async def idle(port: int, seconds: float) -> None:
    """50 000 meters every 5 minutes over 1 000 connections: what is left of one core."""
    meters, connections = 50_000, 1000
    door, known, factor = Counting(), catalog(), 300 / seconds
    clock = Clock(factor)
    async with Lines(door, lambda line: modbus_link(line, known), clock) as running:
        await running.update(fleet(port, connections, meters))
        await door.until(meters)
        before, cpu, began = door.polls, time.process_time(), time.perf_counter()
        await door.until(before + meters)
        spent = Spent(door.polls - before, time.perf_counter() - began, time.process_time() - cpu)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    record(
        Figure(
            *("50 000 meters every 5 minutes, 1 000 connections, idle", 100 * (1 - spent.cpu / 300), "%"),
            must="at least 80",
            detail=f"one round in {spent.seconds:.0f} s, hurried: {spent.polls} polls, {spent.cpu:.1f} s of CPU of "
            f"300 s, {door.failures} failed, {memory:.0f} MiB at most in this process",
        )
    )


async def stored(port: int, name: str, channels: tuple[str, ...], meters: int, seconds: float) -> None:
    """Polled by saturated lines and committed: round after round, the queue full all the while."""
    known, connections = catalog(channels), 100
    async with open_place(Options(), schema="amr_bench_poll") as place:
        specs = tuple(register.spec for register in known[SLUG].registers)
        await _make(place.database, meters, specs)
        intake, clock = Intake(PostgresStore(place.database)), Jumping()
        door = asyncio.create_task(intake.run())
        counting, rounds = _Through(intake), 0
        async with Lines(counting, lambda line: modbus_link(line, known), clock) as running:
            lines = fleet(port, connections, meters)
            begun, cpu = time.perf_counter(), time.process_time()
            while rounds < WARM + 2 or time.perf_counter() - begun < seconds:
                rounds += 1
                clock.ahead += PERIOD
                await running.update(lines)
                await counting.until(rounds * meters)
                if rounds <= WARM:
                    await intake.drain()
                    begun, cpu = time.perf_counter(), time.process_time()
            await intake.drain()
            took, used = time.perf_counter() - begun, time.process_time() - cpu
        door.cancel()
        await asyncio.gather(door, return_exceptions=True)
        rows, polls = await _count(place.database), (rounds - WARM) * meters
        assert rows >= rounds * meters * (len(specs) - 1), f"{rows} rows"
        record(
            Figure(
                *(f"meter reads stored, {name}", polls / took, "reads/s"),
                must="at least 10 000",
                detail=f"{len(specs)} values a read, {polls * len(specs) / took:.0f} values/s, "
                f"{1e6 * used / polls:.0f} µs of CPU a read in this process, {place.kind}",
            )
        )


class _Through(Counting):
    """Counts on the way to the real door."""

    def __init__(self, intake: Intake) -> None:
        super().__init__()
        self._intake = intake

    async def put(self, delivery: Delivery) -> asyncio.Future[Outcome]:
        super().offer(delivery)
        return await self._intake.put(delivery)

    def offer(self, delivery: Delivery) -> bool:
        return self._intake.offer(delivery) and super().offer(delivery)


_FLEET = """
INSERT INTO point (code, zone) SELECT 'P' || g, 'UTC' FROM generate_series(0, %(last)s) g;
INSERT INTO meter (serial, model) SELECT 'b' || lpad(g::text, 6, '0'), 'bench' FROM generate_series(0, %(last)s) g;
INSERT INTO register (meter_id, channel, digits, decimals, max_rate)
SELECT m.id, c.channel, c.digits, 3, NULL FROM meter m
CROSS JOIN unnest(%(channels)s::text[], %(digits)s::int[]) AS c(channel, digits);
INSERT INTO installation (point_id, meter_id, since)
SELECT p.id, m.id, '2020-01-01Z' FROM point p JOIN meter m ON m.serial = 'b' || lpad(substr(p.code, 2), 6, '0');
ANALYZE point, meter, register, installation;
"""


async def _make(database: Database, meters: int, specs: Sequence[RegisterSpec]) -> None:
    asked = {"last": meters - 1, "channels": [one.channel for one in specs], "digits": [one.digits for one in specs]}
    async with database.own_connection() as conn:
        await psycopg.AsyncClientCursor(conn).execute(_FLEET, asked)


async def _count(database: Database) -> int:
    async with database.own_connection() as conn:
        row = await (await conn.execute("SELECT count(*) FROM reading")).fetchone()
    assert row
    return int(row[0])


PARTS = ("efficiency", "idle", "stored", "line")


async def run(seconds: float = 4.0, only: Sequence[str] = PARTS) -> None:
    """All figures of polling; `seconds` is about how long each is measured."""
    gc.set_threshold(100_000, 50, 1000)  # as `amr` does
    if "efficiency" in only:
        async with served(awake=True) as port:
            await efficiency(port, seconds)
    async with served() as port:
        if "idle" in only:
            await idle(port, 5 * seconds)
        if "stored" in only:
            await stored(port, "one counter and power", ("1.8.0",), 5000, 2 * seconds)
            await stored(port, "ten values", ENERGIES + MOMENTARY, 5000, 2 * seconds)
    if "line" in only:
        await poll_line.run(max(4, int(1.5 * seconds)))


def main() -> None:
    """`python -m bench.poll`."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--seconds", type=float, default=4.0)
    options.add_argument("--only", action="append", choices=PARTS)
    given = options.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        uvloop.run(run(given.seconds, given.only or PARTS))


if __name__ == "__main__":
    main()
