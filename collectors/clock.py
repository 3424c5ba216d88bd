"""The poller's clock: real by default; for demonstrations it may run faster than life."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

SLICE = 30.0
"""Longest real sleep: a suspended machine or a corrected clock is noticed after at most this many seconds."""

_HOUR = timedelta(hours=1)
_LATELY = 0.001
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


class Clock:
    """Aware UTC instants and sleeps, both `factor` times as fast as real ones."""

    def __init__(self, factor: float = 1.0, start: datetime | None = None) -> None:
        if factor <= 0:
            raise ValueError(f"factor {factor} is not positive; 1 is real time, 60 makes a minute of every second")
        self.factor = factor
        self._start = start
        self._origin = time.monotonic()
        self._real = factor == 1.0 and start is None
        self._seen = _LONG_AGO
        self._looked_at = 0.0
        if self._start is None:
            self._start = datetime.now(UTC)

    def now(self) -> datetime:
        """The current instant. The real clock follows corrections of the system's; a faster one cannot."""
        if self._real or self._start is None:
            return datetime.now(UTC)
        return self._start + timedelta(seconds=(time.monotonic() - self._origin) * self.factor)

    def look(self) -> datetime:
        """`now`, and what `lately` says for the next millisecond."""
        self._looked_at = time.monotonic()
        self._seen = self.now()
        return self._seen

    def lately(self, at: float) -> datetime:
        """`now`, or what it was when somebody looked less than a millisecond before.

        `at` is the present instant of the monotonic clock. Of thousands who ask in a row few need to look.
        """
        if at - self._looked_at > _LATELY:
            self._looked_at = at
            self._seen = self.now()
        return self._seen

    async def sleep(self, seconds: float) -> None:
        """Sleep that many seconds of this clock, but never longer than SLICE real ones: look at `now` afterwards."""
        await asyncio.sleep(self.real(seconds))

    def real(self, seconds: float) -> float:
        """How long to wait in real seconds for that many of this clock, at most SLICE."""
        return min(max(seconds, 0.0) / self.factor, SLICE)

    def rest(self, now: datetime, instants: Iterable[datetime]) -> float:
        """How long to wait in real seconds for the first of these instants."""
        until = min(instants, default=now + _HOUR)
        return self.real((until - now).total_seconds())
