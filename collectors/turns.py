"""Whose turn it is on a line: every meter's place in the schedule, the given-up ones apart. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime, timedelta
from typing import Any

from collectors.patience import Health
from collectors.schedule import CLOCK_CHANGE, next_due
from collectors.turn_queue import Queue
from ingest.model import Polled
from ingest.tally import Answers

TENTH = 100_000
"""Microseconds."""


class Turn:
    """A meter's place in the schedule. `due` is when it is asked next, which may be ahead of its regular instant.

    All that a poll needs of its meter stands here, side by side: with ten thousand meters each step aside is a wait for
    memory. `answers` counts for all meters of its model; `ready` is what its link made ready and nobody else looks at.
    """

    __slots__ = (
        "_even", "_period", "_regular", "answers", "asked", "due", "failing", "health", "left", "meter", "offset",
        "origin", "queue", "ready", "serial", "told",
    )  # fmt: skip

    def __init__(
        self,
        meter: Polled,
        origin: str,
        due: datetime,
        offset: timedelta,
        health: Health,
        answers: Answers | None = None,
    ) -> None:
        self.meter = meter
        self.serial = meter.serial
        self.origin = origin
        self.due = due
        """Not to be changed while it stands in a queue."""
        self.offset = offset
        self.health = health
        self.failing = health.failures > 0
        """Whether `health` has anything to forget when it answers."""
        self.answers = answers or Answers()
        self.told: datetime | None = None
        self.queue: Queue[Turn] | None = None
        self.left = False
        """Its meter left the line, or another turn took its place."""
        self.ready: Any = None
        self.asked: datetime | None = None
        """The last instant it was asked at."""
        self._period = meter.period
        self._even = not CLOCK_CHANGE % meter.period
        self._regular = self.settle(due)

    def moment(self, now: datetime) -> datetime:
        """The instant of what is asked now by the schedule: its tenth of a second, unless that was before the last one.

        A meter that is polled steadily is asked a millisecond sooner or later each time, which says nothing of its
        energy and would be most of what a reading takes on the disk (decision 25).
        """
        tenth = now.replace(microsecond=now.microsecond // TENTH * TENTH)
        if self.asked is not None and tenth <= self.asked:
            tenth = now
        self.asked = tenth
        return tenth

    def settle(self, now: datetime) -> datetime:
        """The first regular instant after `now`, worked out from the wall clock."""
        self._regular = next_due(now, self._period, self.meter.zone, self.offset)
        return self._regular

    def regular(self, now: datetime) -> datetime:
        """The same from the one before, while that is right: for most polls of most meters."""
        if self._regular > now:
            return self._regular
        following = self._regular + self._period
        if self._even and following > now:
            self._regular = following
            return following
        return self.settle(now)


class Turns:
    """The turns of a line's meters. A turn is taken out with `take`, changed, and brought back with `put`."""

    __slots__ = ("_due", "_probed", "_probes", "_since_probe", "_turns")

    def __init__(self) -> None:
        self._turns: dict[str, Turn] = {}
        self._due: Queue[Turn] = Queue()
        self._probes: Queue[Turn] = Queue()
        self._probed = False
        """Whether there may be probes."""
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
            self._drop(serial)

    def add(self, turn: Turn) -> None:
        """A new meter, or one that changed: this is its turn from now on."""
        self._drop(turn.serial)
        self._turns[turn.serial] = turn
        self.put(turn)

    def put(self, turn: Turn) -> None:
        """Back into the queue it belongs to, unless its meter left the line or changed meanwhile."""
        if turn.left:
            return
        if turn.queue is not None:
            turn.queue.remove(turn)
        queue = self._due
        if turn.failing and turn.health.off:
            queue, self._probed = self._probes, True
        queue.put(turn)
        turn.queue = queue

    def withdraw(self, turn: Turn) -> None:
        """Take out this one, whenever it is due; nothing happens when it is out already."""
        if turn.queue is not None:
            turn.queue.remove(turn)
            turn.queue = None

    def take(self, now: datetime) -> Turn | None:
        """Take out the longest overdue; a probe of a meter given up once a round, or when all else rests; or None."""
        turn = self._probe(now) if self._probed else None
        if turn is None:
            turn = self._due.take(now)
            if turn is None:
                return None
            self._since_probe += 1
        turn.queue = None
        return turn

    def _probe(self, now: datetime) -> Turn | None:
        """A probe, if it is time for one."""
        first = self._due.first()
        if first is not None and first.due <= now and self._since_probe < len(self._due):
            return None
        probe = self._probes.take(now)
        if probe is not None:
            self._since_probe = 0
        self._probed = len(self._probes) > 0
        return probe

    def waits(self, now: datetime) -> bool:
        """Whether somebody is due."""
        return any(instant <= now for instant in self.instants())

    def instants(self) -> list[datetime]:
        """When somebody is due next: the first of the healthy ones and of the others."""
        return [first.due for queue in (self._due, self._probes) if (first := queue.first())]

    def requeue(self, now: datetime) -> None:
        """Put every meter in its queue anew: at the start, and when the clock was set back, so that none is far off."""
        self._due, self._probes = Queue(), Queue()
        for turn in self._turns.values():
            turn.due = min(turn.due, turn.settle(now))
            turn.queue = None
            self.put(turn)

    def _drop(self, serial: str) -> None:
        turn = self._turns.pop(serial, None)
        if turn is not None:
            self.withdraw(turn)
            turn.left = True
