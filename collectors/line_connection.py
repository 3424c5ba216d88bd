"""The connection of a line: opened when it is time to, given up when nobody answers over it any more.

It is judged apart from the meters: that one is silent says nothing about the wire, and a lost wire nothing about them.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from collectors.clock import Clock
from collectors.line_outages import LineOutages
from collectors.link import LineDown, Link, Silent
from collectors.patience import Patience
from ingest.errors import AmrError

FIRST_REOPEN, LONGEST_REOPEN = 1.0, 60.0
SILENT_TURNS = 3
"""So many silent turns in a row, and at least one of every meter, and the link is opened anew: it may be half open."""


class Connection:
    """Whether the link of a line is open, and if not, when it is tried again."""

    __slots__ = ("_clock", "_jitter", "_link", "_outages", "_pause", "_rng", "_silent", "open", "reopen_at")

    def __init__(
        self, link: Link, clock: Clock, patience: Patience, rng: Callable[[], float], outages: LineOutages
    ) -> None:
        self._link = link
        self._clock = clock
        self._jitter = patience.jitter
        self._rng = rng
        self._outages = outages
        self._pause = FIRST_REOPEN
        self._silent = 0
        self.open = False
        self.reopen_at: datetime | None = None
        """Set while it waits after a failure."""

    def waits(self, now: datetime) -> bool:
        """Whether it is too early to try again."""
        return self.reopen_at is not None and self.reopen_at > now

    async def make(self) -> None:
        """Open it. Raises what the link says when that fails."""
        try:
            await self._link.open()
        except AmrError as error:
            await self.lost(LineDown(str(error)))
            raise
        self.open = True
        self.reopen_at = None

    async def lost(self, error: LineDown) -> None:
        """It is gone: it is tried again after a pause that grows until some meter answers."""
        self._outages.lost(error, self._pause)
        self.open = False
        pause = self._pause * (1 + self._jitter * (2 * self._rng() - 1))
        self.reopen_at = self._clock.now() + timedelta(seconds=pause)
        self._pause = min(2 * self._pause, LONGEST_REOPEN)
        await self._link.close()

    def answered(self) -> None:
        """A meter answered over it."""
        self._silent, self._pause = 0, FIRST_REOPEN

    async def failed(self, error: AmrError, meters: int) -> None:
        """One of so many meters did not answer. When none does any more, it may have died without telling us."""
        self._silent = self._silent + 1 if isinstance(error, Silent) else 0
        if self._silent >= max(SILENT_TURNS, meters):
            self._outages.nobody(self._silent)
            self._silent = 0
            self.open = False
            await self._link.close()
