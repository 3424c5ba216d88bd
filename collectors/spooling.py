"""Polls that the store could not take wait on disk, and are brought to it when it is back: oldest first, and gently.

Fresh polls do not wait behind the backlog: they go to the store at once, and judgement does not depend on the order.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from collectors.home import orphans
from collectors.spool import Lost, Spool, SpoolFailed
from collectors.spooled import NEWS, DayOf, item_of, meter_of, read, utc_day
from ingest.delivery import Contact, Delivery, Outcome, Reject
from ingest.errors import AmrError, Malformed

log = logging.getLogger(__name__)

RATE = 5000.0
"""Rows a second at which a backlog is stored."""

CHUNK = 200
"""Deliveries brought to the store together."""

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 5.0
_LOOK = 60.0
_DETAIL = {
    "spool_full": "read while the database was away, and dropped between the first and last of its day: spool full",
    "spool_age": "read while the database was away, and dropped between the first and last of its day: too old",
}


class Store(Protocol):
    """What is asked of the intake that waits for the store."""

    async def accept(self, delivery: Delivery) -> Outcome:
        """Store now, or raise."""

    async def put(self, delivery: Delivery) -> asyncio.Future[Outcome]:
        """Queue; what the store refuses goes to quarantine."""


@dataclass(slots=True)
class Counts:
    """Deliveries since the start: kept on disk, brought to the store, refused by a disk that was full."""

    kept: int = 0
    drained: int = 0
    refused: int = 0


class Spooling:
    """The refuge of polls. `run` brings what is kept to the store until cancelled."""

    def __init__(self, spool: Spool, store: Store, *, rate: float = RATE, day_of: DayOf = utc_day) -> None:
        self.spool = spool
        self.counts = Counts()
        self._store = store
        self._rate = rate
        self._day_of = day_of
        self._away = self._told = False
        self._woken = asyncio.Event()
        self._refused: dict[str, Contact] = {}

    @property
    def away(self) -> bool:
        """Whether the store was away when it was needed last and has taken nothing since."""
        return self._away

    async def keep(self, deliveries: Sequence[Delivery]) -> None:
        """On disk when it returns. Raises SpoolFailed; these polls are told of as missed when the store is back."""
        now = datetime.now(UTC)
        if not self._told:
            log.warning("the store is away: polls are kept in %s", self.spool.path)
            self._told = True
        try:
            await self.spool.put([item_of(delivery, now, self._day_of) for delivery in deliveries])
        except SpoolFailed as error:
            self.counts.refused += len(deliveries)
            self._note_refused(deliveries, error)
            raise
        finally:
            self._away = True
            self._woken.set()
        self.counts.kept += len(deliveries)

    async def run(self) -> None:
        """Drain whenever there is something, by a wake or by what an earlier process left."""
        while True:
            self._woken.clear()  # before looking: who comes meanwhile wakes us again
            try:
                await self.drain()
                await self._tell_losses()
            except AmrError as error:
                log.warning("the spool is not drained: %s", error)
                await asyncio.sleep(LONGEST_PAUSE)
                continue
            if not self.spool.depth():
                self._away = False
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK):
                    await self._woken.wait()

    async def drain(self) -> None:
        """Until the spool is empty, but for what cannot be stored now."""
        after, begun, total = 0, self.spool.depth(), 0
        while rows := await self.spool.oldest(CHUNK, after):
            deliveries = [_read(body) for _, body in rows]
            await self._until_it_is_back(deliveries[0])
            started = asyncio.get_running_loop().time()
            done = await self._bring(rows, deliveries)
            await self.spool.delete(done)
            total += len(done)
            self.counts.drained += len(done)
            after = rows[-1][0]
            due = started + sum(delivery.size for delivery in deliveries) / self._rate
            await asyncio.sleep(max(0.0, due - asyncio.get_running_loop().time()))
        self._told = False
        if begun:
            log.warning("the store is back: %d polls were brought to it from the spool", total)

    async def _until_it_is_back(self, first: Delivery) -> None:
        """Store the oldest one alone, again and again until the store takes it (or refuses it for good)."""
        pause = FIRST_PAUSE
        while True:
            try:
                await self._store.accept(first)
            except AmrError as error:
                if not error.transient:
                    break
                self._away = True
                log.debug("the store is still away: %s", error)
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
            else:
                break
        self._away = False

    async def _bring(self, rows: Sequence[tuple[int, bytes]], deliveries: Sequence[Delivery]) -> list[int]:
        """Put all of them; gives the ids of those that are stored (or quarantined) for good."""
        stored = [await self._store.put(delivery) for delivery in deliveries]
        await asyncio.wait(stored)
        done = []
        for (number, _), delivery, outcome in zip(rows, deliveries, stored, strict=True):
            if not outcome.cancelled() and outcome.exception() is None:
                done.append(number)
            else:
                log.error("a poll from %s stays in the spool: %r", delivery.origin, outcome)
        return done

    async def _tell_losses(self) -> None:
        """Polls that were dropped or refused are told as missed, with the cause."""
        lost, refused = await self.spool.lost(), dict(self._refused)  # more may come while these are told
        contacts = [_told(one) for one in lost if not one.series.startswith(NEWS)] + list(refused.values())
        if contacts:
            stored = await self._store.put(Delivery("spool", contacts=contacts))
            await stored
            self._refused = {meter: one for meter, one in self._refused.items() if one is not refused.get(meter)}
        if lost:
            await self.spool.forget_lost(lost)

    def _note_refused(self, deliveries: Sequence[Delivery], error: SpoolFailed) -> None:
        """One stretch a meter: from its first refused poll to its last."""
        for delivery in deliveries:
            for reading in delivery.readings[:1]:
                earlier = self._refused.get(reading.meter)
                since = reading.taken_at if earlier is None else earlier.since
                self._refused[reading.meter] = Contact(
                    reading.meter, reading.taken_at, error.code, str(error), since=since
                )


def _told(one: Lost) -> Contact:
    return Contact(meter_of(one.series), one.until, one.cause, _DETAIL.get(one.cause), since=one.since)


def _read(body: bytes) -> Delivery:
    """What a damaged disk made unreadable goes to quarantine, raw."""
    try:
        return read(body)
    except Malformed as error:
        return Delivery("spool", rejects=[Reject("spool_unreadable", str(error), body)])


async def drain_orphans(folder: Path, store: Store) -> None:
    """Bring in what processes left that ended and did not start again, once; their spools are taken while it lasts."""
    with orphans(folder) as paths:
        for path in paths:
            async with Spool(path) as spool:
                if spool.depth():
                    log.warning("bringing in %d polls that an earlier process left in %s", spool.depth(), path)
                    await Spooling(spool, store).drain()
