"""What is asked of one meter: the plan of its model, narrowed by what this very device turned out to refuse. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from itertools import chain
from typing import NamedTuple, cast

from collectors.decode import BlockDecoder, block_decoder
from collectors.link import Quick
from collectors.meter_model import Model, SerialRegister
from collectors.modbus_frames import Question, question
from collectors.plan import Block, Cost, plan, split
from ingest.delivery import Reject
from ingest.errors import Malformed

_HEAD = 2
"""Function and byte count stand before the registers in an answer PDU."""


@dataclass(frozen=True, slots=True)
class Step:
    """One read of the plan, made ready: its question, and how its answer PDU is decoded."""

    block: Block
    question: Question
    decoder: BlockDecoder

    def quick(self, pdu: bytes) -> Quick | None:
        """Its values in millionths; None when something in it is no number, or none that can be stored."""
        channels, _, each = self.decoder.millionths
        micros = each(pdu, 0)
        if micros is None:
            return None
        if None in micros:
            there = [(channel, one) for channel, one in zip(channels, micros, strict=True) if one is not None]
            return Quick(tuple(channel for channel, _ in there), [one for _, one in there])
        return Quick(channels, cast(list[int], micros))


class Fetched(NamedTuple):
    """What one poll brought: the answer PDU to each read, what it lacks, and who the meter says it is."""

    answers: list[tuple[Step, bytes]]
    rejects: list[Reject]
    said: str | None = None


class MeterPlan:
    """The reads of one meter. `steps` changes when a block is refused; `refused` says which channels it lacks.

    `identity` asks for its serial number. `identify_at` and `ask_again_at` are monotonic instants: when to ask who it
    is, and when to ask once more for what it refused. `patience` and `pause` are seconds, as its line has them.
    """

    __slots__ = (
        "_cost", "_most", "ask_again_at", "identify_at", "identity", "model", "patience", "pause", "plain", "refused",
        "serial", "steps", "unit",
    )  # fmt: skip

    def __init__(self, serial: str, unit: int, model: Model, cost: Cost, most: int | None = None) -> None:
        self.serial = serial
        self.unit = unit
        self.model = model
        self._cost = cost
        self._most = min(model.max_registers, most or model.max_registers)
        self.steps: tuple[Step, ...] = ()
        self.plain: Step | None = None
        """The only read there is, when its values are all there is to say."""
        self.refused: list[str] = []
        self.ask_again_at = 0.0
        self.identify_at = 0.0
        self.patience = model.timeout
        self.pause = model.pause
        self.identity = self._identity(model.serial)
        self.reset()

    def reset(self) -> None:
        """Forget what was refused and ask for everything again."""
        self.refused = []
        self._put(_steps(self.model, self._cost, self._most, self.unit))

    def ask_who(self) -> None:
        """Ask who it is before the next poll: while it was silent another meter may have been put there."""
        self.identify_at = 0.0

    def _put(self, steps: tuple[Step, ...]) -> None:
        self.steps = steps
        self.plain = steps[0] if len(steps) == 1 and not (self.refused or self.model.sums) else None

    def narrow(self, step: Step, why: str, raw: bytes) -> list[Reject]:
        """After an illegal address: ask for the halves instead, or no more at all when it is one register.

        Gives what has to be reported about a register that left the plan.
        """
        at = self.steps.index(step)
        instead = tuple(_step(block, _decoder(block), self.unit) for block in split(step.block))
        refused = [] if instead else [one.channel for one in step.block.registers]
        self.refused += refused
        self._put((*self.steps[:at], *instead, *self.steps[at + 1 :]))
        if not refused:
            return []
        [register] = step.block.registers
        detail = f"{why}; {register.channel} at {register.address:#06x} is no longer asked of this meter"
        return [Reject("unsupported_register", detail, raw, self.serial, register.channel)]

    def _identity(self, place: SerialRegister | None) -> Question | None:
        """The question for the serial number; set to None when the meter refuses it."""
        return None if place is None else question(self.unit, place.function, place.address, place.words)

    def add_sums(self, values: dict[str, Decimal]) -> None:
        """Put in the channels that are sums of others, where all parts are there."""
        for one in self.model.sums:
            parts = [values[part] for part in one.parts if part in values]
            if len(parts) == len(one.parts):
                values[one.channel] = sum(parts, Decimal(0))

    def quick(self, answers: Sequence[tuple[Step, bytes]]) -> Quick | None:
        """Plain values in millionths, straight from the bytes; None when there is more to say of them."""
        if self.model.sums:
            return None
        pieces = [step.quick(pdu) for step, pdu in answers]
        if len(pieces) == 1 or None in pieces:
            return pieces[0] if len(pieces) == 1 else None
        channels, micros = zip(*cast(list[Quick], pieces), strict=True)
        return Quick(tuple(chain.from_iterable(channels)), list(chain.from_iterable(micros)))


def take(step: Step, pdu: bytes, values: dict[str, Decimal], rejects: list[Reject]) -> None:
    """Decode an answer PDU into `values`; a piece that is no number is rejected alone."""
    decoder = step.decoder
    for channel, convert, raw in zip(decoder.channels, decoder.converts, decoder.unpack(pdu), strict=True):
        try:
            value = convert(raw)
        except Malformed as error:
            rejects.append(Reject("malformed_register", str(error), pdu, channel=channel))
            continue
        if value is not None:
            values[channel] = value


@lru_cache(maxsize=16384)
def _steps(model: Model, cost: Cost, most: int, unit: int) -> tuple[Step, ...]:
    """Thousands of meters of one model have the same unit number, each on its line: they share what is asked."""
    return tuple(_step(block, decoder, unit) for block, decoder in _reads(model, cost, most))


def _step(block: Block, decoder: BlockDecoder, unit: int) -> Step:
    return Step(block, question(unit, block.function, block.address, block.count), decoder)


@lru_cache(maxsize=512)
def _reads(model: Model, cost: Cost, most: int) -> tuple[tuple[Block, BlockDecoder], ...]:
    """Thousands of meters share few plans."""
    return tuple((block, _decoder(block)) for block in plan(model.registers, cost, most, model.max_gap))


def _decoder(block: Block) -> BlockDecoder:
    return block_decoder(block.registers, block.address, _HEAD)
