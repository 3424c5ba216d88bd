"""Filling gaps in a line's spare time: what the plan asks for, one short question at a time, never late for a poll."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Protocol, runtime_checkable

from collectors.archive import Kind, Recall
from collectors.catalog import Catalog
from collectors.iec_data import NotThere
from collectors.link import Answer, LineDown, Link
from collectors.looks import LOOK_AGAIN, SET_ASIDE, Filling, Looks, Shelf, Spawn
from collectors.serial_talk import Unsupported
from ingest.delivery import Delivery
from ingest.errors import AmrError
from ingest.model import Line, Polled

log = logging.getLogger(__name__)

BREATH = timedelta(seconds=5)
"""The least pause between two looks: what was just delivered is stored meanwhile."""


def utc_now() -> datetime:
    """The real clock."""
    return datetime.now(UTC)


@runtime_checkable
class Recalls(Protocol):
    """A link that can ask memories."""

    async def recall(self, meter: Polled, recall: Recall) -> Answer:
        """NotThere or Unsupported when the meter does not have it; other errors as `Link.read`."""
        ...


class Backfill:
    """The spare time of one line. `share` of that time may be used; the rest stays silent."""

    def __init__(
        self,
        line: Line,
        catalog: Catalog,
        shelf: Shelf,
        now: Callable[[], datetime] = utc_now,
        *,
        share: float = 0.5,
        spawn: Spawn = asyncio.create_task,
    ) -> None:
        if not 0 < share <= 1:
            raise ValueError(f"share {share} of the spare time must be above 0 and at most 1")
        self._line = line
        self._catalog = catalog
        self._looks = Looks(line, catalog, shelf, spawn)
        self._now = now
        self._share = share
        self._turn = 0
        self.ready_at: datetime | None = None
        """When there may be something to do next; None before the first look."""

    async def use(self, link: Link, meters: Sequence[Polled], until: datetime | None) -> Delivery | None:
        """Ask one question that is surely answered before `until`; None when there was none, no time or no answer.

        `meters` are those that answer their polls. `ready_at` says when to come again. Raises LineDown only.
        """
        began = self._now()
        await self._looks.look(meters, began, wait=until is None or began + BREATH < until)
        filling = self._next(meters, began, until) if isinstance(link, Recalls) else None
        if filling is None or not isinstance(link, Recalls):
            self.ready_at = max(self._again(meters, began, until), began + BREATH)
            return None
        try:
            return await self._ask(link, filling, began)
        finally:
            ended = self._now()
            filling.cost = max(ended - began, filling.cost * 3 / 4)
            self.ready_at = ended + (ended - began) * (1 / self._share - 1)

    def _again(self, meters: Sequence[Polled], now: datetime, until: datetime | None) -> datetime:
        """When to come again: after the poll that left no room, or when the store is to be looked at."""
        if self._looks.under_way:
            return now
        fillings = self._looks.of(meters)
        if until is not None and any(one.questions for one in fillings):
            return until
        return min((one.look_at for one in fillings), default=now + LOOK_AGAIN)

    def _next(self, meters: Sequence[Polled], now: datetime, until: datetime | None) -> Filling | None:
        """The meter whose question fits in; they take turns, registers of all before profiles of any."""
        ready = [
            one for one in self._looks.of(meters) if one.questions and (until is None or now + 2 * one.cost < until)
        ]
        if not ready:
            return None
        profiles = all(one.questions[0].kind is Kind.PROFILE for one in ready)
        ready = [one for one in ready if profiles or one.questions[0].kind is not Kind.PROFILE]
        self._turn += 1
        return ready[self._turn % len(ready)]

    async def _ask(self, link: Recalls, filling: Filling, now: datetime) -> Delivery | None:
        recall, meter = filling.questions[0], filling.meter
        try:
            answer = await link.recall(meter, recall)
        except LineDown:
            raise
        except (NotThere, Unsupported) as error:
            log.info("meter %s on line %s has no %s as asked: %s", meter.serial, self._line.name, recall.kind, error)
            answer = Answer({})
        except AmrError as error:
            log.info("meter %s on line %s is set aside: %s", meter.serial, self._line.name, error)
            filling.questions.clear()
            filling.look_at = now + SET_ASIDE
            return None
        if recall in filling.questions:  # unless the store was looked at meanwhile
            filling.questions.remove(recall)
        self._remember(filling, recall, answer)
        if not filling.questions:
            filling.look_at = min(filling.look_at, now + BREATH)
        if not answer.readings and not answer.intervals and not answer.rejects:
            return None
        origin = f"archive:{self._line.name}/{meter.address}"
        return Delivery(origin, readings=answer.readings, intervals=answer.intervals, rejects=answer.rejects)

    def _remember(self, filling: Filling, recall: Recall, answer: Answer) -> None:
        """What did not come, or came twice and was not kept by the store, is not asked for again by this process."""
        if recall.kind is not Kind.PROFILE:
            came = {recall.begin} if answer.readings else set()
            asked = [recall.begin]
        else:
            model = self._catalog.serial_model(filling.meter.model)
            assert model is not None
            length = model.depth.length
            came = {interval.start for interval in answer.intervals}
            asked = [recall.begin + step * length for step in range((recall.end - recall.begin) // length)]
        for key in ((recall.kind, at) for at in asked):
            if key[1] not in came:
                filling.tried[key] = "not_kept"
            elif key in filling.came:
                filling.tried[key] = "not_stored"
            filling.came.add(key)
