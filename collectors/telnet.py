"""Telnet taken out of a stream of bytes: plain data, and what the other side negotiates. Pure."""

from __future__ import annotations

from typing import NamedTuple

IAC, DONT, DO, WONT, WILL, SB, SE = 255, 254, 253, 252, 251, 250, 240
BINARY, GO_AHEAD, COM_PORT = 0, 3, 44
_LONGEST = 512


class Negotiation(NamedTuple):
    """DO, DONT, WILL or WONT of an option, or SB with what stands in the subnegotiation."""

    verb: int
    option: int
    data: bytes = b""


class Telnet:
    """Bytes in any pieces."""

    def __init__(self) -> None:
        self._held = b""

    def hear(self, data: bytes) -> list[bytes | Negotiation]:
        """What is whole now, in its order; doubled IAC is one byte of data."""
        held = self._held + data
        found: list[bytes | Negotiation] = []
        at = 0
        while at < len(held):
            mark = held.find(IAC, at)
            if mark < 0:
                found.append(held[at:])
                at = len(held)
                break
            if mark > at:
                found.append(held[at:mark])
            piece, end = _piece(held, mark)
            if end == mark:
                at = mark
                break
            if piece is not None:
                found.append(piece)
            at = end
        self._held = held[at:] if len(held) - at <= _LONGEST else b""
        return found


def _piece(held: bytes, at: int) -> tuple[bytes | Negotiation | None, int]:
    """What begins with IAC at `at`, and where it ends; ends there when it is not whole."""
    if len(held) - at < 2:
        return None, at
    verb = held[at + 1]
    if verb == IAC:
        return b"\xff", at + 2
    if verb in (DO, DONT, WILL, WONT):
        return (Negotiation(verb, held[at + 2]), at + 3) if len(held) - at > 2 else (None, at)
    if verb != SB:
        return None, at + 2
    end = at + 2
    while (end := held.find(IAC, end)) >= 0 and len(held) - end > 1:
        if held[end + 1] == SE:
            body = held[at + 2 : end].replace(b"\xff\xff", b"\xff")
            return (Negotiation(SB, body[0], body[1:]) if body else None), end + 2
        end += 2
    return None, at
