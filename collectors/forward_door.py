"""The door of a collector without a store: what lines bring is answered when it is on disk, not what it is worth."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime

from collectors.forward_payload import item_of
from collectors.spool import Spool, SpoolFailed
from ingest.delivery import Delivery, Outcome

log = logging.getLogger(__name__)

CAPACITY = 20_000
"""Deliveries that wait in memory for the disk."""

_TOGETHER = 1000


class DiskDoor:
    """`put` and `offer` like the intake's. `kept` is called with every item on disk: its number and its body."""

    def __init__(self, spool: Spool, kept: Callable[[int, bytes], None]) -> None:
        self.kept = 0
        self.refused = 0
        self._spool = spool
        self._tell = kept
        self._pending: deque[tuple[Delivery, asyncio.Future[Outcome] | None]] = deque()
        self._came = asyncio.Event()
        self._room = asyncio.Event()

    async def put(self, delivery: Delivery) -> asyncio.Future[Outcome]:
        """Wait for room in memory; the future is done when the delivery is on disk, or holds why it is not."""
        while len(self._pending) >= CAPACITY:
            self._room.clear()
            await self._room.wait()
        done: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._pending.append((delivery, done))
        self._came.set()
        return done

    def offer(self, delivery: Delivery) -> bool:
        """Take it if there is room; should the disk refuse it, the log tells."""
        if len(self._pending) >= CAPACITY:
            return False
        self._pending.append((delivery, None))
        self._came.set()
        return True

    async def run(self) -> None:
        """Write what is put until cancelled; what was put by then is still written."""
        writing: asyncio.Task[None] | None = None
        try:
            while True:
                await self._came.wait()
                self._came.clear()
                while self._pending:
                    writing = asyncio.create_task(self._write())
                    await asyncio.shield(writing)  # a cancellation must not part what is written from its answer
        finally:
            if writing is not None:
                await writing
            while self._pending:
                await self._write()

    async def _write(self) -> None:
        taken = [self._pending.popleft() for _ in range(min(len(self._pending), _TOGETHER))]
        self._room.set()
        items = [item_of(delivery, datetime.now(UTC)) for delivery, _ in taken]
        try:
            ids = await self._spool.put(items)
        except SpoolFailed as error:
            self.refused += len(taken)
            log.error("%d deliveries are lost: %s", len(taken), error)
            for _, done in taken:
                if done is not None and not done.done():
                    done.set_exception(error)
            return
        self.kept += len(taken)
        for (delivery, done), item, number in zip(taken, items, ids, strict=True):
            self._tell(number, item.body)
            if done is not None and not done.done():
                done.set_result(Outcome(rejected=len(delivery.rejects), stored=False, kept=True))
