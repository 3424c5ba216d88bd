"""Meter after meter polled on a line with transaction numbers: the callback of an answer asks the next question.

A task woken for each question would cost more than the exchange itself; here it is woken only by an error and by what
else is to be done on the line. Until the next meter is due the sweep rests on a timer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from functools import partial
from time import monotonic
from typing import Protocol

from collectors.bus import Bus
from collectors.link import Answer, Asker, Quick, Wanted
from collectors.meter_plan import Fetched, MeterPlan, Step
from collectors.modbus_frames import Framing, Question
from collectors.wire import Wire
from ingest.errors import AmrError
from ingest.model import Polled


class Polling(Protocol):
    """What a link knows of a poll: which questions it takes, and what their answers make."""

    def plan_of(self, meter: Polled) -> MeterPlan: ...

    def polling(self, plan: MeterPlan) -> Generator[Question, bytes, Fetched]: ...

    def result(self, meter: Polled, plan: MeterPlan, fetched: Fetched) -> Answer | Quick: ...


class Sweep:
    """Polls under way on one open wire; see `collectors.link.Link.sweep`."""

    __slots__ = (
        "_asker", "_bus", "_framing", "_loop", "_over", "_plain", "_plan", "_polling", "_questions", "_resting",
        "_sleeping", "_turn", "_wire", "began",
    )  # fmt: skip

    def __init__(self, *, polling: Polling, bus: Bus, wire: Wire, framing: Framing, asker: Asker) -> None:
        self._polling = polling
        self._bus = bus
        self._wire = wire
        self._framing = framing
        self._asker = asker
        self._turn: Wanted
        self._plan: MeterPlan
        self._plain: Step | None = None
        self._questions: Generator[Question, bytes, Fetched]
        self._resting: asyncio.TimerHandle | None = None
        self._sleeping = False
        self._loop = asyncio.get_running_loop()
        self._over: asyncio.Future[None] = self._loop.create_future()
        self.began: float = 0.0

    async def over(self) -> None:
        """Poll until something else is to be done. Raises what the poll of the meter wanted last failed with."""
        self._wire.attach(self._framing.answer, self._heard)
        try:
            self._next(monotonic())
            await self._over
        finally:
            self._wire.forget()
            if self._resting is not None:
                self._resting.cancel()

    def poke(self) -> None:
        """Rest no longer."""
        if self._sleeping and self._resting is not None:
            self._resting.cancel()
            self._loop.call_soon(self._wake)

    def _next(self, now: float) -> None:
        """Begin with the next meter."""
        turn = self._asker.next()
        if turn is None:
            self._sleep()
            return
        self.began = now
        self._turn = turn
        plan = turn.ready
        if plan is None:
            turn.ready = plan = self._polling.plan_of(turn.meter)
        self._plan = plan
        self._plain = plain = plan.plain
        if plain is not None and now < plan.identify_at:
            self._wire.begin(self._framing.frame(plain.question), now + plan.patience)
        else:
            self._plain = None
            self._questions = self._polling.polling(plan)
            self._ask(next(self._questions))

    def _sleep(self) -> None:
        seconds = self._asker.rest()
        if seconds is None:
            self._over.set_result(None)
        else:
            self._sleeping = True
            self._resting = self._loop.call_later(seconds, self._wake)

    def _wake(self) -> None:
        if self._sleeping and not self._over.done():
            self._sleeping = False
            self._guarded(lambda: self._next(monotonic()))

    def _ask(self, question: Question) -> None:
        self._wire.begin(self._framing.frame(question), monotonic() + self._plan.patience)

    def _heard(self, pdu: bytes, error: AmrError | None) -> None:
        """An answer came, or will not come. Nobody hears what a callback raises: whoever waits for the end does."""
        try:
            plan, plain = self._plan, self._plain
            if error is not None:
                raise self._bus.ended(error, plan.unit, plan.patience) from error
            if plain is not None and pdu[0] < 0x80 and (micros := plain.decoder.micros(pdu)) is not None:
                now = monotonic()
                self._asker.plain(plain.decoder.channels, micros, now - self.began)
                if plan.pause:
                    self._after_pause(lambda: self._next(monotonic()))
                else:
                    self._next(now)
            else:
                self._go_on(pdu)
        except Exception as error:  # noqa: BLE001 - a fault of ours as well, or the line would stand still
            self._fail(error)

    def _go_on(self, pdu: bytes) -> None:
        """Ask what else is asked of this meter; what began as plain turned out not to be."""
        if self._plain is not None:
            self._plain = None
            self._questions = self._polling.polling(self._plan)
            next(self._questions)
        try:
            question = self._questions.send(pdu)
        except StopIteration as done:
            answer = self._polling.result(self._turn.meter, self._plan, done.value)
            self._asker.took(answer, monotonic() - self.began)
            self._after_pause(lambda: self._next(monotonic()))
        else:
            self._after_pause(partial(self._ask, question))

    def _after_pause(self, step: Callable[[], None]) -> None:
        if self._plan.pause:
            self._resting = self._loop.call_later(self._plan.pause, self._guarded, step)
        else:
            step()

    def _guarded(self, step: Callable[[], None]) -> None:
        try:
            step()
        except Exception as error:  # noqa: BLE001 - as above
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        if not self._over.done():
            self._over.set_exception(error)
