"""What a line asks in a sweep, and what becomes of the answers. Runs for every poll of every meter: nothing is sought.

The owner of the line has the same turns; while a sweep is under way it only waits for its end.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from typing import Any

from collectors.clock import Clock
from collectors.line_outages import LineOutages
from collectors.link import Answer, Door, Quick, Spare
from collectors.poll import delivery_of, plain_delivery, quick_delivery
from collectors.turns import Turn, Turns
from ingest.delivery import Delivery
from ingest.tally import Use


class Asking:
    """See `collectors.link.Asker`. `errands` and `called` are what else is to be done on the line."""

    __slots__ = (
        "_called", "_clock", "_door", "_errands", "_outages", "_rested", "_spare", "_turns", "_use", "answered",
        "asked", "asked_at", "kept_back", "let_one_pass",
    )  # fmt: skip

    def __init__(
        self,
        turns: Turns,
        clock: Clock,
        door: Door,
        outages: LineOutages,
        use: Use,
        errands: Collection[Any],
        called: Collection[Any],
        spare: Spare | None,
    ) -> None:
        self._turns = turns
        self._clock = clock
        self._door = door
        self._outages = outages
        self._use = use
        self._errands = errands
        self._called = called
        self._spare = spare
        self._rested: datetime | None = None
        self.asked: Turn
        self.asked_at: datetime
        self.let_one_pass = False
        """A meter that is due goes before the next errand."""
        self.answered = False
        """Somebody answered since this was last set to False."""
        self.kept_back: Delivery | None = None
        """What found the door full. It is put there when the sweep is over, and nobody is asked before."""

    def next(self) -> Turn | None:
        """The meter whose turn it is; None when there is something else to do."""
        if self.kept_back is not None or self._called or (self._errands and not self.let_one_pass):
            return None
        self.let_one_pass = False
        now = self._clock.now()
        if self._rested is not None:
            if now < self._rested:
                self._turns.requeue(now)
            self._rested = None
        turn = self._turns.take(now)
        if turn is not None:
            turn.due = turn.regular(now)
            self.asked = turn
            self.asked_at = turn.moment(now)
        return turn

    def rest(self) -> float | None:
        """Until somebody is due; None when there is something else to do."""
        if self.kept_back is not None or self._called or self._errands:
            return None
        now, until = self._clock.now(), self._turns.instants()
        if self._spare is not None:
            if self._spare.ready_at is None or self._spare.ready_at <= now:
                return None
            until.append(self._spare.ready_at)
        self._rested = now
        return self._clock.rest(now, until)

    def plain(self, channels: tuple[str, ...], micros: Sequence[int | None], seconds: float) -> None:
        """The answer that nearly always comes."""
        self._answered(seconds)
        turn = self.asked
        delivery = plain_delivery(turn.origin, turn.serial, self.asked_at, channels, micros)
        if not self._door.offer(delivery):
            self.kept_back = delivery

    def took(self, answer: Answer | Quick, seconds: float) -> None:
        """Any other."""
        self._answered(seconds)
        make: Callable[..., Delivery] = quick_delivery if isinstance(answer, Quick) else delivery_of
        delivery = make(self.asked.origin, self.asked.meter, self.asked_at, answer)
        if not self._door.offer(delivery):
            self.kept_back = delivery

    def _answered(self, seconds: float) -> None:
        turn = self.asked
        turn.answers.answered(seconds)
        self._use.seconds += seconds
        self.answered = True
        if turn.failing:
            turn.health.good()
            turn.failing = False
        self._turns.put(turn)
        if self._outages.any:
            self._outages.answered(turn.serial)
