"""One owner per wire: whose turn it is, what a poll becomes, and what to do about silence. Knows no protocol.

A due meter is read, its values share one instant and go to the door with the news that it answered; a failed poll is
news too. Meters that stay silent are given up for a while (`patience.py`) so that they cost the others little. The
connection is judged apart (`line_connection.py`), and what somebody wants done goes first (`line_wishes.py`).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime, timedelta
from functools import partial
from typing import TypeVar

from collectors.asking import Asking
from collectors.clock import Clock
from collectors.line_connection import Connection
from collectors.line_outages import LineOutages
from collectors.line_wishes import Wishes, run
from collectors.link import Answer, Door, LineDown, Link, Overhearing, Polyglot, Spare, Sweep
from collectors.patience import Health, Patience
from collectors.poll import contact, delivery_of
from collectors.retry import put_off
from collectors.schedule import SPREAD, phase
from collectors.turns import Turn, Turns
from ingest.delivery import Delivery, Outcome
from ingest.errors import AmrError, NotFound
from ingest.model import Line, Polled
from ingest.tally import Polled as Tally

log = logging.getLogger(__name__)

_Result = TypeVar("_Result")


class Owner:
    """The only task that speaks on one wire."""

    def __init__(
        self,
        line: Line,
        link: Link,
        door: Door,
        clock: Clock | None = None,
        patience: Patience | None = None,
        *,
        spread: timedelta = SPREAD,
        rng: Callable[[], float] = random.random,
        spare: Spare | None = None,
        tally: Tally | None = None,
    ) -> None:
        self.line = line
        self._tally = tally or Tally()
        self._use = self._tally.busy[line.name]
        self._begun = 0.0
        self._spare = spare
        self._link = link
        self._door = door
        self._clock = clock or Clock()
        self._patience = patience or Patience()
        self._spread = spread
        self._rng = rng
        self._turns = Turns()
        self._wishes = Wishes(self._wake)
        self._woken = asyncio.Event()
        self._report = partial(report, line.name)
        self._outages = LineOutages(log, line.name)
        self._connection = Connection(link, self._clock, self._patience, rng, self._outages)
        self._sweep: Sweep | None = None
        others = self._wishes.errands, self._wishes.called
        self._asking = Asking(self._turns, self._clock, door, self._outages, self._use, *others, spare)

    def update(self, meters: Iterable[Polled]) -> None:
        """The meters asked from now on. One that is new or changed is asked at once; the others keep their turn."""
        wanted = {meter.serial: meter for meter in meters}
        self._turns.keep(wanted.keys())
        now = self._clock.now()
        for serial, meter in wanted.items():
            known = self._turns.of(serial)
            if known is None or known.meter != meter:
                offset = phase(serial, self._spread, meter.period)
                spoken = self._link.protocol(meter) if isinstance(self._link, Polyglot) else "modbus"
                origin = f"{spoken}:{self.line.name}/{meter.address}"
                health, answers = Health(self._patience, self._rng), self._tally.answers[meter.model]
                self._turns.add(Turn(meter, origin, now, offset, health, answers))
        self._wake()

    def _wake(self) -> None:
        """Something is to be done."""
        self._asking.stirred = True
        self._woken.set()
        if self._sweep is not None:
            self._sweep.poke()

    async def ask(self, serial: str) -> Answer:
        """Read one meter of this line ahead of the schedule, for a person who waits. Nothing is delivered."""
        turn = self._turns.of(serial)
        if turn is None:
            raise NotFound(f"meter {serial!r} is not on line {self.line.name}")
        return await self.lend(lambda link: link.read(turn.meter))

    async def lend(self, work: Callable[[Link], Awaitable[_Result]], *, patient: bool = False) -> _Result:
        """Have something short done on this line ahead of the schedule, by the one task that speaks on it.

        Raises what the work raises, or that the line is down. Patient work (one of many steps) lets a meter that is due
        go first after each step.
        """
        return await self._wishes.lend(work, patient=patient)

    def meters(self) -> list[Polled]:
        """The meters on this line."""
        return [turn.meter for turn in self._turns]

    def overhear(self, ear: Overhearing | None) -> None:
        """Let somebody hear every frame on this line from now on; None ends it."""
        self._link.overhear(ear)
        self._wake()

    async def poll_now(self, serial: str) -> tuple[datetime, Outcome]:
        """Poll one meter of this line ahead of the schedule; gives the instant and, after the commit, the outcome.

        Raises what the poll failed with. It counts like any other poll: a failure is told by a contact too.
        """
        at, stored = await self._wishes.call(serial)
        return at, await asyncio.shield(stored)

    async def run(self) -> None:
        """Serve the line until cancelled; then hang up."""
        self._turns.requeue(self._clock.now())
        self._connection.open = False
        try:
            while True:
                await self._turn()
        finally:
            self._wishes.cancel()
            await self._link.close()

    async def _turn(self) -> None:
        """One step: an errand, a meter that is called for, else the one whose turn it is, else a rest."""
        now = self._clock.now()
        due = self._turns.waits(now)
        wishes = self._wishes
        if not wishes.errands and not wishes.called and not due:
            if not await self._spend():
                await self._rest()
        elif self._connection.open or await self._reopen():
            if wishes.errands and not (due and self._asking.let_one_pass):
                await self._run_errand()
            elif wishes.called:
                await self._poll_called(now)
            elif not await self._swept() and (turn := self._turns.take(now)):
                await self._poll(turn, now)

    async def _swept(self) -> bool:
        """Poll whoever is due without being woken for each; False where every question must be waited with."""
        asking = self._asking
        sweep = self._link.sweep(asking)
        if sweep is None:
            return False
        asking.answered, self._sweep = False, sweep
        failure: AmrError | None = None
        try:
            await sweep.over()
        except AmrError as error:
            failure = error
        finally:
            self._sweep = None
        if asking.answered:
            self._connection.answered()
        if failure is not None:
            self._begun = sweep.began
            await self._failed(asking.asked, asking.asked.asked, failure)
        if asking.kept_back is not None:
            delivery, asking.kept_back = asking.kept_back, None
            await self._deliver(delivery)
        return True

    async def _spend(self) -> bool:
        """Give the time until the next poll to whoever asks memories; True when it was taken.

        That a memory does not answer says nothing of the meter: its polls do.
        """
        spare, now = self._spare, self._clock.now()
        if spare is None or not self._connection.open or (spare.ready_at is not None and now < spare.ready_at):
            return False
        answering = [turn.meter for turn in self._turns if not turn.health.failures]
        try:
            delivery = await spare.use(self._link, answering, min(self._turns.instants(), default=None))
        except LineDown as error:
            await self._connection.lost(error)
        else:
            if delivery is not None:
                await self._deliver(delivery)
        return True

    async def _poll_called(self, now: datetime) -> None:
        serial, called = self._wishes.called.popleft()
        if called.done():
            return
        turn = self._turns.of(serial)
        if turn is None:
            called.set_exception(NotFound(f"meter {serial!r} is not on line {self.line.name}"))
            return
        self._turns.withdraw(turn)
        turn.asked = now  # exactly: whoever waits for a reading from now on must not be given an earlier one
        try:
            result = await self._poll(turn, now)
        except asyncio.CancelledError:
            called.cancel()
            raise
        if called.done():
            return
        if isinstance(result, AmrError):
            called.set_exception(result)
        else:
            called.set_result((now, result))

    async def _poll(self, turn: Turn, now: datetime) -> asyncio.Future[Outcome] | AmrError:
        """Read a meter and deliver; gives the commit to come, or what is wrong."""
        self._asking.let_one_pass = False
        meter = turn.meter
        turn.due = turn.regular(now)
        self._begun = time.monotonic()
        try:
            answer = await self._link.read(meter)
        except AmrError as error:
            await self._failed(turn, now, error)
            return error
        self._answered(turn, answer.problem)
        stored = await self._deliver(delivery_of(turn.origin, meter, now, answer))
        return answer.problem or stored

    def _answered(self, turn: Turn, problem: AmrError | None) -> None:
        turn.answers.answered(self._lasted())
        self._connection.answered()
        turn.health.good()
        turn.failing = False
        self._turns.put(turn)
        self._outages.answered(turn.serial, problem)

    def _lasted(self) -> float:
        """Seconds of the line that the poll took."""
        seconds = time.monotonic() - self._begun
        self._use.seconds += seconds
        return seconds

    async def _failed(self, turn: Turn, now: datetime, error: AmrError) -> None:
        """Tell that a poll failed, and when the meter is tried again."""
        meter = turn.meter
        self._tally.failed(meter.model, error.code, self._lasted())
        if isinstance(error, LineDown):
            await self._connection.lost(error)
        put_off(turn, now, error, self._patience.retry)
        await self._connection.failed(error, len(self._turns))
        self._turns.put(turn)
        self._outages.failed(meter.serial, error)
        await self._deliver(Delivery(turn.origin, contacts=(contact(meter, now, error),)))

    async def _reopen(self) -> bool:
        """Open the link if it is time to; otherwise tell of the meters that wait for it, and rest."""
        if self._connection.waits(self._clock.now()):
            await self._tell_waiting(LineDown(f"line {self.line.name} is down"))
            await self._rest()
            return False
        try:
            await self._connection.make()
        except AmrError as error:
            await self._tell_waiting(error)
            return False
        return True

    async def _tell_waiting(self, error: AmrError) -> None:
        """Every meter that is due and cannot be asked has failed this period, once; who waits for one hears it now."""
        self._wishes.fail(error)
        now, contacts = self._clock.now(), []
        for turn in self._turns:
            if turn.due <= now and (turn.told is None or turn.told <= now):
                turn.told = turn.regular(now)
                contacts.append(contact(turn.meter, now, error))
        if contacts:
            await self._deliver(Delivery(f"line:{self.line.name}", contacts=contacts))

    async def _run_errand(self) -> None:
        errand = self._wishes.errands.popleft()
        self._asking.let_one_pass = errand.patient
        await run(errand, self._link, self._connection.lost)

    async def _deliver(self, delivery: Delivery) -> asyncio.Future[Outcome]:
        done = await self._door.put(delivery)
        done.add_done_callback(self._report)
        return done

    async def _rest(self) -> None:
        """Until anything is to be done or somebody wakes us; never long, the clock may be corrected."""
        now = self._clock.now()
        instants = self._turns.instants()
        if self._connection.reopen_at is not None:
            instants = [self._connection.reopen_at, *(instant for instant in instants if instant > now)]
        elif self._connection.open and self._spare is not None and self._spare.ready_at is not None:
            instants.append(self._spare.ready_at)
        self._woken.clear()
        with contextlib.suppress(TimeoutError):
            # not wait_for: in Python 3.11 it may swallow a cancellation
            async with asyncio.timeout(self._clock.rest(now, instants)):
                await self._woken.wait()
        if (later := self._clock.now()) < now:
            self._turns.requeue(later)


def report(line: str, done: asyncio.Future[Outcome]) -> None:
    """Nobody awaits the commit of a poll; a failure must not stay unheard."""
    if not done.cancelled() and (error := done.exception()):
        log.error("line %s: a poll was not stored: %s", line, error)
