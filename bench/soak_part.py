"""One real process of the soak: the `amr` command, with what only a test may do to it. `python -m bench.soak_part …`

SOAK_POWER=FOLDER:ASIDE   notes what SQLite really synced (`soak_power`), for a power cut
SOAK_CLOCK=FILE           the collector's clock is ahead by the seconds that stand in the file
SOAK_PLANT=NAME           a defect: `no-fsync` (the spool does not wait for the disk) or `early-ack` (a message is
                          acknowledged and confirmed before it is committed); the soak must notice either
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from datetime import datetime, timedelta
from pathlib import Path

import amr
import collectors.clock
import collectors.push
import collectors.spool_recovery
from bench import soak_power
from collectors.subscriber import Door, Subscriber
from ingest.delivery import Delivery, Outcome


def no_fsync() -> None:
    """The spool's commits return when the page cache has them."""
    connect = collectors.spool_recovery._connect

    def careless(path: Path) -> sqlite3.Connection:
        conn = connect(path)
        conn.execute("PRAGMA synchronous=OFF")
        return conn

    collectors.spool_recovery._connect = careless


class Hasty:
    """A door whose deliveries are 'committed' when they are put."""

    def __init__(self, door: Door) -> None:
        self._door = door

    async def put(self, delivery: Delivery) -> asyncio.Future[Outcome]:
        await self._door.put(delivery)
        done: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        done.set_result(Outcome())
        return done


def early_ack() -> None:
    """Subscribers are given a hasty door."""
    begin = Subscriber.__init__

    def hasty(self: Subscriber, broker: object, filters: object, parse: object, door: Door, **rest: object) -> None:
        begin(self, broker, filters, parse, Hasty(door), **rest)  # type: ignore[arg-type]

    Subscriber.__init__ = hasty  # type: ignore[method-assign]


PLANTS = {"no-fsync": no_fsync, "early-ack": early_ack}


def step_clock(file: Path) -> None:
    """The collector's clock is wrong by what the file says."""
    right = collectors.clock.Clock.now
    looked_at, ahead = 0.0, timedelta(0)

    def wrong(self: collectors.clock.Clock) -> datetime:
        nonlocal looked_at, ahead
        if time.monotonic() - looked_at > 0.1:
            looked_at, ahead = time.monotonic(), timedelta(seconds=float(file.read_text() or 0))
        return right(self) + ahead

    collectors.clock.Clock.now = wrong  # type: ignore[method-assign]


def main() -> None:
    if plant := os.environ.get("SOAK_PLANT"):
        PLANTS[plant]()
    if power := os.environ.get("SOAK_POWER"):
        folder, aside = power.split(":")
        soak_power.watch(Path(folder), Path(aside))
    if clock := os.environ.get("SOAK_CLOCK"):
        step_clock(Path(clock))
    amr.main()


if __name__ == "__main__":
    main()
