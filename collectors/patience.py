"""When a silent meter is given up for a while, and when it is tried again. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class Patience:
    """A meter is off after both `turns` failed turns and `time` since the first of them. Seconds throughout.

    Before that it is tried again after `retry`, doubled each time; when off it gets single probes after `probe`,
    doubled up to `longest`, each pause longer or shorter by up to `jitter` of it.
    """

    turns: int = 3
    time: float = 60.0
    retry: float = 5.0
    probe: float = 30.0
    longest: float = 900.0
    jitter: float = 0.2


class Health:
    """How one meter has been answering."""

    __slots__ = ("_off_turns", "_patience", "_rng", "_since", "failures")

    def __init__(self, patience: Patience, rng: Callable[[], float]) -> None:
        self._patience = patience
        self._rng = rng
        self._since: datetime | None = None
        self._off_turns = 0
        self.failures = 0

    @property
    def off(self) -> bool:
        """Given up: only probed."""
        return self._off_turns > 0

    def good(self) -> None:
        """It answered."""
        if self.failures:
            self.failures = self._off_turns = 0
            self._since = None

    def failed(self, now: datetime) -> timedelta:
        """It stayed silent or was heard badly, which costs the line its whole patience: how long to leave it alone."""
        self.failures += 1
        self._since = self._since or now
        patience = self._patience
        long_enough = now - self._since >= timedelta(seconds=patience.time)
        if not self._off_turns and not (self.failures >= patience.turns and long_enough):
            return self._pause(patience.retry, self.failures - 1)
        self._off_turns += 1
        return self._pause(patience.probe, self._off_turns - 1)

    def hindered(self) -> timedelta:
        """It answered that it is busy, so it is alive: when to try again."""
        self.failures += 1
        return self._pause(self._patience.retry, self.failures - 1)

    def _pause(self, first: float, doubled: int) -> timedelta:
        pause = min(first * 2 ** min(doubled, 20), self._patience.longest)
        return timedelta(seconds=pause * (1 + self._patience.jitter * (2 * self._rng() - 1)))
