"""Modbus ASCII frames: a colon, hexadecimal digits with an LRC, CR LF. Pure."""

from collections.abc import Mapping

from simulators.framing import Reply, answered
from simulators.unit import Unit

_LONGEST = 513


class AsciiStation:
    """Modbus ASCII on a serial line: frames are told apart by their colon and their end, pauses mean nothing."""

    def __init__(self, units: Mapping[int, Unit]) -> None:
        self._units = units
        self._heard = b""

    def hear(self, data: bytes) -> list[Reply]:
        """Answer every whole frame with a good LRC."""
        *lines, self._heard = (self._heard + data).split(b"\r\n")
        self._heard = self._heard[-_LONGEST:]
        replies: list[Reply] = []
        for line in lines:
            frame = _opened(line)
            if frame and (reply := answered(self._units, frame[0], frame[1:], ascii_frame)):
                replies.append(reply)
        return replies

    def silence(self) -> None:
        """Characters may come a second apart."""


def ascii_frame(unit_id: int, pdu: bytes) -> bytes:
    """A frame with its LRC."""
    body = bytes((unit_id,)) + pdu
    return b":" + (body + bytes((lrc(body),))).hex().upper().encode("ascii") + b"\r\n"


def lrc(data: bytes) -> int:
    """Modbus LRC; over a frame with its own LRC at the end it is 0."""
    return -sum(data) & 0xFF


def _opened(line: bytes) -> bytes | None:
    """Unit and PDU, None when this is no frame."""
    try:
        body = bytes.fromhex(line[line.rfind(b":") + 1 :].decode("ascii"))
    except (UnicodeDecodeError, ValueError):
        return None
    return body[:-1] if b":" in line and len(body) >= 3 and lrc(body) == 0 else None
