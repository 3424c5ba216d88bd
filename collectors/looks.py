"""Looking at the store for what is missing of a line's meters, beside its polls: a slow store delays none.

The plan is made anew from the store from time to time, so that a restart, or a question whose answer was not stored,
costs nothing but asking again.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from collectors.archive import Depth, Kind, Recall
from collectors.backfill import READY, Scope, midnight, plan, wanted
from collectors.catalog import Catalog
from collectors.meter_options import options_of
from ingest.errors import AmrError, StoreUnavailable
from ingest.gaps import Gap, Held, Wanted
from ingest.model import Line, Polled

log = logging.getLogger(__name__)

LOOK_AGAIN = timedelta(hours=1)
"""How often the store is looked at; and soon after each midnight."""

LOOK_SELDOM = timedelta(hours=6)
"""The same for a meter without a memory: nothing can be asked of it."""

LOOK_WAIT = 0.05
"""Real seconds that a look is waited for; after that the line goes on, and the look beside it."""

SET_ASIDE = timedelta(minutes=10)
"""How long a meter that answered badly is left to its polls, and a store that is away to itself."""

FIRST_COST = timedelta(seconds=4)
"""How long a question is taken to last until one of that meter was measured."""


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
class Filling:
    """One meter's gaps: what is to be asked, and what is known of it.

    `tried` is what asking for again is useless and why, `came` what was asked for; `complete` is until when everything
    was found at the last look.
    """

    meter: Polled
    look_at: datetime
    cost: timedelta = FIRST_COST
    questions: deque[Recall] = field(default_factory=deque)
    tried: dict[tuple[Kind, datetime], str] = field(default_factory=dict)
    came: set[tuple[Kind, datetime]] = field(default_factory=set)
    lost: tuple[Gap, ...] | None = None
    complete: datetime | None = None


class Looks:
    """What is missing of the meters of one line, as far as it is known."""

    def __init__(self, line: Line, catalog: Catalog, shelf: Shelf, spawn: Spawn) -> None:
        self._line = line
        self._catalog = catalog
        self._shelf = shelf
        self._spawn = spawn
        self._looking: asyncio.Task[None] | None = None
        self._fillings: dict[str, Filling] = {}

    @property
    def under_way(self) -> bool:
        """Whether a look goes on beside the line."""
        return self._looking is not None

    def of(self, meters: Sequence[Polled]) -> list[Filling]:
        """The gaps of meters that were looked at, in their order."""
        return [self._fillings[meter.serial] for meter in meters if meter.serial in self._fillings]

    async def look(self, meters: Sequence[Polled], now: datetime, *, wait: bool = True) -> None:
        """See to it that the meters whose time has come are planned anew; the plan may come later.

        Without `wait` it does, or when the look takes longer than a moment.
        """
        for meter in meters:
            filling = self._fillings.get(meter.serial)
            if filling is None or filling.meter != meter:
                self._fillings[meter.serial] = Filling(meter, now)
        if self._looking is None:
            due = [one for meter in meters if (one := self._fillings[meter.serial]).look_at <= now]
            if not due:
                return
            self._looking = self._spawn(self._plan_all(due, now))
        if wait:
            await asyncio.wait([self._looking], timeout=LOOK_WAIT)
        if self._looking.done():
            self._looking = None

    async def _plan_all(self, fillings: Sequence[Filling], now: datetime) -> None:
        for number, filling in enumerate(fillings):
            try:
                await self._plan(filling, now)
            except StoreUnavailable as error:  # for the next meter too
                left = fillings[number:]
                log.warning("line %s: the gaps of %d meters are not known: %s", self._line.name, len(left), error)
                for one in left:
                    one.look_at = now + SET_ASIDE
                return
            except AmrError as error:
                log.warning(
                    "meter %s on line %s: its gaps are not known: %s", filling.meter.serial, self._line.name, error
                )
            except Exception:  # a fault of ours in one plan must end neither the other plans nor the polls
                log.exception("meter %s on line %s: its gaps are not known", filling.meter.serial, self._line.name)

    async def _plan(self, filling: Filling, now: datetime) -> None:
        meter = filling.meter
        filling.look_at = now + LOOK_AGAIN
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

    def _scope(self, filling: Filling, now: datetime) -> Scope:
        meter = filling.meter
        model = self._catalog.serial_model(meter.model)
        if model is None:
            return Scope(Depth(), ZoneInfo(meter.zone), meter.period, now, filling.complete)
        zone = options_of(self._line, meter, model.passwords).zone
        return Scope(model.depth, zone, meter.period, now, filling.complete, filling.tried)


def next_look(scope: Scope) -> datetime:
    """When to look again: once the registers of the coming midnight are filed away, at the latest."""
    if scope.depth == Depth():
        return scope.now + LOOK_SELDOM
    tomorrow = scope.now.astimezone(scope.zone).date() + timedelta(days=1)
    return min(scope.now + LOOK_AGAIN, midnight(tomorrow, scope.zone) + 2 * READY)
