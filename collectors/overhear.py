"""Modbus frames in words: what is asked, what is answered, which values that means. And RTU frames cut out of a stream.

Pure. Knows frames by their length and CRC alone, so that a line can be listened to from the middle on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from collectors.crc import crc16
from collectors.decode import decode
from collectors.masking import shown
from collectors.meter_model import Model
from ingest.channel import unit_of
from ingest.errors import Malformed

_READS = range(1, 5)
_REGISTERS = (3, 4)
_REQUEST = 8
_REFUSAL = 5
_LONGEST = 256
_FLOOD = 4096
"""So many bytes without a frame are none."""


@dataclass(frozen=True, slots=True)
class Heard:
    """One frame, or bytes that are none (`unit` None). `asks` tells a question from an answer."""

    raw: bytes
    unit: int | None = None
    pdu: bytes = b""
    asks: bool = False


class Ear:
    """Cuts RTU frames out of what is heard on a line. Call `silence` when nothing came for a while."""

    def __init__(self) -> None:
        self._heard = b""

    def hear(self, data: bytes) -> list[Heard]:
        """The frames that are whole now, and before each of them the bytes that belong to none."""
        self._heard += data
        found: list[Heard] = []
        start = 0
        while start < len(self._heard):
            frame = _frame(self._heard[start : start + _LONGEST])
            if frame is None:
                start += 1
                continue
            if start:
                found.append(Heard(self._heard[:start]))
            found.append(frame)
            self._heard = self._heard[start + len(frame.raw) :]
            start = 0
        return found if len(self._heard) < _FLOOD else [*found, *self.silence()]

    def silence(self) -> list[Heard]:
        """What is left of the bytes belongs to no frame."""
        left, self._heard = self._heard, b""
        return [Heard(left)] if left else []


class Words:
    """Says frames in words; remembers what each unit was asked, for only that gives an answer's numbers a place."""

    def __init__(self, models: Mapping[int, Model]) -> None:
        self._models = models
        self._asked: dict[int, tuple[int, int, int]] = {}

    def question(self, unit: int, pdu: bytes) -> str:
        """What is asked of a unit."""
        if pdu[0] not in _READS or len(pdu) != 5:
            return f"unit {unit} is told function {pdu[0]}"
        address, count = int.from_bytes(pdu[1:3], "big"), int.from_bytes(pdu[3:5], "big")
        self._asked[unit] = pdu[0], address, count
        return f"unit {unit} is asked for {count} from {address:#06x} on, function {pdu[0]}"

    def answer(self, unit: int, pdu: bytes) -> str:
        """What a unit says: values where its model is known, else its words."""
        asked = self._asked.pop(unit, None)
        if pdu[0] >= 0x80:
            return f"unit {unit} refuses function {pdu[0] & 0x7F} with exception {pdu[1]}"
        if pdu[0] not in _REGISTERS:
            return f"unit {unit} answers function {pdu[0]}"
        known = asked is not None and asked[0] == pdu[0] and 2 * asked[2] == pdu[1]
        model = self._models.get(unit)
        if not known or asked is None or model is None:
            return f"unit {unit} says {pdu[2:].hex(' ', 2)}"
        said = "; ".join(_values(model, pdu[0], asked[1], pdu[2:]))
        return f"unit {unit} says {said or pdu[2:].hex(' ', 2)}"

    def heard(self, one: Heard) -> str:
        """A frame overheard."""
        if one.unit is None:
            return f"no frame: {shown(one.raw)}"
        said = self.question(one.unit, one.pdu) if one.asks else self.answer(one.unit, one.pdu)
        return f"{said}   [{one.raw.hex(' ')}]"


def _values(model: Model, function: int, first: int, data: bytes) -> Iterator[str]:
    for register in model.registers:
        at = 2 * (register.address - first)
        if register.function != function or at < 0 or at + 2 * register.words > len(data):
            continue
        try:
            value = decode(register, data[at : at + 2 * register.words])
        except Malformed:
            yield f"{register.channel} is no number"
            continue
        unit = unit_of(register.channel)
        shown = "not available" if value is None else f"{value.normalize():f}" + (f" {unit}" if unit != "1" else "")
        yield f"{register.channel} = {shown}"


def _frame(heard: bytes) -> Heard | None:
    """The frame these bytes begin with; None when there is none, or not all of it yet."""
    if len(heard) < _REFUSAL or not 1 <= heard[1] & 0x7F <= 0x2B:
        return None
    lengths = (_REFUSAL,) if heard[1] >= 0x80 else (_REQUEST, 5 + heard[2])
    for length in lengths:
        raw = heard[:length]
        if len(raw) == length and crc16(raw[:-2]) == raw[-2:]:
            return Heard(raw, raw[0], raw[1:-2], asks=length == _REQUEST and heard[1] < 0x80)
    return None
