"""Frames of Меркурий meters: address, (code,) data, CRC16. Whose answer it is, and whether it is whole. Pure.

The three-phase family does not echo the command, so an answer is taken only when it comes alone and is exactly as long
as the question asks for; the single-phase family answers with its four-byte address and the code.
"""

from __future__ import annotations

from dataclasses import dataclass

from collectors.crc import crc16
from ingest.errors import Malformed

_NOISE = b"\x00\xff"
"""What a line says while its transceivers change direction."""
_MOST_NOISE = 2
_STATUS = 4


@dataclass(frozen=True, slots=True)
class Frame:
    """One question: the bytes sent, what the answer begins with and how many data bytes it has."""

    request: bytes
    head: bytes
    size: int

    @property
    def length(self) -> int:
        """Bytes of the answer."""
        return len(self.head) + self.size + 2

    def answer(self, heard: bytes) -> bytes | None:
        """The data of the answer; None while it has not come alone, whole and sound."""
        heard = self._without_echo(heard)
        for noise in range(min(_MOST_NOISE, len(heard)) + 1):
            if heard[:noise].strip(_NOISE):
                break
            if (data := self._data(heard[noise:], self.length)) is not None:
                return data
        return self._behind_another(heard)

    def _behind_another(self, heard: bytes) -> bytes | None:
        """The answer after one whole frame of another device: a late one that crossed our question."""
        late, own = heard[: -self.length], heard[-self.length :]
        if len(late) > 3 and late[0] != self.head[0] and crc16(late[:-2]) == late[-2:]:
            return self._data(own, self.length)
        return None

    def status(self, heard: bytes) -> int | None:
        """The code of a one-byte answer, when that alone is what came before the time was up."""
        data = self._data(self._without_echo(heard), _STATUS)
        return None if data is None or len(self.head) != 1 else data[0] & 0x0F

    def verdict(self, heard: bytes) -> Malformed | None:
        """After the time is up: what was wrong with the bytes that came, None when none came."""
        heard = self._without_echo(heard)
        if not heard:
            return None
        seen = heard[:40].hex(" ")
        if len(heard) > 3 and crc16(heard[:-2]) == heard[-2:]:
            return Malformed(f"{seen} is a good frame but not the answer asked for: {self.length} bytes were due")
        return Malformed(f"{seen} is no whole frame with a good CRC; noise, or two devices at once")

    def _without_echo(self, heard: bytes) -> bytes:
        """Two-wire adapters give back what was sent."""
        return heard.removeprefix(self.request)

    def _data(self, frame: bytes, length: int) -> bytes | None:
        if len(frame) != length or not frame.startswith(self.head) or crc16(frame[:-2]) != frame[-2:]:
            return None
        return frame[len(self.head) : -2]


def frame_230(address: int, command: bytes, size: int) -> Frame:
    """A question of the three-phase family: `command` is the code and its parameters."""
    head = bytes((address,))
    return Frame(_signed(head + command), head, size)


def frame_206(address: int, command: bytes, size: int) -> Frame:
    """A question of the single-phase family; the answer repeats address and code, not the parameters."""
    head = address.to_bytes(4, "big")
    return Frame(_signed(head + command), head + command[:1], size)


def _signed(frame: bytes) -> bytes:
    return frame + crc16(frame)
