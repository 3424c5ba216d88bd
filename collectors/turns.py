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

    __slots__ = ("_even", "_regular", "due", "health", "meter", "offset", "origin", "place", "told")

    def __init__(self, meter: Polled, origin: str, due: datetime, offset: timedelta, health: Health) -> None:
        self.meter = meter
        self.origin = origin
        self.due = due
        self.offset = offset
        self.health = health
        self.told: datetime | None = None
        self.place: Place | None = None
        """Its entry in a queue; any other entry of it does not count."""
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


Place = tuple[datetime, str, Turn]
"""Ordered by instant and serial number."""


class Turns:
    """The turns of a line's meters. A turn is taken out with `take`, changed, and brought back with `put`."""

    def __init__(self) -> None:
        self._turns: dict[str, Turn] = {}
        self._due: list[Place] = []
        self._probes: list[Place] = []
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
        for serial in [serial for serial in self._turns if serial not in serials]:
            self._turns.pop(serial).place = None

    def add(self, turn: Turn) -> None:
        """A new meter, or one that changed: this is its turn from now on."""
        before = self._turns.get(turn.meter.serial)
        if before is not None:
            before.place = None
        self._turns[turn.meter.serial] = turn
        self.put(turn)

    def put(self, turn: Turn) -> None:
        """Back into the queue it belongs to, unless its meter left the line or changed meanwhile."""
        if self._turns.get(turn.meter.serial) is turn:
            turn.place = place = (turn.due, turn.meter.serial, turn)
            heapq.heappush(self._probes if turn.health.off else self._due, place)

    def take(self, now: datetime) -> Turn | None:
        """Take out the longest overdue; a probe of a meter given up once a round, or when all else rests; or None."""
        due = self._top(self._due)
        if due is not None and due.due > now:
            due = None
        if self._probes and (not due or self._since_probe >= len(self._due)):
            probe = self._top(self._probes)
            if probe is not None and probe.due <= now:
                self._since_probe = 0
                heapq.heappop(self._probes)
                return probe
        if due is not None:
            self._since_probe += 1
            heapq.heappop(self._due)
        return due

    def waits(self, now: datetime) -> bool:
        """Whether somebody is due."""
        return any(instant <= now for instant in self.instants())

    def instants(self) -> list[datetime]:
        """When somebody is due next: the first of the healthy ones and of the others."""
        return [top.due for queue in (self._due, self._probes) if (top := self._top(queue))]

    def requeue(self, now: datetime) -> None:
        """Put every meter in its queue anew: at the start, and when the clock was set back, so that none is far off."""
        self._due, self._probes = [], []
        for turn in self._turns.values():
            turn.due = min(turn.due, turn.settle(now))
            self.put(turn)

    def _top(self, queue: list[Place]) -> Turn | None:
        """The first turn of a queue, after dropping what no longer stands."""
        while queue:
            place = queue[0]
            if place[2].place is place:
                return place[2]
            heapq.heappop(queue)
        return None
