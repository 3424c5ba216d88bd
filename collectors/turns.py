"""Whose turn it is on a line: every meter's place in the schedule, the given-up ones apart. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from collectors.patience import Health
from collectors.schedule import CLOCK_CHANGE, next_due
from collectors.turn_queue import Queue
from ingest.model import Polled
from ingest.tally import Answers

TENTH = timedelta(milliseconds=100)
_EARLIEST = datetime(1, 1, 1, tzinfo=UTC)


class _Tenth:
    """The tenth of a second somebody was asked in last: thousands of others are asked in the same one."""

    __slots__ = ("begin", "end")

    def __init__(self) -> None:
        self.begin = self.end = _EARLIEST

    def of(self, now: datetime) -> datetime:
        """The beginning of this instant's."""
        self.begin = now.replace(microsecond=now.microsecond // 100_000 * 100_000)
        self.end = self.begin + TENTH
        return self.begin


_tenth = _Tenth()


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
        self.failing = True
        """Whether its health, or the log, has anything to forget when it answers: nobody knows yet of a new one."""
        self.answers = answers or Answers()
        self.told: datetime | None = None
        self.queue: Queue[Turn] | None = None
        self.left = False
        """Its meter left the line, or another turn took its place."""
        self.ready: Any = None
        self.asked = _EARLIEST
        """The last instant it was asked at."""
        self._period = meter.period
        self._even = not CLOCK_CHANGE % meter.period
        self._regular = self.settle(due)

    def begin(self, now: datetime) -> None:
        """It is asked now, by the schedule: sets `asked` and when it is `due` again.

        The instant is its tenth of a second, unless that was before the last one. A meter that is polled steadily is
        asked a millisecond sooner or later each time, which says nothing of its energy and would be most of what a
        reading takes on the disk (decision 25).
        """
        self.due = self.regular(now)
        tenth = _tenth.begin
        if not tenth <= now < _tenth.end:
            tenth = _tenth.of(now)
        self.asked = now if tenth <= self.asked else tenth

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
            if not self._probed:
                self._probed, self._since_probe = True, len(self._due)
            queue = self._probes
        queue.put(turn)
        turn.queue = queue

    def follow(self, turn: Turn, now: datetime) -> Turn | None:
        """`put` and `take` in one step, which has little to look at while nobody is given up."""
        queue = self._due
        if self._probed or turn.left or turn.failing or turn.queue is not None:
            self.put(turn)
            return self.take(now)
        following = queue.swap(turn, now)
        turn.queue = queue
        if following is not None:
            following.queue = None
        return following

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
            if self._probed:
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
