"""Frames shown to people without the passwords in them. Pure."""

from __future__ import annotations

from collectors.crc import crc16

_OPENING = 11
"""Меркурий: address, 01, level, six bytes of password, CRC."""
_MASK = "••"


def shown(raw: bytes) -> str:
    """The bytes in hexadecimal digits; those of a password, of either kind of session, as dots."""
    hidden = {*_mercury(raw), *_iec(raw)}
    return " ".join(_MASK if at in hidden else f"{byte:02x}" for at, byte in enumerate(raw))


def _mercury(raw: bytes) -> set[int]:
    """Places of the password in every request to open a channel."""
    places: set[int] = set()
    for at in range(len(raw) - _OPENING + 1):
        frame = raw[at : at + _OPENING]
        if frame[1] == 0x01 and 1 <= frame[2] <= 3 and crc16(frame[:-2]) == frame[-2:]:
            places |= set(range(at + 3, at + 9))
    return places


def _iec(raw: bytes) -> set[int]:
    """Places of the password in every P1 or P2 command, with or without parity in the characters."""
    plain = bytes(byte & 0x7F for byte in raw)
    places: set[int] = set()
    for head in (b"\x01P1\x02(", b"\x01P2\x02("):
        at = plain.find(head)
        while at >= 0:
            begin = at + len(head)
            end = plain.find(b")", begin)
            places |= set(range(begin, end if end >= 0 else len(plain)))
            at = plain.find(head, begin)
    return places
