"""Modbus frames: MBAP (Modbus TCP) and RTU, requests out of a byte stream and answers into it. Pure.

A `Station` hears bytes of one connection and says what goes back, when, and whether the connection ends. Stations
know nothing of sockets and ports, so the same one stands behind TCP and behind a serial line.
"""

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from simulators.faults import Fault, Kind
from simulators.unit import NO_ANSWER, Unit, exception

_LONGEST = 260


@dataclass(frozen=True, slots=True)
class Reply:
    """Bytes to send `after` seconds; with `closes` the connection ends instead."""

    frame: bytes
    after: float = 0.0
    closes: bool = False


class Station(Protocol):
    """The far end of one connection or serial line."""

    def hear(self, data: bytes) -> list[Reply]:
        """Take bytes as they come, in any pieces."""
        ...

    def silence(self) -> None:
        """The line fell silent: whatever was half heard is no request."""
        ...


class MbapStation:
    """Modbus TCP: frames are told apart by their length field, many may come in one piece."""

    def __init__(self, units: Mapping[int, Unit]) -> None:
        self._units = units
        self._heard = b""

    def hear(self, data: bytes) -> list[Reply]:
        """Answer every whole frame; what is no Modbus TCP at all closes the connection."""
        self._heard += data
        replies: list[Reply] = []
        while len(self._heard) >= 8:
            transaction, protocol, length = struct.unpack_from(">HHH", self._heard)
            if protocol or not 2 <= length <= _LONGEST:
                self._heard = b""
                return [*replies, Reply(b"", closes=True)]
            if len(self._heard) < 6 + length:
                break
            frame, self._heard = self._heard[: 6 + length], self._heard[6 + length :]
            if reply := self._reply(transaction, frame[6], frame[7:]):
                replies.append(reply)
        return replies

    def silence(self) -> None:
        """TCP keeps what came: a pause means nothing here."""

    def _reply(self, transaction: int, unit_id: int, pdu: bytes) -> Reply | None:
        unit = self._units.get(unit_id)
        if unit is None:
            return None
        fault = unit.fault()
        if fault is None:
            return Reply(_mbap(transaction, unit_id, unit.answer(pdu)))
        if fault.kind is Kind.NOISE:
            # A gateway drops what fails the CRC behind it and says that the device did not respond.
            return Reply(_mbap(transaction, unit_id, exception(pdu[0], NO_ANSWER)))
        answered_by = _foreign(unit_id) if fault.kind is Kind.WRONG_UNIT else unit_id
        return _damaged(_mbap(transaction, answered_by, unit.answer_with(fault, pdu)), fault)


class RtuStation:
    """Modbus RTU on a serial line or through a transparent converter: frames are told apart by length and CRC."""

    def __init__(self, units: Mapping[int, Unit]) -> None:
        self._units = units
        self._heard = b""

    def hear(self, data: bytes) -> list[Reply]:
        """Answer every whole frame with a good CRC; step over what is none, byte by byte."""
        self._heard += data
        replies: list[Reply] = []
        while len(self._heard) >= 4:
            size = _request_size(self._heard)
            if size is None or size > len(self._heard):
                break
            if crc16(self._heard[:size]) != 0:
                self._heard = self._heard[1:]
                continue
            frame, self._heard = self._heard[:size], self._heard[size:]
            if reply := answered(self._units, frame[0], frame[1:-2], rtu):
                replies.append(reply)
        return replies

    def silence(self) -> None:
        """A pause ends a frame."""
        self._heard = b""


def answered(
    units: Mapping[int, Unit], unit_id: int, pdu: bytes, framed: Callable[[int, bytes], bytes]
) -> Reply | None:
    """What a unit on a wire answers in frames with a check sum, and what becomes of it on a faulty way."""
    unit = units.get(unit_id)
    if unit is None:
        return None
    fault = unit.fault()
    if fault is None:
        return Reply(framed(unit_id, unit.answer(pdu)))
    answered_by = _foreign(unit_id) if fault.kind is Kind.WRONG_UNIT else unit_id
    frame = framed(answered_by, unit.answer_with(fault, pdu))
    if fault.kind is Kind.NOISE:
        middle = len(frame) // 2
        frame = frame[:middle] + bytes((frame[middle] ^ 0x10,)) + frame[middle + 1 :]
    return _damaged(frame, fault)


def _damaged(frame: bytes, fault: Fault) -> Reply | None:
    """What becomes of a frame on a faulty way."""
    match fault.kind:
        case Kind.DEAD:
            return None
        case Kind.DISCONNECT:
            return Reply(b"", closes=True)
        case Kind.SLOW | Kind.LATE:
            return Reply(frame, after=fault.seconds)
        case Kind.HALF_FRAME:
            return Reply(frame[: len(frame) // 2])
        case Kind.LEADING_NOISE:
            return Reply(b"\x00\xff" + frame)
        case _:
            return Reply(frame)


def _foreign(unit_id: int) -> int:
    return unit_id % 247 + 1


def _mbap(transaction: int, unit_id: int, pdu: bytes) -> bytes:
    return struct.pack(">HHHB", transaction, 0, len(pdu) + 1, unit_id) + pdu


def rtu(unit_id: int, pdu: bytes) -> bytes:
    """An RTU frame with its CRC, low byte first."""
    body = bytes((unit_id,)) + pdu
    return body + struct.pack("<H", crc16(body))


def _request_size(heard: bytes) -> int | None:
    """Length of the request that begins here by its function code; None while that cannot be told yet."""
    function = heard[1]
    if function <= 6:
        return 8
    if function in (15, 16):
        return 9 + heard[6] if len(heard) > 6 else None
    # Any other function: its length is unknown, so the frame is all there is, once the CRC fits.
    return len(heard) if crc16(heard) == 0 or len(heard) > _LONGEST else None


def _crc_table() -> tuple[int, ...]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0xA001 if value & 1 else 0)
        table.append(value)
    return tuple(table)


_CRC = _crc_table()


def crc16(data: bytes) -> int:
    """Modbus CRC; over a frame with its own CRC at the end it is 0."""
    crc = 0xFFFF
    for byte in data:
        crc = crc >> 8 ^ _CRC[(crc ^ byte) & 0xFF]
    return crc
