"""All lines of one collector: owners are started, stopped and changed as the fleet changes, without a restart."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from types import TracebackType
from typing import Self

from collectors.clock import Clock
from collectors.line import Owner, report
from collectors.link import Door, Link, Spare
from collectors.patience import Patience
from collectors.poll import contact
from collectors.schedule import SPREAD
from ingest.delivery import Delivery
from ingest.errors import AmrError
from ingest.model import Line, PolledLine
from ingest.tally import Polled as Tally

log = logging.getLogger(__name__)

AFTER_A_FAULT = 5.0
"""Seconds before an owner that failed by a fault of ours is started again."""


@dataclass(slots=True)
class _Running:
    owner: Owner
    task: asyncio.Task[None]


class Lines:
    """Use as `async with Lines(door, make_link) as lines: await lines.update(...)`; leaving it stops every owner."""

    def __init__(
        self,
        door: Door,
        make_link: Callable[[Line], Link],
        clock: Clock | None = None,
        patience: Patience | None = None,
        *,
        spread: timedelta = SPREAD,
        make_spare: Callable[[Line], Spare | None] | None = None,
    ) -> None:
        self._door = door
        self._make_spare = make_spare
        self._make_link = make_link
        self._clock = clock or Clock()
        self._patience = patience or Patience()
        self._spread = spread
        self._running: dict[str, _Running] = {}
        self.tally = Tally()

    async def update(self, lines: Sequence[PolledLine]) -> None:
        """Make the owners match. A line that changed itself gets a new owner; changed meters only a new list.

        A line or meter that cannot work (unknown kind, bad option) is told of by contacts and stops nobody else.
        """
        wanted = {polled.line.name: polled for polled in lines if polled.meters}
        gone = [
            name
            for name, running in self._running.items()
            if name not in wanted or running.owner.line != wanted[name].line
        ]
        await self._stop(gone)
        for name, polled in wanted.items():
            if name in self._running:
                self._running[name].owner.update(polled.meters)
            else:
                await self._start(polled)

    def owner(self, line: str) -> Owner | None:
        """The owner of a line that runs here, for questions ahead of its schedule."""
        running = self._running.get(line)
        return running.owner if running else None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stop(list(self._running))

    async def _start(self, polled: PolledLine) -> None:
        try:
            link = self._make_link(polled.line)
        except AmrError as error:
            log.error("line %s is not polled: %s", polled.line.name, error)
            now = self._clock.now()
            contacts = [contact(meter, now, error) for meter in polled.meters]
            done = await self._door.put(Delivery(f"line:{polled.line.name}", contacts=contacts))
            done.add_done_callback(partial(report, polled.line.name))
            return
        spare = self._make_spare(polled.line) if self._make_spare else None
        owner = Owner(
            polled.line,
            link,
            self._door,
            self._clock,
            self._patience,
            spread=self._spread,
            spare=spare,
            tally=self.tally,
        )
        owner.update(polled.meters)
        task = asyncio.create_task(_stay(owner), name=f"line {polled.line.name}")
        self._running[polled.line.name] = _Running(owner, task)

    async def _stop(self, names: Sequence[str]) -> None:
        tasks = [self._running.pop(name).task for name in names]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _stay(owner: Owner) -> None:
    """A fault of ours on one line is logged with its trace and must not leave the line unattended for good."""
    while True:
        try:
            await owner.run()
        except Exception:
            log.exception("line %s: its owner failed and is started again", owner.line.name)
            await asyncio.sleep(AFTER_A_FAULT)
