"""`make soak`: a street polled and pushed for minutes, disturbed all the while; then every stored reading is checked.

    python -m bench.soak [--minutes 5] [--seed N]

Meters fall silent, answer late, garble and hang up at random (by the seed, which is printed and replays); the broker is
started anew. At the end every stored reading must be what its meter held about that instant, the meters that were never
disturbed must have kept their schedule, and memory must be flat. Loopback only; it stops by itself. Prints one JSON
line a figure and exits with 1 when a reading was wrong or a schedule not kept.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import random
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import uvloop
from pydantic import SecretStr

import amr
from bench.figure import Figure, record
from ingest.channel import from_micro, is_counter
from ingest.intake import Intake
from simulators.clock import Clock
from simulators.mosquitto import Mosquitto
from simulators.street import RunningStreet, Street
from simulators.street_fleet import fleet_text
from storage import fleet
from storage.database import Database, DatabaseSettings, open_database
from storage.migrate import migrate
from storage.readings import PostgresStore

PERIOD = timedelta(seconds=1)
FAULTS = ("dead", "late", "noise", "wrong-unit", "half-frame", "disconnect", "busy", "short")
FIRST_ROUGH = "51000011"
SOUND_LINE = "sound"
"""Its meters are never disturbed: they must keep their schedule."""

_STORED = """
SELECT m.serial, r.channel, x.taken_at, x.value FROM reading x
JOIN register r ON r.id = x.register_id JOIN meter m ON m.id = r.meter_id
"""


def street() -> str:
    """Ten meters on a line that is never disturbed, ten on one that is, eight pushed; starts far apart."""
    parts = []
    for line, kind, first in ((SOUND_LINE, "modbus-tcp", 1), ("rough", "rtu-over-tcp", 11)):
        parts.append(f'[[line]]\nname = "{line}"\nkind = "{kind}"\nport = 0\n')
        parts += [
            f'[[meter]]\nserial = "5100{n:04}"\nmodel = "{model}"\nline = "{line}"\nunit = {n}\nstart = "{n}000.5"\n'
            for n, model in zip(range(first, first + 10), ("eastron-sdm630", "abb-b23") * 5, strict=True)
        ]
    parts += [f'[[meter]]\nserial = "5200{n:04}"\ngateway = "gw-{n % 2}"\nstart = "{n * 2000}.25"\n' for n in range(8)]
    return "\n".join(parts)


@dataclass
class Found:
    """What the check at the end counted."""

    checked: int = 0
    wrong: list[str] = field(default_factory=list)
    per_series: Counter[tuple[str, str]] = field(default_factory=Counter)


@contextlib.asynccontextmanager
async def house(folder: Path) -> AsyncIterator[tuple[RunningStreet, Database, Mosquitto]]:
    """A database, a broker, the street and a collector on it."""
    async with contextlib.AsyncExitStack() as stack:
        database = await stack.enter_async_context(open_database(DatabaseSettings(None, folder)))
        await migrate(database)
        broker = await stack.enter_async_context(Mosquitto())
        running = await stack.enter_async_context(Street(street()).start(Clock(), mqtt_url=broker.url, every=PERIOD))
        text = fleet_text(running.spec, datetime.now(UTC), period="1s")
        for address in running.addresses().values():  # in the order of the lines
            text = text.replace("127.0.0.1:0", address, 1)
        settings = amr.Settings(mqtt_url=SecretStr(broker.url), mqtt_client_id="soak")
        async with database.connection() as conn:
            await fleet.apply(conn, text, settings.models(), check_line=settings.check_line)
        intake = Intake(PostgresStore(database))
        tasks = [
            asyncio.create_task(intake.run()),
            asyncio.create_task(amr.collecting(settings, database, intake)),
        ]
        try:
            yield running, database, broker
            await intake.drain()
        finally:
            for task in reversed(tasks):
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)


async def disturb(running: RunningStreet, broker: Mosquitto, chance: random.Random, until: datetime) -> Counter[str]:
    """Break and mend the rough line's meters, and restart the broker, until then."""
    done: Counter[str] = Counter()
    rough = [unit for serial, unit in running.units.items() if serial >= FIRST_ROUGH]
    while datetime.now(UTC) < until:
        unit, kind = chance.choice(rough), chance.choice(FAULTS)
        unit.break_with(kind, seconds=0.5 if kind == "late" else 0.0, every=chance.choice((1, 2, 3)))
        done[kind] += 1
        if chance.random() < 0.02:
            await broker.restart()
            done["broker restart"] += 1
        await asyncio.sleep(chance.uniform(0.1, 0.8))
        unit.mend()
    for unit in rough:
        unit.mend()
    return done


async def check(running: RunningStreet, database: Database, begun: datetime, until: datetime) -> Found:
    """Compare every stored counter with what its meter held around that instant."""
    found, slack = Found(), timedelta(seconds=3)
    async with database.connection() as conn, conn.cursor(name="stored") as cursor:
        await cursor.execute(_STORED)
        async for serial, channel, taken_at, value in cursor:
            found.per_series[serial, channel] += begun <= taken_at < until
            found.checked += 1
            if not is_counter(channel):
                continue
            meter, shown = running.meters[serial], from_micro(value)
            low, high = (meter.values(taken_at + side).get(channel, Decimal(0)) for side in (-slack, slack))
            if not low - Decimal("0.2") <= shown <= high + Decimal("0.2"):
                found.wrong.append(f"{serial} {channel} {taken_at}: stored {shown}, the meter held {low}..{high}")
    return found


def resident() -> float:
    """MB of this process in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def new_folder() -> Path:
    """One that PostgreSQL's own account can reach when we are root."""
    folder = Path(tempfile.mkdtemp(prefix="amr-soak-", dir="/var/tmp"))
    folder.chmod(0o755)
    return folder


async def soak(minutes: float, seed: int) -> int:
    folder = new_folder()
    try:
        async with house(folder) as (running, database, broker):
            await asyncio.sleep(10)
            begun, settled = datetime.now(UTC), resident()
            until = begun + timedelta(minutes=minutes)
            faults = await disturb(running, broker, random.Random(seed), until)
            grown = resident() - settled
            await asyncio.sleep(5)
            found = await check(running, database, begun, until)
    finally:
        shutil.rmtree(folder)
    expected = (until - begun) / PERIOD
    sound = [
        count for (serial, channel), count in found.per_series.items() if serial < FIRST_ROUGH and channel == "1.8.0"
    ]
    kept = min(sound, default=0) / expected
    record(Figure("soak: faults injected", faults.total(), "faults", detail=f"seed {seed}: {dict(faults)}"))
    record(Figure("soak: readings checked", found.checked, "readings", detail=f"{minutes:g} minutes"))
    record(Figure("soak: wrong readings", len(found.wrong), "readings", must="0", detail="; ".join(found.wrong[:3])))
    record(Figure("soak: schedule kept by undisturbed meters", kept, "share", must=">= 0.95"))
    record(Figure("soak: memory grown", grown, "MB", must="flat", detail=f"from {settled:.0f} MB"))
    return 1 if found.wrong or kept < 0.95 else 0


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0, help="how long to disturb, at most 10")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    given = parser.parse_args()
    sys.exit(uvloop.run(soak(min(given.minutes, 10.0), given.seed)))


if __name__ == "__main__":
    main()
