"""Filling gaps in a line's spare time: what the plan asks for, one short question at a time, never late for a poll.

The plan is made anew from the store from time to time, so that a restart, or a question whose answer was not stored,
costs nothing but asking again. The store is looked at beside the line's work: a slow one delays no poll.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol, runtime_checkable
from zoneinfo import ZoneInfo

from collectors.archive import Depth, Kind, Recall
from collectors.backfill import READY, Scope, midnight, plan, wanted
from collectors.catalog import Catalog
from collectors.iec_data import NotThere
from collectors.link import Answer, LineDown, Link
from collectors.meter_options import options_of
from collectors.serial_talk import Unsupported
from ingest.delivery import Delivery
from ingest.errors import AmrError
from ingest.gaps import Gap, Held, Wanted
from ingest.model import Line, Polled

log = logging.getLogger(__name__)

FIRST_COST = timedelta(seconds=4)
"""How long a question is taken to last until one of that meter was measured."""

LOOK_AGAIN = timedelta(hours=1)
"""How often the store is looked at; and soon after each midnight."""

LOOK_SELDOM = timedelta(hours=6)
"""The same for a meter without a memory: nothing can be asked of it."""

LOOK_WAIT = 0.05
"""Real seconds that a look is waited for; after that the line goes on, and the look beside it."""

SET_ASIDE = timedelta(minutes=10)
"""How long a meter that answered badly is left to its polls."""

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


class Shelf(Protocol):
    """What the store has of a meter, and where losses are told."""

    async def held(self, meter: str, wanted: Wanted) -> Held:
        """Which of the wanted midnights, intervals and polls are stored. Errors are of `ingest.errors`."""
        ...

    async def lost(self, meter: str, gaps: Sequence[Gap], looked: Wanted) -> None:
        """What stays missing of the time looked at, told when it changes; empty when all is well again."""
        ...


Spawn = Callable[[Coroutine[Any, Any, None]], "asyncio.Task[None]"]
"""Starts a task that ends with whoever gave this."""


@dataclass(slots=True)
class _Filling:
    """One meter's gaps. `complete` is until when everything was found at the last look."""

    meter: Polled
    look_at: datetime
    cost: timedelta = FIRST_COST
    questions: deque[Recall] = field(default_factory=deque)
    tried: dict[tuple[Kind, datetime], str] = field(default_factory=dict)
    came: set[tuple[Kind, datetime]] = field(default_factory=set)
    lost: tuple[Gap, ...] | None = None
    complete: datetime | None = None


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
        self._shelf = shelf
        self._now = now
        self._share = share
        self._spawn = spawn
        self._looking: asyncio.Task[None] | None = None
        self._fillings: dict[str, _Filling] = {}
        self._turn = 0
        self.ready_at: datetime | None = None
        """When there may be something to do next; None before the first look."""

    def missing(self, serial: str) -> tuple[Gap, ...]:
        """What stays missing of a meter, by the last look."""
        filling = self._fillings.get(serial)
        return (filling.lost or ()) if filling else ()

    async def use(self, link: Link, meters: Sequence[Polled], until: datetime | None) -> Delivery | None:
        """Ask one question that is surely answered before `until`; None when there was none, no time or no answer.

        `meters` are those that answer their polls. `ready_at` says when to come again. Raises LineDown only.
        """
        began = self._now()
        await self._look(meters, began)
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
        if self._looking is not None:
            return now
        fillings = [self._fillings[meter.serial] for meter in meters]
        if until is not None and any(one.questions for one in fillings):
            return until
        return min((one.look_at for one in fillings), default=now + LOOK_AGAIN)

    async def _look(self, meters: Sequence[Polled], now: datetime) -> None:
        """See to it that the meters whose time has come are planned anew; the plan may come later."""
        for meter in meters:
            filling = self._fillings.get(meter.serial)
            if filling is None or filling.meter != meter:
                self._fillings[meter.serial] = _Filling(meter, now)
        if self._looking is None:
            due = [one for meter in meters if (one := self._fillings[meter.serial]).look_at <= now]
            if not due:
                return
            self._looking = self._spawn(self._plan_all(due, now))
        await asyncio.wait([self._looking], timeout=LOOK_WAIT)
        if self._looking.done():
            self._looking = None

    async def _plan_all(self, fillings: Sequence[_Filling], now: datetime) -> None:
        for filling in fillings:
            try:
                await self._plan(filling, now)
            except Exception:  # a fault of ours in one plan must end neither the other plans nor the polls
                log.exception("meter %s on line %s: its gaps are not known", filling.meter.serial, self._line.name)

    async def _plan(self, filling: _Filling, now: datetime) -> None:
        meter = filling.meter
        filling.look_at = now + LOOK_AGAIN
        try:
            scope = self._scope(filling, now)
            asked = wanted(scope)
            made = plan(scope, await self._shelf.held(meter.serial, asked))
            filling.questions = deque(made.questions)
            filling.look_at = next_look(scope)
            if not made.questions and not made.lost:
                filling.complete = asked.until
            if made.lost != filling.lost:
                await self._shelf.lost(meter.serial, made.lost, asked)
                filling.lost = made.lost
        except AmrError as error:
            log.warning("meter %s on line %s: its gaps are not known: %s", meter.serial, self._line.name, error)

    def _scope(self, filling: _Filling, now: datetime) -> Scope:
        meter = filling.meter
        model = self._catalog.serial_model(meter.model)
        if model is None:
            return Scope(Depth(), ZoneInfo(meter.zone), meter.period, now, filling.complete)
        zone = options_of(self._line, meter, model.passwords).zone
        return Scope(model.depth, zone, meter.period, now, filling.complete, filling.tried)

    def _next(self, meters: Sequence[Polled], now: datetime, until: datetime | None) -> _Filling | None:
        """The meter whose question fits in; they take turns, registers of all before profiles of any."""
        ready = [
            one
            for meter in meters
            if (one := self._fillings[meter.serial]).questions and (until is None or now + 2 * one.cost < until)
        ]
        if not ready:
            return None
        profiles = all(one.questions[0].kind is Kind.PROFILE for one in ready)
        ready = [one for one in ready if profiles or one.questions[0].kind is not Kind.PROFILE]
        self._turn += 1
        return ready[self._turn % len(ready)]

    async def _ask(self, link: Recalls, filling: _Filling, now: datetime) -> Delivery | None:
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

    def _remember(self, filling: _Filling, recall: Recall, answer: Answer) -> None:
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


def next_look(scope: Scope) -> datetime:
    """When to look at the store again: soon after the registers of the coming midnight are filed away, at the latest."""
    if scope.depth == Depth():
        return scope.now + LOOK_SELDOM
    tomorrow = scope.now.astimezone(scope.zone).date() + timedelta(days=1)
    return min(scope.now + LOOK_AGAIN, midnight(tomorrow, scope.zone) + 2 * READY)
