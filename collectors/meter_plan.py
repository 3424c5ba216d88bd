"""What is asked of one meter: the plan of its model, narrowed by what this very device turned out to refuse. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache

from collectors.decode import BlockDecoder, block_decoder
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


class MeterPlan:
    """The reads of one meter. `steps` changes when a block is refused; `refused` says which channels it lacks.

    `identity` asks for its serial number. `identify_at` and `ask_again_at` are monotonic instants: when to ask who it
    is, and when to ask once more for what it refused.
    """

    def __init__(self, serial: str, unit: int, model: Model, cost: Cost, most: int | None = None) -> None:
        self.serial = serial
        self.unit = unit
        self.model = model
        self._cost = cost
        self._most = min(model.max_registers, most or model.max_registers)
        self.steps: list[Step] = []
        self.refused: list[str] = []
        self.ask_again_at = 0.0
        self.identify_at = 0.0
        self.identity = self._identity(model.serial)
        self.reset()

    def reset(self) -> None:
        """Forget what was refused and ask for everything again."""
        reads = _reads(self.model, self._cost, self._most)
        self.steps = [self._step(block, decoder) for block, decoder in reads]
        self.refused = []

    def narrow(self, step: Step, why: str, raw: bytes) -> list[Reject]:
        """After an illegal address: ask for the halves instead, or no more at all when it is one register.

        Gives what has to be reported about a register that left the plan.
        """
        at = self.steps.index(step)
        self.steps[at : at + 1] = [self._step(block, _decoder(block)) for block in split(step.block)]
        if len(step.block.registers) > 1:
            return []
        [register] = step.block.registers
        self.refused.append(register.channel)
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

    def _step(self, block: Block, decoder: BlockDecoder) -> Step:
        return Step(block, question(self.unit, block.function, block.address, block.count), decoder)


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


@lru_cache(maxsize=512)
def _reads(model: Model, cost: Cost, most: int) -> tuple[tuple[Block, BlockDecoder], ...]:
    """Thousands of meters share few plans."""
    return tuple((block, _decoder(block)) for block in plan(model.registers, cost, most, model.max_gap))


def _decoder(block: Block) -> BlockDecoder:
    return block_decoder(block.registers, block.address, _HEAD)
