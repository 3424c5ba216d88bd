"""The simulators' clock: from a given start, possibly faster than real time. Everything simulated takes it."""

import asyncio
import time
from datetime import UTC, datetime, timedelta


class Clock:
    """Simulated time: `start` when made, then `factor` simulated seconds per real one (0 stands still)."""

    def __init__(self, start: datetime | None = None, factor: float = 1.0) -> None:
        start = start or datetime.now(UTC)
        if start.tzinfo is None:
            raise ValueError(f"start {start} has no time zone; add its offset, such as +04:00")
        if not 0 <= factor <= 1_000_000:
            raise ValueError(f"factor {factor} must be from 0 (stands still) to 1 000 000")
        self.start = start.astimezone(UTC)
        self.factor = factor
        self._origin = self.start
        self._began = time.monotonic()

    def now(self) -> datetime:
        """The simulated instant, UTC."""
        return self._origin + timedelta(seconds=(time.monotonic() - self._began) * self.factor)

    def move(self, to: datetime) -> None:
        """Set the clock to another instant; it goes on from there."""
        if to.tzinfo is None:
            raise ValueError(f"{to} has no time zone; add its offset, such as +04:00")
        self._origin = to.astimezone(UTC)
        self._began = time.monotonic()

    async def sleep_until(self, at: datetime) -> None:
        """Wait until the clock shows `at`; follows a clock that is moved meanwhile."""
        while (left := (at - self.now()).total_seconds()) > 0:
            real = left / self.factor if self.factor else 0.05
            await asyncio.sleep(max(0.001, min(real, 0.25)))
