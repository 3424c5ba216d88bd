"""What a line asks in a sweep, and what becomes of the answers. Runs for every poll of every meter: nothing is sought.

The owner of the line has the same turns; while a sweep is under way it only waits for its end, and says by `stirred`
that there is something to look at.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime
from typing import Any

from collectors.clock import Clock
from collectors.line_outages import LineOutages
from collectors.link import Answer, Door, Quick, Spare
from collectors.poll import delivery_of, quick_delivery, sound_delivery
from collectors.turns import Turn, Turns
from ingest.delivery import Delivery
from ingest.errors import AmrError
from ingest.tally import Use


class Asking:
    """See `collectors.link.Asker`. `errands` and `called` are what else is to be done on the line."""

    __slots__ = (
        "_called", "_clock", "_door", "_errands", "_outages", "_rested", "_spare", "_turns", "_use", "answered",
        "asked", "kept_back", "let_one_pass", "stirred",
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
        """Who was asked last; its `asked` says when."""
        self.stirred = True
        """Something else may be to be done: `next` looks."""
        self.let_one_pass = False
        """A meter that is due goes before the next errand."""
        self.answered = False
        """Somebody answered since this was last set to False."""
        self.kept_back: Delivery | None = None
        """What found the door full. It is put there when the sweep is over, and nobody is asked before."""

    def next(self) -> Turn | None:
        """The meter whose turn it is; None when there is something else to do."""
        self.stirred = False
        if self.kept_back is not None or self._called or (self._errands and not self.let_one_pass):
            return None
        if self.let_one_pass:
            self.let_one_pass, self.stirred = False, True
        now = self._clock.look()
        if self._rested is not None:
            if now < self._rested:
                self._turns.requeue(now)
            self._rested = None
        turn = self._turns.take(now)
        if turn is not None:
            turn.begin(now)
            self.asked = turn
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

    def follow(self, channels: tuple[str, ...], micros: list[int], began: float, now: float) -> Turn | None:
        """The answer that nearly always comes, and who is asked next: one step, because there are so many."""
        turn, seconds = self.asked, now - began
        turn.answers.answered(seconds)
        self._use.seconds += seconds
        if turn.failing or not self.answered:
            self._recovered(turn)
        delivery = sound_delivery(turn.origin, turn.serial, turn.asked, channels, micros)
        if not self._door.offer(delivery):
            self.kept_back, self.stirred = delivery, True
        if self.stirred:
            self._turns.put(turn)
            return None
        at = self._clock.lately(now)
        following = self._turns.follow(turn, at)
        if following is not None:
            following.begin(at)
            self.asked = following
        return following

    def took(self, answer: Answer | Quick, seconds: float) -> None:
        """Any other answer."""
        turn = self.asked
        turn.answers.answered(seconds)
        self._use.seconds += seconds
        self._recovered(turn, answer.problem if isinstance(answer, Answer) else None)
        self._turns.put(turn)
        make: Callable[..., Delivery] = quick_delivery if isinstance(answer, Quick) else delivery_of
        delivery = make(turn.origin, turn.meter, turn.asked, answer)
        if not self._door.offer(delivery):
            self.kept_back = delivery

    def _recovered(self, turn: Turn, problem: AmrError | None = None) -> None:
        """The first that answers in a sweep, or since it failed: whatever lasted is over, unless `problem` remains."""
        self.answered = True
        if turn.failing:
            turn.health.good()
            turn.failing = False
        if self._outages.any or problem is not None:
            self._outages.answered(turn.serial, problem)
