"""Meter after meter polled on a line with transaction numbers: the callback of an answer asks the next question.

While it lasts the sweep itself hears the connection. An answer that is exactly what was asked for is taken from its
bytes at once; whatever else comes (a piece, a refusal, a late answer, silence) goes through the wire as it does outside
of a sweep. A task is woken only by an error and by what else is to be done on the line; until the next meter is due
the sweep rests on a timer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from functools import partial
from math import inf
from time import monotonic
from typing import Protocol

from collectors.bus import Bus
from collectors.link import Answer, Asker, Quick, Silent, Wanted
from collectors.meter_plan import Fetched, MeterPlan, Step
from collectors.millionths import Millionths
from collectors.modbus_frames import Mbap, Question
from collectors.wire import Wire
from ingest.errors import AmrError
from ingest.model import Polled

_HEAD = 7
"""Bytes of a Modbus TCP frame before its PDU."""


class Polling(Protocol):
    """What a link knows of a poll: which questions it takes, and what their answers make."""

    def plan_of(self, meter: Polled) -> MeterPlan: ...

    def polling(self, plan: MeterPlan) -> Generator[Question, bytes, Fetched]: ...

    def blocks(self, plan: MeterPlan) -> Generator[Question, bytes, Fetched]: ...

    def result(self, meter: Polled, plan: MeterPlan, fetched: Fetched) -> Answer | Quick: ...


class Sweep(asyncio.Protocol):
    """Polls under way on one open wire; see `collectors.link.Link.sweep`.

    With a thousand lines none of this is in the processor's caches when an answer comes: what most polls need stands
    here and is not sought elsewhere.
    """

    __slots__ = (
        "_asker", "_bus", "_counts", "_framing", "_good", "_length", "_loop", "_over", "_overheard", "_plan",
        "_polling", "_questions", "_resting", "_shortest", "_sleeping", "_step", "_timer", "_transaction",
        "_transport", "_turn", "_wire", "began",
    )  # fmt: skip

    def __init__(self, *, polling: Polling, bus: Bus, wire: Wire, framing: Mbap, asker: Asker) -> None:
        self._polling = polling
        self._bus = bus
        self._wire = wire
        self._framing = framing
        self._asker = asker
        self._turn: Wanted
        self._plan: MeterPlan
        self._questions: Generator[Question, bytes, Fetched]
        self._step: Step | None = None
        """What was asked, when it was asked without the wire."""
        self._counts: Millionths
        """How its values are counted."""
        self._length = 0
        """How long its answer is; 0 when no such answer is awaited."""
        self._good = b""
        """How its answer begins."""
        self._transaction = framing.transaction
        self._transport: asyncio.WriteTransport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._shortest = inf
        """Seconds: the least patience of those asked since the timer was set, which rings after them at the latest."""
        self._overheard = False
        self._resting: asyncio.TimerHandle | None = None
        self._sleeping = False
        self._loop = asyncio.get_running_loop()
        self._over: asyncio.Future[None] = self._loop.create_future()
        self.began: float = 0.0

    async def over(self) -> None:
        """Poll until something else is to be done. Raises what the poll of the meter wanted last failed with."""
        self._wire.attach(self._framing.answer, self._heard)
        self._transport = self._wire.lend(self)
        try:
            self._next(monotonic())
            await self._over
        finally:
            self._length = 0
            self._framing.transaction = self._transaction
            self._wire.take_back()
            self._wire.forget()
            for timer in (self._resting, self._timer):
                if timer is not None:
                    timer.cancel()

    def poke(self) -> None:
        """Rest no longer."""
        if self._sleeping and self._resting is not None:
            self._resting.cancel()
            self._loop.call_soon(self._wake)

    def data_received(self, data: bytes) -> None:
        """An answer, nearly always."""
        if len(data) != self._length or not data.startswith(self._good):
            self._heard_otherwise(data)
            return
        try:
            counts = self._counts
            micros = counts.sound(data, _HEAD)
            if micros is None:
                self._not_sound(data[_HEAD:])
                return
            now = monotonic()
            turn = self._asker.follow(counts.channels, micros, self.began, now)
            if turn is None:
                self._sleep()
            else:
                self._begin(turn, now)
        except Exception as error:  # noqa: BLE001 - a fault of ours as well, or the line would stand still
            self._fail(error)

    def _not_sound(self, pdu: bytes) -> None:
        """A good answer with something in it that is not available, or no reading."""
        self._length = 0
        quick = self._step.quick(pdu) if self._step is not None else None
        if quick is None:
            self._go_on(pdu)
        else:
            now = monotonic()
            self._asker.took(quick, now - self.began)
            self._next(now)

    def connection_lost(self, exc: Exception | None) -> None:
        """The wire tells whoever waits."""
        self._transport = None
        self._leave_to_wire()
        self._wire.connection_lost(exc)

    def _go(self) -> None:
        self._next(monotonic())

    def _next(self, now: float) -> None:
        """Look whether something else is to be done, and begin with the next meter."""
        self._length = 0
        self._overheard = self._wire.ear is not None
        turn = self._asker.next()
        if turn is None:
            self._sleep()
        else:
            self._begin(turn, now)

    def _begin(self, turn: Wanted, now: float) -> None:
        """Ask a meter; by the wire what takes more than one question, a pause, or is overheard."""
        self.began = now
        self._turn = turn
        plan = turn.ready
        if plan is None:
            turn.ready = plan = self._polling.plan_of(turn.meter)
        self._plan = plan
        self._step = step = plan.plain
        transport = self._transport
        if step is None or now >= plan.identify_at or plan.pause or self._overheard or transport is None:
            self._step = None
            self._length = 0
            self._questions = self._polling.polling(plan)
            self._ask(next(self._questions))
            return
        self._transaction = transaction = (self._transaction + 1) & 0xFFFF
        question = step.question
        head = transaction.to_bytes(2, "big")
        self._good = head + question.good
        self._length = question.length
        self._counts = step.decoder.millionths
        if plan.patience < self._shortest:
            self._shortest = plan.patience
            self._ring_in(plan.patience)
        transport.write(head + question.request)

    def _sleep(self) -> None:
        self._length = 0
        seconds = self._asker.rest()
        if seconds is None:
            self._over.set_result(None)
        else:
            self._sleeping = True
            self._resting = self._loop.call_later(seconds, self._wake)

    def _wake(self) -> None:
        if self._sleeping and not self._over.done():
            self._sleeping = False
            self._guarded(self._go)

    def _ring_in(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(seconds, self._tick)

    def _tick(self) -> None:
        """One timer serves many questions, and rings no later than the first of them could be overdue."""
        self._timer, shortest, self._shortest = None, self._shortest, inf
        if not self._length:
            return
        left = self.began + self._plan.patience - monotonic()
        if left <= 0:
            self._leave_to_wire()
        else:
            self._shortest = shortest
            self._ring_in(min(left, shortest))

    def _heard_otherwise(self, data: bytes) -> None:
        self._leave_to_wire()
        self._wire.data_received(data)

    def _leave_to_wire(self) -> None:
        """Let the wire wait for the answer: it is late, comes in pieces, or after something else."""
        if self._length and self._step is not None:
            self._length = 0
            self._framing.expect(self._step.question, self._transaction)
            self._wire.expect(self.began + self._plan.patience)

    def _ask(self, question: Question) -> None:
        framing = self._framing
        framing.transaction = self._transaction
        request = framing.frame(question)
        self._transaction = framing.transaction
        self._wire.begin(request, monotonic() + self._plan.patience)

    def _heard(self, pdu: bytes, error: AmrError | None) -> None:
        """What came by the wire, or why nothing did. Nobody hears what a callback raises: whoever waits does."""
        try:
            if isinstance(error, Silent):
                self._plan.ask_who()
            if error is not None:
                raise self._bus.ended(error, self._plan.unit, self._plan.patience) from error
            self._go_on(pdu)
        except Exception as error:  # noqa: BLE001 - as above
            self._fail(error)

    def _go_on(self, pdu: bytes) -> None:
        """Ask what else is asked of this meter; what began as plain turned out not to be."""
        if self._step is not None:
            self._step = None
            self._questions = self._polling.blocks(self._plan)
            next(self._questions)
        try:
            question = self._questions.send(pdu)
        except StopIteration as done:
            answer = self._polling.result(self._turn.meter, self._plan, done.value)
            self._asker.took(answer, monotonic() - self.began)
            self._after_pause(self._go)
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
        self._length = 0
        if not self._over.done():
            self._over.set_exception(error)
