"""What the API costs: requests of a cabinet beside a bare route that runs the very same SQL, in the same run.

    python -m bench.api [--years 3.5] [--seconds 3] [--clients 20] [--profile FILE]

Each of both is uvicorn in a process of its own on one core; clients and the database have the other ones. They are
asked in turns, so that whatever else the machine does hits both. Loopback only. AMR_BENCH_DSN names a server.

Clients go from point to point; pages asked again are asked by their ETags, and an entry goes to a client's own point.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import pickle
import random
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from typing import NamedTuple

import uvloop

from bench.api_recorded import Recorded, recorded
from bench.figure import Figure, quantile, record
from bench.fleet import make_fleet
from bench.load import load_years
from bench.place import Options, Place, from_environment, open_place
from storage import midnights, tokens

REGISTERS = 64
POINTS = [f"B{n}" for n in range(1, REGISTERS // 2 + 1)]
CONSUMER = "bench"
_CONTRACTS = "INSERT INTO contract (consumer, point_id, since) SELECT %s, id, '2015-01-01' FROM point"
LOOKS = 0.25
"""Seconds that a client looks at a page: twenty of them ask for some eighty pages a second."""
_MINUTE = timedelta(minutes=1)


class Question(NamedTuple):
    """What is asked: the address of a point's page; `again`: of the same point, by the ETag of the answer before."""

    name: str
    path: str
    must: str
    writes: bool = False
    again: bool = False


LATEST = Question("latest", "/api/v1/points/{code}/readings/latest", ">= 0.6 of the ceiling")
STATISTICS = Question("statistics", "/api/v1/points/{code}/statistics", ">= 0.6 of the ceiling")
AGAIN = STATISTICS._replace(name="statistics asked again", must="", again=True)
ENTRY = Question("manual entry", "/api/v1/points/{code}/readings", ">= 0.6 of the ceiling", writes=True)


@dataclass(slots=True)
class Told:
    """Seconds: how long each answer took, and all of them together, by the clock and of the server's processor."""

    spent: float = 0.0
    cpu: float = 0.0
    times: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        return len(self.times) / self.spent

    @property
    def p95(self) -> float:
        """Milliseconds."""
        return 1000 * quantile(self.times, 0.95)

    @property
    def work(self) -> float:
        """Milliseconds of the server's processor for one answer."""
        return 1000 * self.cpu / len(self.times)


class Server(NamedTuple):
    """One of the two."""

    port: int
    pid: int

    def cpu(self) -> float:
        """Seconds of processor it has had so far; 0 where the system does not say."""
        file = Path(f"/proc/{self.pid}/stat")
        if not file.exists():
            return 0.0
        facts = file.read_text().rpartition(")")[2].split()
        return (int(facts[11]) + int(facts[12])) / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Served:
    """Where the two are, and how clients come in."""

    ours: Server
    bare: Server
    token: str
    end: datetime


async def run(years: float = 3.5, seconds: float = 3.0, clients: int = 20, profile: str | None = None) -> None:
    """Load, serve both, ask in turns."""
    options = Options(dsn=from_environment(), registers=REGISTERS, years=years)
    async with open_place(options) as place:
        token, end = await _prepare(place)
        replayed = await recorded(place.database, token, end, [LATEST.path, STATISTICS.path], POINTS)
        async with _served(place, token, end, replayed, profile) as served:
            for question in (LATEST, STATISTICS, AGAIN, ENTRY):
                await _measure(place, served, question, seconds, clients)


async def _prepare(place: Place) -> tuple[str, datetime]:
    """The fleet, its years, and a consumer's token; gives it and the instant after the last reading."""
    async with place.database.connection() as conn:
        await make_fleet(conn, place.options.registers)
        await conn.execute(_CONTRACTS, (CONSUMER,))
        token = await tokens.create(conn, "bench", "consumer", consumer=CONSUMER)
    loaded = await load_years(place.database, place.options.years, place.options.within)
    await midnights.remember(place.database, loaded.end + timedelta(days=1))
    async with place.database.own_connection() as conn:
        await conn.execute("VACUUM ANALYZE")
    print(f"{place.kind}: {loaded.rows} readings, loaded in {loaded.seconds:.0f} s", flush=True)
    return token, loaded.end


@contextlib.asynccontextmanager
async def _served(
    place: Place, token: str, end: datetime, replayed: Recorded, profile: str | None
) -> AsyncIterator[Served]:
    with tempfile.NamedTemporaryFile(suffix=".pickle") as file:
        pickle.dump(replayed, file)
        file.flush()
        async with contextlib.AsyncExitStack() as stack:
            both = [
                await stack.enter_async_context(_process(kind, place, end, file.name, profile))
                for kind in ("ours", "bare")
            ]
            yield Served(both[0], both[1], token, end)


@contextlib.asynccontextmanager
async def _process(kind: str, place: Place, end: datetime, file: str, profile: str | None) -> AsyncIterator[Server]:
    arguments = [kind, place.database.dsn, end.isoformat(), file]
    command = [sys.executable, "-m", "bench.api_server", *arguments, *([profile] if profile and kind == "ours" else [])]
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, cwd=Path(__file__).parents[1]
    )
    assert process.stdin
    assert process.stdout
    try:
        yield Server(int(await process.stdout.readline()), process.pid)
    finally:
        process.stdin.close()
        await process.wait()


async def _measure(place: Place, served: Served, question: Question, seconds: float, clients: int) -> None:
    """Four turns each, after one to warm up."""
    bodies = _bodies(served.end)
    told = {served.ours: Told(), served.bare: Told()}
    for server in told:
        await _turn(server, served.token, question, bodies, seconds / 3, clients, Told())
    for _ in range(4):
        for server, said in told.items():
            await _turn(server, served.token, question, bodies, seconds / 4, clients, said)
    ours, bare = told[served.ours], told[served.bare]
    work = f"processor {ours.work:.2f} ms a request, bare {bare.work:.2f}"
    detail = f"{place.kind}; {place.options.years:g} years stored; {clients} clients; one core each; {work}"
    record(Figure(f"api, {question.name}", ours.rate, "requests/s", bare.rate, question.must, detail))
    record(Figure(f"api, {question.name}, p95 of clients that never rest", ours.p95, "ms", bare.p95, detail=detail))
    if question.path == STATISTICS.path:
        await _people(place, served, question, bodies, seconds, clients)


async def _people(
    place: Place, served: Served, question: Question, bodies: Iterator[bytes], seconds: float, clients: int
) -> None:
    """The same clients when each looks at a page before it asks for the next one.

    They begin spread over a look: people do not press together, and twenty who did would be a twentieth of all samples.
    """
    told = {served.ours: Told(), served.bare: Told()}
    for _ in range(2):
        for server, said in told.items():
            await _turn(server, served.token, question, bodies, seconds / 2, clients, said, LOOKS)
    people = f"{clients} clients, {LOOKS:g} s between their pages, begun spread over that time"
    detail = f"{place.kind}; {place.options.years:g} years stored; {people}; {len(told[served.ours].times)} pages"
    ours, bare = told[served.ours], told[served.bare]
    record(Figure(f"api, {question.name}, p95", ours.p95, "ms", bare.p95, "<= 30", detail))


async def _turn(
    server: Server,
    token: str,
    question: Question,
    bodies: Iterator[bytes],
    seconds: float,
    clients: int,
    told: Told,
    looks: float = 0.0,
) -> None:
    until = time.perf_counter() + seconds
    begun, cpu = time.perf_counter(), server.cpu()
    await asyncio.gather(
        *(_client(server.port, token, question, bodies, n, until, told, looks) for n in range(clients))
    )
    told.spent += time.perf_counter() - begun
    told.cpu += server.cpu() - cpu


async def _client(
    port: int,
    token: str,
    question: Question,
    bodies: Iterator[bytes],
    number: int,
    until: float,
    told: Told,
    looks: float,
) -> None:
    """One connection that asks, reads the answer, looks at it for so many seconds, and asks for the next point's."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    if looks:
        await asyncio.sleep(looks * random.random())
    tag = ""
    while time.perf_counter() < until:
        path = question.path.format(code=POINTS[number % len(POINTS)])
        number += 0 if question.writes or question.again else 1
        body = next(bodies) if question.writes else b""
        ask = _request(path, token, body, tag if question.again else "")
        begun = time.perf_counter()
        writer.write(ask)
        status, tag = await _answer(reader)
        assert status in (200, 201, 304), status
        told.times.append(time.perf_counter() - begun)
        if looks:
            await asyncio.sleep(looks * random.uniform(0.5, 1.5))
    writer.close()
    await writer.wait_closed()


def _request(path: str, token: str, body: bytes, tag: str) -> bytes:
    lines = [f"{'POST' if body else 'GET'} {path} HTTP/1.1", "Host: b", f"Authorization: Bearer {token}"]
    if tag:
        lines.append(f"If-None-Match: {tag}")
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body


async def _answer(reader: asyncio.StreamReader) -> tuple[int, str]:
    """The status and the ETag, if there is one."""
    head = await reader.readuntil(b"\r\n\r\n")
    fields = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:-2])
    named = {name.lower(): value for name, value in fields.items()}
    await reader.readexactly(int(named.get(b"content-length", 0)))
    return int(head[9:12]), named.get(b"etag", b"").decode()


def _bodies(end: datetime) -> Iterator[bytes]:
    """What consumers type in: every body of a later instant, and a little more than the one before."""
    for n in count():
        at = end + n * _MINUTE
        yield json.dumps(
            {"taken_at": at.isoformat(), "values": {"1.8.0": f"{90_000 + n / 100:.2f}"}, "confirm": True}
        ).encode()


def main() -> None:
    """`python -m bench.api`."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--years", type=float, default=3.5)
    options.add_argument("--seconds", type=float, default=6.0)
    options.add_argument("--clients", type=int, default=20)
    options.add_argument("--profile", help="write a cProfile of our process to this file")
    asked = options.parse_args()
    uvloop.run(run(asked.years, asked.seconds, asked.clients, asked.profile))


if __name__ == "__main__":
    main()
