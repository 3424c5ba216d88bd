"""The lines of one collector, through every change of the fleet and every outage: which are ours, and who wants what.

What it needs of the database is handed in: an ownership of lines, and the fleet as it changes. With a `Home` it also
works while the database is away, by what it noted there.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from datetime import UTC, datetime
from typing import Any, Protocol

from collectors.catalog import Catalog
from collectors.errands import Tell, do_errand
from collectors.home import Home
from collectors.line import Owner
from collectors.lines import Lines
from ingest.delivery import Outcome
from ingest.errors import Elsewhere, NotFound, StoreUnavailable
from ingest.model import PolledLine

log = logging.getLogger(__name__)

RENEW = 30.0
"""Seconds between two notes of how long the lines may yet be spoken on without the database."""


class Owning(Protocol):
    """Who may speak on which line, as the database decides (storage.ownership)."""

    name: str

    @property
    def lease(self) -> float:
        """Seconds the lines held may yet be spoken on without the database."""

    @property
    def speaking(self) -> frozenset[str]:
        """The lines spoken on."""

    def want(self, lines: Collection[str]) -> None:
        """These lines there are."""

    def resume(self, lines: Collection[str], lease: float) -> None:
        """These were ours when this process stopped, for so many seconds more."""

    def held(self) -> AsyncIterator[frozenset[str]]:
        """The lines held, now and after each change."""

    async def leave(self) -> None:
        """Give them back."""


class Polling:
    """Runs the owners of the lines that are ours. `fleet` gives all lines, again after each change."""

    def __init__(
        self,
        lines: Lines,
        catalog: Catalog,
        ownership: Owning,
        fleet: Callable[[], AsyncIterator[list[PolledLine]]],
        home: Home | None = None,
    ) -> None:
        self._lines = lines
        self._catalog = catalog
        self._ownership = ownership
        self._fleet = fleet
        self._home = home
        self._known: dict[str, PolledLine] = {one.line.name: one for one in home.fleet()} if home else {}
        self._held: frozenset[str] = frozenset()
        self._changing = asyncio.Lock()
        self.changed: Callable[[], None] = lambda: None
        """Called when lines were taken up or given up."""

    @property
    def name(self) -> str:
        """This collector's, for people."""
        return self._ownership.name

    def mine(self) -> Collection[str]:
        """The lines polled here."""
        return self._held & self._known.keys()

    async def run(self) -> None:
        """Until cancelled; then the lines are given back."""
        if self._home is not None:
            self._ownership.want(self._known.keys())
            self._ownership.resume(*self._home.lease(self.name, datetime.now(UTC)))
        try:
            await asyncio.gather(self._follow_fleet(), self._follow_locks(), self._renew_lease())
        finally:
            await self._lines.update([])
            await self._leave()

    async def poll_now(self, line: str, serial: str) -> tuple[datetime, Outcome]:
        """Poll one meter ahead of the schedule. Raises Elsewhere when another collector should be asked."""
        try:
            return await self._owner(line).poll_now(serial)
        except NotFound as error:  # the fleet changed, and this line hears of it in a moment
            raise Elsewhere(str(error)) from error

    async def work_on(self, line: str, kind: str, wanted: Mapping[str, Any], tell: Tell) -> None:
        """Do an errand on a line for somebody at it. Raises Elsewhere as above."""
        await do_errand(self._owner(line), self._catalog, kind, wanted, tell)

    def _owner(self, line: str) -> Owner:
        owner = self._lines.owner(line)
        if owner is None:
            raise Elsewhere(f"line {line} is not owned here")
        return owner

    async def _follow_fleet(self) -> None:
        async for polled in self._fleet():
            self._known = {one.line.name: one for one in polled}
            if self._home is not None:
                await asyncio.to_thread(self._home.keep_fleet, polled)
            self._ownership.want(self._known.keys())
            await self._apply()

    async def _follow_locks(self) -> None:
        async for held in self._ownership.held():
            log.info("polling %d of %d lines", len(held), len(self._known))
            self._held = held
            await self._keep_lease()
            await self._apply()

    async def _renew_lease(self) -> None:
        while True:
            await asyncio.sleep(RENEW)
            await self._keep_lease()

    async def _keep_lease(self) -> None:
        if self._home is not None:
            now = datetime.now(UTC)
            await asyncio.to_thread(self._home.keep_lease, self.name, self._held, self._ownership.lease, now)

    async def _apply(self) -> None:
        async with self._changing:
            await self._lines.update([self._known[name] for name in sorted(self.mine())])
        self.changed()

    async def _leave(self) -> None:
        """Give the lines back; without the database they stay ours, for as long as it was promised us."""
        leased, until = self._ownership.speaking, self._ownership.lease
        if self._home is not None:
            self._home.drop_lease()  # first: once the database knows, another collector may begin
        try:
            await self._ownership.leave()
        except StoreUnavailable as error:
            log.info("the lines are not given back, their locks end with the session: %s", error)
            if self._home is not None:
                self._home.keep_lease(self.name, leased, until, datetime.now(UTC))
