"""Whose turn it is on a line: every meter's place in the schedule, the given-up ones apart. Pure."""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterator
from datetime import datetime, timedelta

from collectors.patience import Health
from collectors.schedule import CLOCK_CHANGE, next_due
from ingest.model import Polled


class Turn:
    """A meter's place in the schedule. `due` is when it is asked next, which may be ahead of its regular instant."""

    __slots__ = ("_even", "_regular", "due", "health", "meter", "offset", "origin", "told")

    def __init__(self, meter: Polled, origin: str, due: datetime, offset: timedelta, health: Health) -> None:
        self.meter = meter
        self.origin = origin
        self.due = due
        self.offset = offset
        self.health = health
        self.told: datetime | None = None
        self._even = not CLOCK_CHANGE % meter.period
        self._regular = self.settle(due)

    def __lt__(self, other: Turn) -> bool:
        """Queues are ordered by instant and serial number; what is equal in both may stand either way."""
        return False

    def settle(self, now: datetime) -> datetime:
        """The first regular instant after `now`, worked out from the wall clock."""
        self._regular = next_due(now, self.meter.period, self.meter.zone, self.offset)
        return self._regular

    def regular(self, now: datetime) -> datetime:
        """The same from the one before, while that is right: for most polls of most meters."""
        if self._regular > now:
            return self._regular
        following = self._regular + self.meter.period
        if self._even and following > now:
            self._regular = following
            return following
        return self.settle(now)


class Turns:
    """The turns of a line's meters. A turn is taken out with `take`, changed, and put back with `place`."""

    def __init__(self) -> None:
        self._turns: dict[str, Turn] = {}
        self._due: list[tuple[datetime, str, Turn]] = []
        self._probes: list[tuple[datetime, str, Turn]] = []
        self._since_probe = 0

    def __iter__(self) -> Iterator[Turn]:
        return iter(self._turns.values())

    def __len__(self) -> int:
        return len(self._turns)

    def of(self, serial: str) -> Turn | None:
        """The turn of a meter, None when it has none."""
        return self._turns.get(serial)

    def keep(self, serials: Collection[str]) -> None:
        """Forget all others."""
        self._turns = {serial: turn for serial, turn in self._turns.items() if serial in serials}

    def add(self, turn: Turn) -> None:
        """A new meter, or one that changed: this is its turn from now on."""
        self._turns[turn.meter.serial] = turn
        self.place(turn)

    def place(self, turn: Turn) -> None:
        """Back into the queue it belongs to; passed over when its meter left the line or changed meanwhile."""
        heapq.heappush(self._probes if turn.health.off else self._due, (turn.due, turn.meter.serial, turn))

    def next(self, now: datetime) -> Turn | None:
        """The longest overdue; a probe of a meter given up once a round, or when all else rests; None: nobody."""
        due, probe = self._first(self._due, now), self._first(self._probes, now)
        return probe if probe and (not due or self._since_probe >= len(self._due)) else due

    def take(self, turn: Turn) -> None:
        """Take out the turn that `next` gave."""
        self._since_probe = 0 if turn.health.off else self._since_probe + 1
        heapq.heappop(self._probes if turn.health.off else self._due)

    def instants(self) -> list[datetime]:
        """When somebody is due next: the first of the healthy ones and of the others."""
        return [top.due for queue in (self._due, self._probes) if (top := self._top(queue))]

    def requeue(self, now: datetime) -> None:
        """Put every meter in its queue anew: at the start, and when the clock was set back, so that none is far off."""
        self._due, self._probes = [], []
        for turn in self._turns.values():
            turn.due = min(turn.due, turn.settle(now))
            self.place(turn)

    def _first(self, queue: list[tuple[datetime, str, Turn]], now: datetime) -> Turn | None:
        top = self._top(queue)
        return top if top and top.due <= now else None

    def _top(self, queue: list[tuple[datetime, str, Turn]]) -> Turn | None:
        """The first turn of a queue, after dropping what no longer stands."""
        while queue:
            due, serial, turn = queue[0]
            if turn.due is due and self._turns.get(serial) is turn:
                return turn
            heapq.heappop(queue)
        return None
