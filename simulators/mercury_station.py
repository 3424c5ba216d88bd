"""The far end of a line with Меркурий meters of both families: hears frames by length and CRC, answers each. Pure."""

from collections.abc import Mapping

from simulators.faults import Fault, Kind
from simulators.framing import Reply, crc16
from simulators.mercury206 import Mercury206
from simulators.mercury230 import Mercury230
from simulators.mercury_packing import signed

_ANY = 0


class MercuryStation:
    """Three-phase meters by their one-byte address, single-phase ones by their four-byte address."""

    def __init__(
        self, three_phase: Mapping[int, Mercury230] | None = None, single_phase: Mapping[int, Mercury206] | None = None
    ) -> None:
        self._three_phase = three_phase or {}
        self._single_phase = single_phase or {}
        self._heard = b""

    def hear(self, data: bytes) -> list[Reply]:
        """Answer every whole frame with a good CRC; step over what is none, byte by byte."""
        self._heard += data
        replies: list[Reply] = []
        at = 0
        while at < len(self._heard):
            used, reply = self._frame(self._heard[at:])
            if used:
                self._heard, at = self._heard[at + used :], 0
                replies += [reply] if reply else []
            else:
                at += 1
        self._heard = self._heard[-32:]
        return replies

    def silence(self) -> None:
        """A pause ends a frame."""
        self._heard = b""

    def _frame(self, heard: bytes) -> tuple[int, Reply | None]:
        """How many bytes a frame that begins here takes (0: none does), and the answer to it."""
        device = self._single_phase.get(int.from_bytes(heard[:4], "big")) if len(heard) > 6 else None
        if device and (end := self._end(heard, 4 + device.length(heard[4:]))):
            return end + 2, _travel(device, heard[:5], heard[4:end])
        three = next(iter(self._three_phase.values()), None) if heard[0] == _ANY else self._three_phase.get(heard[0])
        if three and len(heard) > 3 and (end := self._end(heard, 1 + three.length(heard[1:]))):
            return end + 2, _travel(three, heard[:1], heard[1:end])
        return 0, None

    def _end(self, heard: bytes, end: int) -> int:
        """Where the CRC begins when the frame is whole and sound, else 0."""
        return end if len(heard) >= end + 2 and crc16(heard[: end + 2]) == 0 else 0


def _travel(device: Mercury230 | Mercury206, head: bytes, command: bytes) -> Reply | None:
    """The answer as it arrives, under whatever fault holds now."""
    fault = device.fault()
    if fault is not None and fault.kind is Kind.DEAD:
        return None
    data = device.answer(command)
    if data is None:
        return None
    return Reply(signed(head + data)) if fault is None else _damaged(head, data, fault)


def _damaged(head: bytes, data: bytes, fault: Fault) -> Reply:
    """What becomes of a sound answer on a faulty way."""
    frame = signed(head + data)
    middle = len(frame) // 2
    match fault.kind:
        case Kind.DISCONNECT:
            return Reply(b"", closes=True)
        case Kind.SLOW | Kind.LATE:
            return Reply(frame, after=fault.seconds)
        case Kind.NOISE:
            return Reply(frame[:middle] + bytes((frame[middle] ^ 0x10,)) + frame[middle + 1 :])
        case Kind.HALF_FRAME:
            return Reply(frame[:middle])
        case Kind.LEADING_NOISE:
            return Reply(b"\x00\xff" + frame)
        case Kind.WRONG_UNIT:
            return Reply(signed(bytes((head[0] % 240 + 1,)) + head[1:] + data))
        case Kind.SHORT:
            return Reply(signed(head + data[:-1]))
        case Kind.ILLEGAL_ADDRESS:
            return Reply(signed(head + b"\x01"))
        case _:
            return Reply(signed(head + b"\x02"))
