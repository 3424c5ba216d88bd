"""The door for what cannot be asked for again: when the store is away or too slow, it is put somewhere durable instead.

Polls pass here. A message of a broker does not need it: it waits at the broker.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Protocol

from ingest.delivery import Delivery, Outcome
from ingest.errors import AmrError
from ingest.intake import Intake
from ingest.queue import Waiting
from ingest.store import ReadingStore
from ingest.tracks import Ahead

log = logging.getLogger(__name__)

PATIENCE = timedelta(seconds=2)
"""So long a transaction may take before what it stores is put on disk too: a frozen server gives no error."""


class Refuge(Protocol):
    """Where deliveries wait for the store, durably (`collectors.spooling.Spooling`)."""

    @property
    def away(self) -> bool:
        """Whether the store is known to be away, so that trying it would only take time."""

    async def keep(self, deliveries: Sequence[Delivery]) -> None:
        """Durable on return. Raises AmrError when nothing of it could be kept."""


class SparedIntake(Intake):
    """An intake that waits for nobody: each delivery is committed, or kept in the refuge, or refused with an error."""

    def __init__(self, store: ReadingStore, refuge: Refuge, *, patience: timedelta = PATIENCE, **options: Any) -> None:
        super().__init__(store, **options)
        self._refuge = refuge
        self._patience = patience.total_seconds()
        self._stuck: asyncio.Task[list[Outcome]] | None = None

    async def _store_stubbornly(self, batch: Sequence[Waiting], ahead: Ahead | None = None) -> None:
        """Store a batch, or keep it. What was committed too late is stored twice, which natural keys make harmless."""
        deliveries = [waiting.delivery for waiting in batch]
        try:
            outcomes = await self._store_in_time(deliveries, ahead)
        except AmrError as error:
            if not error.transient:
                await self._isolate(batch, error)
                return
            log.debug("%d deliveries are kept for later: %s", len(batch), error)
            outcomes = None
        except Exception as error:  # noqa: BLE001 - one delivery that breaks us must not stop the others
            await self._isolate(batch, error)
            return
        if outcomes is None:
            await self._keep(batch)
            return
        for waiting, outcome in zip(batch, outcomes, strict=True):
            _answer(waiting, outcome)

    async def _store_in_time(self, deliveries: Sequence[Delivery], ahead: Ahead | None) -> list[Outcome] | None:
        """The outcomes, or None when the store is away. A transaction that hangs is left to itself, not waited for."""
        if self._refuge.away or (self._stuck is not None and not self._stuck.done()):
            if ahead is not None:
                self._tracks.distrust(deliveries)
            return None
        storing = asyncio.create_task(self._store_once(deliveries, ahead), name="batch")
        try:
            done, _ = await asyncio.wait([storing], timeout=self._patience)
        except asyncio.CancelledError:
            storing.cancel()
            raise
        if done:
            return storing.result()
        log.warning("the store takes longer than %.1f s: polls are kept on disk until it is back", self._patience)
        self._stuck = storing
        storing.add_done_callback(_hear)
        return None

    async def _keep(self, batch: Sequence[Waiting]) -> None:
        try:
            await self._refuge.keep([waiting.delivery for waiting in batch])
        except AmrError as error:
            for waiting in batch:
                if waiting.done is None:
                    log.error("what %s brought is lost: %s", waiting.delivery.origin, error)
                elif not waiting.done.done():
                    waiting.done.set_exception(error)
        else:
            for waiting in batch:
                _answer(waiting, Outcome([], len(waiting.delivery.rejects), stored=False, kept=True))


def _answer(waiting: Waiting, outcome: Outcome) -> None:
    if waiting.done is not None and not waiting.done.done():
        waiting.done.set_result(outcome)


def _hear(task: asyncio.Task[list[Outcome]]) -> None:
    """Nobody waits for a transaction that came too late; whatever it ended with, its deliveries are kept."""
    if not task.cancelled() and (error := task.exception()):
        log.info("a transaction that hung was given up: %s", error)
