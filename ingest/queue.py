"""The queue at the door: bounded by rows, not deliveries, so that memory stays bounded whatever a gateway sends."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from ingest.delivery import Delivery, Outcome
from ingest.errors import Misconfigured


@dataclass(slots=True)
class Waiting:
    """A delivery in the queue; `done` None: nobody waits to hear of it."""

    delivery: Delivery
    done: asyncio.Future[Outcome] | None
    since: float
    size: int


@dataclass(frozen=True, slots=True)
class Depth:
    """How full the queue is: rows waiting, its capacity, the age in seconds of the oldest delivery (0 when empty)."""

    rows: int
    capacity: int
    oldest: float


class Queue:
    """Deliveries in the order in which they came, and the batches taken from it.

    A batch is closed at `batch` rows or `max_wait` seconds after its first delivery.
    """

    def __init__(self, capacity: int, batch: int, max_wait: float) -> None:
        if batch < 1 or capacity < 1:
            raise Misconfigured(f"batch {batch} and capacity {capacity} of the intake must be at least 1")
        self._capacity = capacity
        self._batch = batch
        self._max_wait = max_wait
        self._waiting: deque[Waiting] = deque()
        self._rows = 0
        self._in_hand = 0
        self._changed = asyncio.Condition()
        self._arrived = asyncio.Event()
        """Something to begin a batch with, or enough to close one."""

    @property
    def depth(self) -> Depth:
        """How full it is."""
        oldest = time.monotonic() - self._waiting[0].since if self._waiting else 0.0
        return Depth(self._rows, self._capacity, oldest)

    async def put(self, delivery: Delivery, done: asyncio.Future[Outcome]) -> None:
        """Wait for room for it."""
        size = delivery.size
        if not self._has_room(size):
            async with self._changed:
                await self._changed.wait_for(lambda: self._has_room(size))
        self._add(delivery, size, done)

    def offer(self, delivery: Delivery) -> bool:
        """Add it if there is room."""
        size = delivery.size
        if not self._has_room(size):
            return False
        self._add(delivery, size, None)
        return True

    def _has_room(self, size: int) -> bool:
        return not self._rows or self._rows + size <= self._capacity

    def _add(self, delivery: Delivery, size: int, done: asyncio.Future[Outcome] | None) -> None:
        self._waiting.append(Waiting(delivery, done, time.monotonic(), size))
        self._rows += size
        if self._rows >= self._batch or len(self._waiting) == 1:
            self._arrived.set()

    async def take(self) -> list[Waiting]:
        """The next batch; it is in hand until it is let go."""
        while not self._waiting:
            self._arrived.clear()
            await self._arrived.wait()
        due = self._waiting[0].since + self._max_wait - time.monotonic()
        if due > 0 and self._rows < self._batch:
            with contextlib.suppress(TimeoutError):  # closed by age
                async with asyncio.timeout(due):  # not wait_for: in Python 3.11 it may swallow a cancellation
                    while self._rows < self._batch:
                        self._arrived.clear()
                        await self._arrived.wait()
        async with self._changed:
            batch: list[Waiting] = []
            rows = 0
            while self._waiting and (not batch or rows + self._waiting[0].size <= self._batch):
                batch.append(self._waiting.popleft())
                rows += batch[-1].size
            self._rows -= rows
            self._in_hand += len(batch)
            self._changed.notify_all()
            return batch

    async def let_go(self, batch: Sequence[Waiting]) -> None:
        """It is stored, or given up."""
        async with self._changed:
            self._in_hand -= len(batch)
            self._changed.notify_all()

    async def emptied(self) -> None:
        """Wait until nothing waits and nothing is in hand."""
        async with self._changed:
            await self._changed.wait_for(lambda: not self._waiting and not self._in_hand)
