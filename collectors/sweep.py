"""Meter after meter polled on a line with transaction numbers: the callback of an answer asks the next question.

A task woken for each question would cost more than the exchange itself; here it is woken when the sweep ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from functools import partial
from time import monotonic
from typing import Protocol

from collectors.bus import Bus
from collectors.link import Answer, Quick
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

    def __init__(
        self,
        *,
        polling: Polling,
        bus: Bus,
        wire: Wire,
        framing: Framing,
        wanted: Callable[[], Polled | None],
        took: Callable[[Answer | Quick], None],
    ) -> None:
        self._polling = polling
        self._bus = bus
        self._wire = wire
        self._begin, self._frame, self._answer = wire.begin, framing.frame, framing.answer
        self._wanted = wanted
        self._took = took
        self._meter: Polled | None = None
        self._plan: MeterPlan
        self._plain: Step | None = None
        self._questions: Generator[Question, bytes, Fetched]
        self._resting: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        self._over: asyncio.Future[None] = self._loop.create_future()

    async def over(self) -> None:
        """Poll until nobody is wanted. Raises what the poll of the meter wanted last failed with."""
        try:
            self._next()
            await self._over
        finally:
            self._wire.forget()
            if self._resting is not None:
                self._resting.cancel()

    def _next(self) -> None:
        """Begin with the next meter."""
        self._meter = meter = self._wanted()
        if meter is None:
            self._over.set_result(None)
            return
        self._plan = plan = self._polling.plan_of(meter)
        plain = plan.plain
        if plain is not None and monotonic() < plan.identify_at:
            self._plain = plain
            self._ask(plain.question)
        else:
            self._plain = None
            self._questions = self._polling.polling(plan)
            self._ask(next(self._questions))

    def _ask(self, question: Question) -> None:
        self._begin(self._frame(question), self._answer, self._plan.patience, self._heard)

    def _heard(self, pdu: bytes, error: AmrError | None) -> None:
        """An answer came, or will not come. Nobody hears what a callback raises: whoever waits for the end does."""
        try:
            if error is not None:
                raise self._bus.ended(error, self._plan.unit, self._plan.patience) from error
            plain = self._plain
            if plain is not None and pdu[0] < 0x80 and (quick := plain.quick(pdu)) is not None:
                self._is_read(quick)
            else:
                self._go_on(pdu)
        except Exception as error:  # noqa: BLE001 - a fault of ours as well, or the line would stand still
            if not self._over.done():
                self._over.set_exception(error)

    def _go_on(self, pdu: bytes) -> None:
        """Ask what else is asked of this meter; what began as plain turned out not to be."""
        assert self._meter is not None
        if self._plain is not None:
            self._plain = None
            self._questions = self._polling.polling(self._plan)
            next(self._questions)
        try:
            question = self._questions.send(pdu)
        except StopIteration as done:
            self._is_read(self._polling.result(self._meter, self._plan, done.value))
        else:
            self._after_pause(partial(self._ask, question))

    def _is_read(self, answer: Answer | Quick) -> None:
        self._took(answer)
        if self._plan.pause:
            self._after_pause(self._next)
        else:
            self._next()

    def _after_pause(self, step: Callable[[], None]) -> None:
        if self._plan.pause:
            self._resting = self._loop.call_later(self._plan.pause, self._guarded, step)
        else:
            step()

    def _guarded(self, step: Callable[[], None]) -> None:
        try:
            step()
        except Exception as error:  # noqa: BLE001 - as above
            if not self._over.done():
                self._over.set_exception(error)
