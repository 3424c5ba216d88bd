"""Two writers on one socket: acknowledgements in bulk and another's packets, never one within a half-sent other."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import Protocol

_LATER = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Sending(Protocol):
    """What is needed of a non-blocking socket."""

    def send(self, data: bytearray, /) -> int:
        """How many bytes it took."""


class TwoWriters:
    """`write_other` sends what the other writer has and tells whether it stopped in the middle of a packet."""

    def __init__(self, write_other: Callable[[], bool]) -> None:
        self._write_other = write_other
        self._other_midway = False
        self._acks = bytearray()

    def add(self, acks: bytes) -> None:
        """Whole packets to send at the next turn."""
        self._acks += acks

    def write(self, sock: Sending) -> bool:
        """Send what the socket takes; True when more is to be sent later. OSError when the connection is broken."""
        if self._other_midway:
            self._other_midway = self._write_other()
        if not self._other_midway:
            self._write_acks(sock)
        if not self._acks and not self._other_midway:
            self._other_midway = self._write_other()
        return bool(self._acks) or self._other_midway

    def _write_acks(self, sock: Sending) -> None:
        try:
            while self._acks:
                del self._acks[: sock.send(self._acks)]
        except _LATER:
            return
