"""The door: every value becomes a reading and passes here, whoever brings it.

Machines `put` into a bounded queue and learn by a future when their delivery is committed. People and files `accept`,
without the queue, and hear the verdict.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from ingest.batch import store_batch
from ingest.delivery import Delivery, Fate, Outcome, Reject, Verdict
from ingest.errors import AmrError, Misconfigured
from ingest.halves import halves, joined
from ingest.model import IntervalReading, Quality, Reading
from ingest.outage import Outage
from ingest.queue import Depth, Queue, Waiting
from ingest.store import ReadingStore, Stale
from ingest.tally import Stored
from ingest.tracks import Ahead, Tracks
from ingest.written_out import kept_of

log = logging.getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 15.0
HEAD_START = 0.005
"""Seconds in which a batch is sent, so that the server is at work on it while the next one is sorted."""


def utc_now() -> datetime:
    """The wall clock, aware."""
    return datetime.now(UTC)


class _Doubtful(Exception):
    """Leaves a transaction without keeping what it wrote: somebody should confirm it first."""

    def __init__(self, verdicts: list[Verdict]) -> None:
        super().__init__("doubtful readings")
        self.verdicts = verdicts


def _check_believed(outcomes: Sequence[Outcome]) -> None:
    verdicts = [verdict for outcome in outcomes for verdict in outcome.verdicts]
    if any(verdict.quality is Quality.SUSPECT for verdict in verdicts):
        raise _Doubtful(verdicts)


class _Taken(NamedTuple):
    """A batch in hand; `ahead` is how it was sorted already."""

    batch: list[Waiting]
    ahead: Ahead | None = None


async def _ended(task: asyncio.Task[_Taken] | None) -> list[Waiting]:
    """End it, and give what it had taken."""
    if task is None:
        return []
    task.cancel()
    await asyncio.wait([task])
    return [] if task.cancelled() else task.result().batch


class Intake:
    """The bounded queue in front of the store, and the batches taken from it.

    A batch is closed at `batch` rows or `max_wait` seconds after its first delivery. While the store is unavailable
    the batch in hand is tried again with growing, jittered pauses, and the queue fills up behind it: `put` then waits,
    which is how back-pressure reaches whoever polls or subscribes.
    """

    def __init__(
        self,
        store: ReadingStore,
        *,
        capacity: int = 100_000,
        batch: int = 10_000,
        max_wait: float = 0.05,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._store = store
        self._queue = Queue(capacity, batch, max_wait)
        self._now = now
        self.tally = Stored()
        self._tracks = Tracks()
        self._remembering = False
        self._number = 0
        self._away = Outage(log)

    @property
    def depth(self) -> Depth:
        """The state of the queue, for metrics and readiness."""
        return self._queue.depth

    async def put(self, delivery: Delivery) -> asyncio.Future[Outcome]:
        """Wait for room, and give a future that is done after the commit, or holds the error that prevented it."""
        done: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        await self._queue.put(delivery, done)
        return done

    def offer(self, delivery: Delivery) -> bool:
        """Take it at once if there is room; nobody hears of its commit, what prevents that is told in the log."""
        return self._queue.offer(delivery)

    async def accept(self, delivery: Delivery, *, doubtful: bool = True) -> Outcome:
        """Judge, store and answer at once.

        With `doubtful` False nothing at all is kept when any reading would be suspect: the outcome then has `stored`
        False and its verdicts say why, so that a person can be asked to confirm.
        """
        try:
            [outcome] = await self._store_once([delivery], doubtful=doubtful)
        except _Doubtful as doubt:
            return Outcome(doubt.verdicts, len(delivery.rejects), stored=False)
        return outcome

    async def run(self) -> None:
        """Store batches until cancelled, each sorted while the one before it is written.

        What is in hand at the end is not committed and its futures say so.
        """
        taken = _Taken([])
        following: asyncio.Task[_Taken] | None = None
        try:
            while True:
                taken = await (following or self._take())
                # Behind a batch whose series have to be looked up nothing can be sorted before it is written.
                following = asyncio.create_task(self._take(HEAD_START)) if taken.ahead is not None else None
                self._number += 1
                await self._store_stubbornly(taken.batch, taken.ahead)
                await self._queue.let_go(taken.batch)
                taken = _Taken([])
        finally:
            given_up = [*taken.batch, *await _ended(following)]
            for waiting in given_up:
                if waiting.done is not None:
                    waiting.done.cancel()
            await self._queue.let_go(given_up)

    async def _take(self, head_start: float = 0) -> _Taken:
        """The next batch, sorted if all of its series are remembered; the one before gets to the server first."""
        if head_start:
            await asyncio.sleep(head_start)
        batch = await self._queue.take()
        deliveries = [waiting.delivery for waiting in batch]
        try:
            return _Taken(batch, self._tracks.sort_ahead(deliveries, self._now()))
        except Exception:  # noqa: BLE001 - one delivery that breaks us is found and set aside when it is written
            self._tracks.distrust(deliveries)
            return _Taken(batch)

    async def drain(self) -> None:
        """Wait until everything put so far is committed."""
        await self._queue.emptied()

    async def _store_stubbornly(self, batch: Sequence[Waiting], ahead: Ahead | None = None) -> None:
        """Store a batch, waiting out a store that is away; halve a refused one until the bad delivery is alone."""
        pause = FIRST_PAUSE
        while True:
            try:
                outcomes = await self._store_once([waiting.delivery for waiting in batch], ahead)
            except AmrError as error:
                if not error.transient:
                    await self._isolate(batch, error)
                    return
                self.tally.retries += 1
                what = "the store is unavailable, %d deliveries wait: %s"
                self._away.told(what, len(batch), error, **self._where())
                await asyncio.sleep(pause * random.uniform(0.5, 1.5))
                pause = min(2 * pause, LONGEST_PAUSE)
            except Exception as error:  # noqa: BLE001 - one delivery that breaks us must not stop the others
                await self._isolate(batch, error)
                return
            else:
                self._away.over("the store is back")
                for waiting, outcome in zip(batch, outcomes, strict=True):
                    if waiting.done is not None and not waiting.done.done():
                        waiting.done.set_result(outcome)
                return

    def _where(self) -> dict[str, object]:
        """The batch in hand, counted since the start: what belongs together in a log."""
        return {"batch": self._number}

    async def _store_once(
        self, deliveries: Sequence[Delivery], ahead: Ahead | None = None, *, doubtful: bool = True
    ) -> list[Outcome]:
        """One transaction, by what is remembered of the series; another one if that was out of date.

        What was looked up anew and is out of date again is judged thoroughly. The memory serves one transaction at a
        time: what another has in hand may yet be given up.
        """
        if self._remembering:
            if ahead is not None:
                self._tracks.distrust(deliveries)
            return await self._transaction(deliveries, None, None, doubtful=doubtful)
        self._remembering = True
        try:
            for sorted_before in (ahead, None):
                with contextlib.suppress(Stale):
                    return await self._transaction(deliveries, self._tracks, sorted_before, doubtful=doubtful)
                self._tracks.distrust(deliveries)
                log.debug("another writer moved a series or changed the fleet; the batch is looked at again")
        except BaseException:
            self._tracks.distrust(deliveries)
            raise
        finally:
            self._remembering = False
        return await self._transaction(deliveries, None, None, doubtful=doubtful)

    async def _transaction(
        self, deliveries: Sequence[Delivery], tracks: Tracks | None, ahead: Ahead | None, *, doubtful: bool
    ) -> list[Outcome]:
        begun = time.monotonic()
        async with self._store.batch() as work:
            outcomes = await store_batch(work, deliveries, self._now(), tracks, ahead)
            if not doubtful:
                _check_believed(outcomes)
        self._count(outcomes, time.monotonic() - begun)
        return outcomes

    def _count(self, outcomes: Sequence[Outcome], seconds: float) -> None:
        self.tally.batches += 1
        self.tally.commits.add(seconds)
        for outcome in outcomes:
            self.tally.readings += len(outcome.verdicts)
            self.tally.rejects += outcome.rejected

    async def _isolate(self, batch: Sequence[Waiting], error: Exception) -> None:
        if len(batch) > 1:
            middle = len(batch) // 2
            await self._store_stubbornly(batch[:middle])
            await self._store_stubbornly(batch[middle:])
            return
        [alone] = batch
        try:
            outcome = await self._in_pieces(alone, error)
        except AmrError as second:
            if alone.done is None:
                log.error("a delivery from %s was not stored: %s", alone.delivery.origin, second, extra=self._where())
            elif not alone.done.done():
                alone.done.set_exception(second)
        else:
            if alone.done is not None and not alone.done.done():
                alone.done.set_result(outcome)

    async def _in_pieces(self, alone: Waiting, error: Exception) -> Outcome:
        """Store what can be stored of a delivery the store refused whole; what cannot be goes to quarantine."""
        pieces = halves(alone.delivery)
        if pieces is None or isinstance(error, Misconfigured):  # a wrong schema refuses every piece alike
            what = "something from %s cannot be stored and goes to quarantine: %s"
            log.error(what, alone.delivery.origin, error, extra=self._where())
            return await self._quarantine(alone.delivery, error)
        outcomes = []
        for piece in pieces:
            done: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
            await self._store_stubbornly([Waiting(piece, done, alone.since, piece.size)])
            outcomes.append(await done)
        return joined(outcomes)

    async def _quarantine(self, delivery: Delivery, error: Exception) -> Outcome:
        """Keep what the store refused, with the reason; nothing of it is lost."""
        detail = f"{type(error).__name__}: {error}"
        items: list[Reading | IntervalReading] = [*delivery.readings, *delivery.intervals]
        if len(items) == 1:
            refused = Reject("unstorable", detail, kept_of(items[0], delivery), items[0].meter, items[0].channel)
        else:
            refused = Reject("unstorable", detail, delivery.raw or repr(delivery).encode())
        async with self._store.batch() as work:
            rejects = [refused, *delivery.rejects]
            await work.quarantine([(delivery.origin, reject) for reject in rejects])
        verdict = Verdict(Fate.QUARANTINED, Quality.SUSPECT, code="unstorable", detail=detail)
        return Outcome([verdict] * len(delivery.readings), len(delivery.rejects))
