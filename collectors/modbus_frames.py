"""Modbus frames around a PDU: MBAP (Modbus TCP) and RTU; whose answer is it, and is it whole. Pure.

An answer is taken only when everything about it fits the question: transaction (TCP), unit, function, and the length
the question asked for. What is well-formed but foreign, such as a late answer of another meter, is passed over.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from collectors.crc import crc16
from ingest.errors import Malformed

_MBAP = 6
_LONGEST = 254


@dataclass(frozen=True, slots=True)
class Question:
    """A read: the unit asked, its request PDU (function, address, count) and how many data bytes must come back.

    `request` and `good` are made once, because a question is asked again and again: what follows the transaction
    number of its MBAP frame, and what must follow it in a good answer's, which has `length` bytes in all.
    """

    unit: int
    pdu: bytes
    size: int
    request: bytes
    good: bytes
    length: int


def question(unit: int, function: int, address: int, count: int) -> Question:
    """The question for `count` registers from wire address `address` on."""
    pdu = bytes((function, *address.to_bytes(2, "big"), *count.to_bytes(2, "big")))
    size = 2 * count
    good = bytes((0, 0, 0, size + 3, unit, function, size))
    return Question(unit, pdu, size, bytes((0, 0, 0, 6, unit)) + pdu, good, 9 + size)


_NOTHING_ASKED = question(0, 3, 0, 1)


class Garbled(Malformed):
    """The stream of bytes has lost its frames: only a new connection helps."""


class Framing(Protocol):
    """Frames one question and finds its answer among the bytes that come."""

    def frame(self, question: Question) -> bytes:
        """The bytes to send; the next `answer` calls are about this question."""
        ...

    def answer(self, heard: bytes) -> bytes | None:
        """The answer PDU, None while it is not whole. `heard` is all since the question; Malformed when hopeless."""
        ...

    def verdict(self, heard: bytes) -> Malformed | None:
        """After the time is up: what was wrong with the bytes that came, None when none came."""
        ...


class Mbap:
    """Modbus TCP. The transaction number tells late answers apart; frames are found by their length field."""

    __slots__ = ("_good", "_head", "_length", "_question", "transaction")

    def __init__(self, first: int = 0) -> None:
        self.transaction = first
        """Of the question asked last."""
        self._head = self._good = b""
        self._length = 0
        self._question = _NOTHING_ASKED

    def frame(self, question: Question) -> bytes:
        self.expect(question, (self.transaction + 1) & 0xFFFF)
        return self._head + question.request

    def expect(self, question: Question, transaction: int) -> None:
        """The next `answer` calls are about this question, which was asked by somebody else."""
        self.transaction = transaction
        self._question = question
        self._head = head = transaction.to_bytes(2, "big")
        self._good = head + question.good
        self._length = question.length

    def answer(self, heard: bytes) -> bytes | None:
        if len(heard) == self._length and heard.startswith(self._good):
            return heard[7:]
        start = 0
        while len(heard) - start >= _MBAP + 2:
            length = int.from_bytes(heard[start + 4 : start + 6], "big")
            if heard[start + 2 : start + 4] != b"\0\0" or not 2 <= length <= _LONGEST:
                raise Garbled(f"{heard[start : start + 8].hex(' ')} is not a Modbus TCP frame; is it RTU over TCP?")
            end = start + _MBAP + length
            if len(heard) < end:
                return None
            if heard[start : start + 2] == self._head:
                return self._pdu(heard[start + 6], heard[start + 7 : end])
            start = end
        return None

    def verdict(self, heard: bytes) -> Malformed | None:
        """Bytes that are no answer are late ones, which is nothing wrong: the meter is slow."""
        return None

    def _pdu(self, unit: int, pdu: bytes) -> bytes:
        if unit != self._question.unit:
            raise Malformed(f"unit {unit} answered the question to unit {self._question.unit}")
        return checked(self._question, pdu)


class Rtu:
    """RTU, on a wire or through a converter. No transaction number: the line must be quiet before asking again.

    The answer is looked for by its exact beginning (unit, function, byte count) and its CRC, so noise before it and
    frames of other meters do not hide it.
    """

    def __init__(self) -> None:
        self._good = b""
        self._refusal = b""
        self._size = 0
        self._question = _NOTHING_ASKED

    def frame(self, question: Question) -> bytes:
        self._question = question
        function = question.pdu[0]
        self._good = bytes((question.unit, function, question.size))
        self._refusal = bytes((question.unit, function | 0x80))
        request = bytes((question.unit,)) + question.pdu
        return request + crc16(request)

    def answer(self, heard: bytes) -> bytes | None:
        return self._find(heard, self._good, 5 + self._question.size) or self._find(heard, self._refusal, 5)

    def _find(self, heard: bytes, beginning: bytes, length: int) -> bytes | None:
        start = heard.find(beginning)
        while start >= 0:
            frame = heard[start : start + length]
            if len(frame) == length and crc16(frame[:-2]) == frame[-2:]:
                return frame[1:-2]
            start = heard.find(beginning, start + 1)
        return None

    def verdict(self, heard: bytes) -> Malformed | None:
        """After the time is up: what was wrong with the bytes that came, None when none came."""
        if not heard:
            return None
        seen = heard[:40].hex(" ")
        if len(heard) >= 5 and crc16(heard[:-2]) == heard[-2:]:
            return Malformed(f"{seen} is a good frame but no answer of unit {self._question.unit} of the asked length")
        return Malformed(f"{seen} is no whole frame with a good CRC; noise, or two devices at once")


def checked(question: Question, pdu: bytes) -> bytes:
    """The PDU if its function and length fit the question; Malformed otherwise. Refusals pass."""
    function = question.pdu[0]
    if len(pdu) >= 2 and pdu[0] == function | 0x80:
        return pdu
    if pdu[:1] != question.pdu[:1]:
        raise Malformed(f"function {pdu[0] if pdu else 'none'} answers the question of function {function}")
    if len(pdu) != question.size + 2 or pdu[1] != question.size:
        raise Malformed(f"{len(pdu) - 2} data bytes (stated {pdu[1]}) answer a question for {question.size}")
    return pdu
