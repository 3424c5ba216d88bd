"""Modbus TCP, RTU over TCP, RTU and ASCII: a `Link` that reads meters by the catalogue. The only pymodbus import.

The exchange itself is ours (docs/decisions/0010-own-modbus-transaction.md): pymodbus takes late RTU answers for ours,
lets short ones pass and waits out its timeout when the peer hangs up. What exceptions mean, and ASCII framing, is its.
"""

from __future__ import annotations

import math
import random
from collections.abc import Generator
from decimal import Decimal
from time import monotonic
from typing import TypeVar, cast

from pymodbus.constants import ExcCodes
from pymodbus.framer import FramerAscii
from pymodbus.pdu import DecodePDU

from collectors.bus import Bus
from collectors.catalog import Catalog
from collectors.decode import serial_number
from collectors.identity import same_serial, swapped, without_owner
from collectors.line_settings import LineKind, settings_of, unit_of_meter
from collectors.link import Answer, Asker, Link, Overhearing, Quick, Silent
from collectors.meter_model import Model
from collectors.meter_plan import Fetched, MeterPlan, Step, take
from collectors.modbus_frames import Framing, Mbap, Question, Rtu, checked, question
from collectors.sweep import Sweep
from ingest.delivery import Reject
from ingest.errors import AmrError, Busy, Malformed, Refused
from ingest.model import Line, Polled

_Result = TypeVar("_Result")

IDENTIFY_EVERY = 900.0
"""Seconds between two questions who a meter is: far shorter than an exchange and the first bill after it."""

ASK_AGAIN_AFTER = 21_600.0
"""Seconds after which a register that was refused is asked for once more: the refusal may have been a passing one."""

_SPLIT = (ExcCodes.ILLEGAL_ADDRESS, ExcCodes.ILLEGAL_VALUE)
_BUSY = (ExcCodes.ACKNOWLEDGE, ExcCodes.DEVICE_BUSY)
_SILENT = (ExcCodes.GATEWAY_PATH_UNAVIABLE, ExcCodes.GATEWAY_NO_RESPONSE)


class Ascii:
    """Modbus ASCII as pymodbus frames it."""

    def __init__(self) -> None:
        self._framer = FramerAscii(DecodePDU(False))
        self._question = question(0, 3, 0, 1)

    def frame(self, question: Question) -> bytes:
        self._question = question
        return self._framer.encode(question.pdu, question.unit, 0)

    def answer(self, heard: bytes) -> bytes | None:
        while heard:
            used, unit, _, pdu = self._framer.decode(heard)
            if not used:
                return None
            if pdu and unit == self._question.unit:
                return checked(self._question, pdu)
            heard = heard[used:]
        return None

    def verdict(self, heard: bytes) -> Malformed | None:
        return Malformed(f"{heard[:80]!r} is no whole frame with a good checksum") if heard else None


class ModbusLink:
    """One Modbus line. Remembers over reconnects what each meter refused and when it may be asked again."""

    def __init__(self, line: Line, catalog: Catalog, bus: Bus | None = None) -> None:
        self._catalog = catalog
        self._settings = settings_of(line)
        self._bus = bus or Bus(line.name, self._settings)
        self._mbap = Mbap(random.randrange(0x10000))
        self._framing: Framing = _framing(self._settings.kind) or self._mbap
        self._instant = self._settings.kind is LineKind.TCP
        self._plans: dict[str, tuple[Polled, MeterPlan]] = {}

    async def open(self) -> None:
        """Connect, and let the line settle."""
        await self._bus.open()

    async def close(self) -> None:
        """Hang up."""
        self._bus.close()

    async def read(self, meter: Polled) -> Answer:
        """Poll one meter by its plan, and ask from time to time whether it is still the same."""
        plan = self.plan_of(meter)
        try:
            return _answer(meter, plan, await self._all(self.polling(plan), plan))
        except Silent:
            plan.ask_who()
            raise

    def sweep(self, asker: Asker) -> Sweep | None:
        """Poll meter after meter without a task's help, on Modbus TCP; see `Link.sweep`."""
        wire = self._bus.at_once() if self._instant else None
        if wire is None:
            return None
        return Sweep(polling=self, bus=self._bus, wire=wire, framing=self._mbap, asker=asker)

    def overhear(self, ear: Overhearing | None) -> None:
        """Let somebody hear every frame."""
        self._bus.overhear(ear)

    def polling(self, plan: MeterPlan) -> Generator[Question, bytes, Fetched]:
        """The questions of a poll: wants the answer PDU to each, perhaps a refusal, and gives what they brought."""
        return self.blocks(plan) if monotonic() < plan.identify_at else self._identified(plan)

    def _identified(self, plan: MeterPlan) -> Generator[Question, bytes, Fetched]:
        """The same after asking the meter who it is."""
        said = yield from self._identity(plan)
        fetched = yield from self.blocks(plan)
        return fetched._replace(said=said)

    def blocks(self, plan: MeterPlan) -> Generator[Question, bytes, Fetched]:
        """Every block of a plan. One refused as illegal is split, down to the register that is not there."""
        if plan.refused and monotonic() >= plan.ask_again_at:
            plan.reset()
        rejects: list[Reject] = []
        fetched: list[tuple[Step, bytes]] = []
        while len(fetched) < len(plan.steps):
            step = plan.steps[len(fetched)]
            pdu = yield step.question
            if pdu[0] < 0x80:
                fetched.append((step, pdu))
            elif pdu[1] in _SPLIT:
                rejects += plan.narrow(step, str(refusal(pdu)), step.question.pdu + pdu)
                plan.ask_again_at = monotonic() + ASK_AGAIN_AFTER
            else:
                raise refusal(pdu)
        if not fetched:
            plan.reset()
            raise Refused(f"the meter refuses every register of {plan.model.slug}; is it really one?")
        return Fetched(fetched, rejects)

    def result(self, meter: Polled, plan: MeterPlan, fetched: Fetched) -> Answer | Quick:
        """What the answers of a poll make; nearly always plain values."""
        quick = None if fetched.rejects or fetched.said is not None else plan.quick(fetched.answers)
        return _answer(meter, plan, fetched) if quick is None else quick

    async def _all(self, questions: Generator[Question, bytes, _Result], plan: MeterPlan) -> _Result:
        """Ask question after question; gives what the answers made."""
        try:
            question = next(questions)
            while True:
                pdu = await self.exchange(question, plan.model.timeout, plan.model.pause)
                question = questions.send(pdu)
        except StopIteration as done:
            return cast(_Result, done.value)

    async def words(self, meter: Polled) -> dict[str, bytes]:
        """The words of every register of a meter as they came, by channel; those it refuses are left out."""
        plan = self.plan_of(meter)
        fetched = await self._all(self.blocks(plan), plan)
        found: dict[str, bytes] = {}
        for step, pdu in fetched.answers:
            for register in step.block.registers:
                start = 2 + 2 * (register.address - step.block.address)
                found[register.channel] = pdu[start : start + 2 * register.words]
        return found

    def model_of(self, meter: Polled) -> Model:
        """What the catalogue says of the meter. Misconfigured for an unknown model or a bad unit."""
        return self.plan_of(meter).model

    async def serial(self, meter: Polled) -> str | None:
        """What the meter says its serial number is; None when its model has no register for it, or it states none."""
        plan = self.plan_of(meter)
        return await self._all(self._identity(plan, always=True), plan)

    async def ask(self, unit: int, function: int, address: int, count: int, timeout: float = 1.0) -> bytes:
        """One read outside of any plan: the registers' bytes. For a person's questions; errors as in `read`."""
        answer = await self.exchange(question(unit, function, address, count), timeout, 0.0)
        if answer[0] >= 0x80:
            raise refusal(answer)
        return answer[2:]

    def _identity(self, plan: MeterPlan, always: bool = False) -> Generator[Question, bytes, str | None]:
        """What the meter says its serial number is, None when it has no such register or states nothing."""
        place, asked = plan.model.serial, plan.identity
        if place is None or asked is None or not (always or self._settings.check_serial):
            plan.identify_at = math.inf
            return None
        pdu = yield asked
        if pdu[0] < 0x80:
            plan.identify_at = monotonic() + IDENTIFY_EVERY
            return serial_number(place, pdu[2:])
        if isinstance(error := refusal(pdu), Refused):
            plan.identity = None
            return None
        raise error

    def plan_of(self, meter: Polled) -> MeterPlan:
        """What is asked of a meter. Misconfigured for an unknown model or a bad unit."""
        known = self._plans.get(meter.serial)
        if known is not None and (known[0] is meter or known[0] == meter):
            return known[1]
        settings = self._settings
        unit = unit_of_meter(meter.serial, meter.address, settings.kind)
        plan = MeterPlan(meter.serial, unit, self._catalog.model(meter.model), settings.cost, settings.max_registers)
        plan.patience = settings.timeout or plan.model.timeout
        plan.pause = settings.frame_pause(plan.model.pause)
        self._plans[meter.serial] = meter, plan
        return plan

    async def exchange(self, question: Question, timeout: float, pause: float) -> bytes:
        """Ask when the line is free and settled; give the answer PDU, which may be a refusal."""
        settings, framing = self._settings, self._framing
        patience = settings.timeout or timeout
        if not self._instant:
            patience += settings.frame_time(question.size)
        rest = settings.frame_pause(pause)
        return await self._bus.ask(
            question.unit, framing.frame(question), framing.answer, framing.verdict, patience, rest
        )


def _answer(meter: Polled, plan: MeterPlan, fetched: Fetched) -> Answer:
    """What the answers of a poll make, whatever there is to say of them."""
    values: dict[str, Decimal] = {}
    rejects, said = fetched.rejects, fetched.said
    for step, pdu in fetched.answers:
        take(step, pdu, values, rejects)
    plan.add_sums(values)
    if said is None or same_serial(meter.serial, said):
        return Answer(values, rejects=tuple(rejects), serial=said)
    plan.identify_at = 0.0
    error = swapped(meter.serial, said)
    return Answer({}, rejects=tuple(without_owner(meter.serial, error, values)), serial=said, problem=error)


def modbus_link(line: Line, catalog: Catalog) -> Link:
    """The link of a Modbus line. Misconfigured names what is wrong with its kind, address or options."""
    return ModbusLink(line, catalog)


def refusal(pdu: bytes) -> AmrError:
    """Our error for an exception answer."""
    code = pdu[1]
    name = ExcCodes(code).name.lower().replace("_", " ") if code in set(ExcCodes) else "unknown"
    said = f"the meter answered with exception {code} ({name})"
    if code in _BUSY:
        return Busy(said)
    if code in _SILENT:
        return Silent(f"{said}: its gateway gets no answer")
    return Refused(said)


def _framing(kind: LineKind) -> Framing | None:
    """What frames a question on a line without transaction numbers."""
    if kind is LineKind.TCP:
        return None
    return Ascii() if kind is LineKind.ASCII else Rtu()
