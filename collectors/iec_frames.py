"""IEC 62056-21 mode C on the wire: greeting, choice of speed, commands, blocks and their checksums. Pure.

Source: IEC 62056-21 (ГОСТ Р МЭК 61107), the protocol of Энергомера CE208/CE308, frames recorded from CE102M and НЕВА.
"""

from __future__ import annotations

import re
from enum import StrEnum
from functools import reduce
from operator import xor
from typing import NamedTuple

SOH, STX, ETX, ACK, NAK = 0x01, 0x02, 0x03, 0x06, 0x15
SPEEDS = {"0": 300, "1": 600, "2": 1200, "3": 2400, "4": 4800, "5": 9600, "6": 19200}
_GREETING = re.compile(rb"/([A-Za-z]{3})([0-9A-I])([ -~]{0,16})\r\n")
_ADDRESS = re.compile(r"[0-9A-Za-z ]{0,32}", re.ASCII)
_EVEN = bytes(byte | 0x80 if byte.bit_count() % 2 else byte for byte in range(128))


class Bcc(StrEnum):
    """How the block check is made of the bytes after the start up to ETX: the standard's way, or Энергомера's."""

    XOR = "xor"
    SUM = "sum"

    def of(self, block: bytes) -> int:
        """The check of these bytes, 7 bits."""
        return (reduce(xor, block, 0) if self is Bcc.XOR else sum(block)) & 0x7F


class Greeting(NamedTuple):
    """What a meter says of itself: its maker, the code of the speed it offers, and its name."""

    maker: str
    speed: str
    name: str

    @property
    def baud(self) -> int | None:
        """The speed offered, None when the code is no speed of mode C."""
        return SPEEDS.get(self.speed)


def is_address(text: str) -> bool:
    """Whether this can stand in a sign-on."""
    return _ADDRESS.fullmatch(text) is not None


def sign_on(address: str) -> bytes:
    """Wake the meter with this address; empty: any single meter."""
    return b"/?%b!\r\n" % address.encode("ascii")


def greeting(heard: bytes) -> Greeting | None:
    """A greeting that came whole; an echo of the sign-on and noise before it are stepped over."""
    found = _GREETING.search(heard)
    if found is None or found.end() != len(heard):
        return None
    maker, speed, name = (part.decode("ascii") for part in found.groups())
    return Greeting(maker, speed, name)


def choice(speed: str, *, programming: bool) -> bytes:
    """Our answer to the greeting: the speed to go on with, and readout or programming mode."""
    return b"\x060%b%b\r\n" % (speed.encode("ascii"), b"1" if programming else b"0")


def command(kind: str, data: str | None, bcc: Bcc) -> bytes:
    """A programming command: P1 with the password, R1 with a name, B0 for the end of the session."""
    body = kind.encode("ascii") + (b"" if data is None else b"\x02" + data.encode("ascii")) + b"\x03"
    return b"\x01%b%c" % (body, bcc.of(body))


class Block(NamedTuple):
    """A whole block with a good check: SOH or STX, and what stands between it and ETX."""

    start: int
    text: bytes


def block(heard: bytes, request: bytes, bcc: Bcc) -> Block | None:
    """The block that is all that came (our own echo apart); None while there is none."""
    heard = heard.removeprefix(request).lstrip(b"\x00\x7f")
    if len(heard) < 3 or heard[0] not in (SOH, STX) or heard[-2] != ETX or heard.find(ETX) != len(heard) - 2:
        return None
    return Block(heard[0], heard[1:-2]) if bcc.of(heard[1:-1]) == heard[-1] else None


def acknowledged(heard: bytes, request: bytes, bcc: Bcc) -> bool | None:
    """True for ACK alone; False for NAK, or for a block instead of it (a refusal); None while neither has come."""
    rest = heard.removeprefix(request).lstrip(b"\x00\x7f")
    if rest in (b"\x06", b"\x15"):
        return rest == b"\x06"
    return False if block(heard, request, bcc) else None


def with_parity(data: bytes) -> bytes:
    """7-bit characters with even parity as a port set to 8 bits without parity has to send them."""
    return data.translate(_EVEN + bytes(128))


def without_parity(data: bytes) -> bytes | None:
    """The characters a port set to 8 bits received with even parity in the highest; None when one is damaged."""
    plain = bytes(byte & 0x7F for byte in data)
    return plain if with_parity(plain) == data else None
