"""`make soak`: every part of the service killed, frozen, cut off and starved, by a seed; then every reading is checked.

    python -m bench.soak [--minutes 10] [--seed N] [--plant no-fsync|early-ack]

A collector, two ingest workers on a shared subscription and the API run as processes of their own beside PostgreSQL,
Mosquitto, simulated meters, concentrators that hold what is not confirmed, and a person. At the end everything a meter
answered, a concentrator had to say or the person was promised must be stored exactly once with its value, or be listed
with its cause. Loopback only; it stops by itself; the seed is printed and plays the same faults again. Exits with 1
when anything was lost, doubled, wrong or listed with a wrong cause. `--plant` puts a defect in, and it must.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import random
import signal
import sqlite3
import sys
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import uvloop
from rich.console import Console
from rich.table import Table

from bench.figure import Figure, record
from bench.soak_deeds import Deed, Deeds
from bench.soak_gateway import Concentrator, Person
from bench.soak_house import POINT, House, Size, house
from bench.soak_plan import plan
from bench.soak_truth import Found, check, quarantined
from bench.soak_watch import Watched

WARM = 10.0
SETTLE = 180.0
EVERY = timedelta(seconds=1)
log = logging.getLogger("soak")


@dataclass
class Result:
    """What a run found."""

    seed: int
    deeds: list[Deed]
    found: Found
    person: Person
    slow_stops: list[str]
    memory: dict[str, tuple[float, float]]
    quarantined: list[tuple[str, str, int]]
    unsettled: list[str]
    crashes: int
    starved: float
    logs: dict[str, str]

    @property
    def failed(self) -> bool:
        return bool(
            self.found.failed
            or self.crashes
            or self.slow_stops
            or self.unsettled
            or self.quarantined
            or self.person.unexpected
        )


async def soak(
    seconds: float, seed: int, size: Size | None = None, *, every: float = 2.3, plant: str | None = None
) -> Result:
    """Run it all; gives what was found."""
    size = size or Size()
    async with house(size, plant=plant, watched=Watched()) as built:
        port = built.proxies["gateways-broker"].port
        meters = built.street.spec.meters
        senders = [
            Concentrator("127.0.0.1", port, name, [one.meter for one in meters if one.gateway == name], EVERY)
            for name in sorted({one.gateway for one in meters if one.gateway})
        ]
        person = Person(built.base, built.token, POINT)
        await _answering(built)
        until = datetime.now(UTC) + timedelta(seconds=WARM + seconds)
        tasks = [asyncio.create_task(sender.run(until)) for sender in senders]
        tasks.append(asyncio.create_task(person.run(until)))
        minding = asyncio.create_task(built.watched.mind_ourselves())
        await asyncio.sleep(WARM)
        begun, memory = datetime.now(UTC), {name: part.memory() for name, part in built.parts.items()}
        deeds = Deeds(built)
        watching = [asyncio.create_task(part.watch()) for part in built.parts.values()]
        await deeds.run(plan(seed, seconds, size.lines, every))
        until = min(until, datetime.now(UTC))
        unsettled = await _settle(built, senders, tasks)
        for task in (*watching, minding):
            task.cancel()
        await asyncio.gather(*watching, minding, return_exceptions=True)
        grown = {name: (memory[name], part.memory()) for name, part in built.parts.items()}
        stops = await _stop(built)
        found = await check(built, senders, person, deeds.done, begun, until)
        logs = {name: part.log.read_text() for name, part in built.parts.items()}
        crashes = sum(part.crashes for part in built.parts.values())
        return Result(
            seed, deeds.done, found, person, stops, grown, await quarantined(built.database), unsettled, crashes,
            sum(b - a for a, b in built.watched.late), logs,
        )  # fmt: skip


async def _answering(built: House) -> None:
    """Until every line is polled."""
    limit = asyncio.get_running_loop().time() + 90
    while not all(built.watched.asked[serial] for serial in built.street.units):
        await asyncio.sleep(0.2)
        if asyncio.get_running_loop().time() > limit:
            raise RuntimeError(
                f"the collector does not poll; it said:\n{built.parts['collector'].log.read_text()[-3000:]}"
            )


async def _settle(built: House, senders: list[Concentrator], tasks: list[asyncio.Task[None]]) -> list[str]:
    """Nothing is disturbed any more, and no meter answers: everything that is held anywhere must come in."""
    for name in built.street.addresses():
        built.proxies[name].cut()
    done, late = await asyncio.wait(tasks, timeout=SETTLE)
    for task in done:
        task.result()
    for task in late:
        task.cancel()
    unsettled = [f"{sender.name} still holds {sender.held} messages" for sender in senders if sender.held]
    limit = asyncio.get_running_loop().time() + SETTLE
    depth = -1
    while depth and asyncio.get_running_loop().time() < limit:
        await asyncio.sleep(0.3)
        depth = await asyncio.to_thread(_spooled, built)
    if depth:
        unsettled.append(f"the spool still holds {depth} polls")
    await asyncio.sleep(3)  # what was polled last is in hand
    return unsettled


def _spooled(built: House) -> int:
    path = built.disk / "1" / "spool.sqlite"
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5)) as conn:
            return int(conn.execute("SELECT count(*) FROM item").fetchone()[0])
    except sqlite3.Error as error:
        log.warning("the spool cannot be looked at: %s", error)
        return -1


async def _stop(built: House) -> list[str]:
    """SIGTERM for everybody; who did not obey in time, now or during the run."""
    for part in built.parts.values():
        await part.terminate()
    return [f"{name}: {took:.1f} s" for name, part in built.parts.items() for took in part.slow_stops]


def show(result: Result, seconds: float) -> None:
    """The summary table, and one JSON line a figure."""
    found, kinds = result.found, Counter(deed.fault.kind for deed in result.deeds)
    table = Table("what", "count", "must be", title=f"soak, {seconds / 60:g} minutes, seed {result.seed}")
    rows = [
        ("faults injected", len(result.deeds), ""),
        ("readings checked", found.checked.total(), ""),
        *((f"  of them {name}", count, "") for name, count in sorted(found.checked.items())),
        ("lost", len(found.lost), "0"),
        ("doubled", len(found.doubled), "0"),
        ("wrong", len(found.wrong), "0"),
        ("slots of the schedule", found.slots, ""),
        *((f"  empty: {cause}", count, "listed") for cause, count in sorted(found.empty.items())),
        ("listed with a wrong cause", len(found.miscaused), "0"),
        ("answers a killed collector had in hand", found.in_hand, "listed"),
        ("answers that never reached the collector", found.unheard, "listed"),
        ("entries answered 503 and repeated", result.person.refused, ""),
        ("other answers of the API", len(result.person.unexpected), "0"),
        ("in quarantine", len(result.quarantined), "0"),
        ("processes that ended by themselves", result.crashes, "0"),
        ("stops that took longer than 10 s", len(result.slow_stops), "0"),
        ("not settled", len(result.unsettled), "0"),
        ("seconds in which the machine starved the meters", round(result.starved), "few"),
        ("readings that concentrators still hold", found.waiting, "0"),
    ]
    for what, count, must in rows:
        table.add_row(what, f"{count:,}".replace(",", " "), must)
    for name, (before, after) in result.memory.items():
        table.add_row(f"memory of {name}, MB", f"{before:.0f} → {after:.0f}", "flat")
    Console().print(table)
    print(", ".join(f"{kind} {count}" for kind, count in sorted(kinds.items())))
    for name in ("lost", "doubled", "wrong", "miscaused"):
        for example in sorted(getattr(found, name))[:5]:
            print(f"{name}: {example}")
    for line in (
        *result.person.unexpected[:5],
        *map(str, result.quarantined[:5]),
        *result.slow_stops,
        *result.unsettled,
    ):
        print(line)
    detail = f"seed {result.seed}: {dict(kinds)}"
    record(Figure("soak: faults injected", len(result.deeds), "faults", must=">= 200", detail=detail))
    record(Figure("soak: readings checked", found.checked.total(), "readings", must=">= 1 000 000"))
    for name in ("lost", "doubled", "wrong"):
        record(Figure(f"soak: {name} readings", len(getattr(found, name)), "readings", must="0"))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="how long to disturb, at most 10")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--scale", type=float, default=1.0, help="less metering for a small or busy machine: 0.2, say")
    parser.add_argument("--every", type=float, default=2.3, help="seconds between two faults")
    parser.add_argument("--plant", choices=["no-fsync", "early-ack"], help="a defect the soak must find")
    parser.add_argument("--logs", help="folder to leave the processes' logs in")
    given = parser.parse_args()
    logging.basicConfig(level="WARNING")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # everything is ended and removed then too
    seconds = min(given.minutes, 10.0) * 60
    print(f"seed {given.seed}", flush=True)
    result = uvloop.run(soak(seconds, given.seed, Size().scaled(given.scale), every=given.every, plant=given.plant))
    show(result, seconds)
    if given.logs:
        keep_logs(result, given.logs)
    sys.exit(1 if result.failed else 0)


def keep_logs(result: Result, folder: str) -> None:
    """For whoever looks for the reason."""
    from pathlib import Path

    Path(folder).mkdir(parents=True, exist_ok=True)
    for name, text in result.logs.items():
        (Path(folder) / f"{name}.log").write_text(text)
    found = result.found
    told = [f"{name}: {one}\n" for name in ("lost", "doubled", "wrong", "miscaused") for one in getattr(found, name)]
    (Path(folder) / "found.txt").write_text("".join(told))


if __name__ == "__main__":
    main()
