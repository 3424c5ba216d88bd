"""A serial line on a pseudo-terminal, with the timing that a pseudo-terminal itself does not have.

The client opens `line.path` as its serial port. Characters take their time at the line's speed, both ways; a client
that set another speed is not understood. Parity cannot be told: Linux pseudo-terminals forget it.
"""

import asyncio
import contextlib
import os
import termios
import tty
from types import TracebackType
from typing import Self

from simulators.framing import Reply, Station

# A UART hands characters over in such pieces.
_PIECE = 16
_PAUSE_SECONDS = 0.05


class SerialLine:
    """One station (with many units) behind a pseudo-terminal; `bits` per character: 10 is 8N1, 11 with parity.

    `link` is a path that stays the same from run to run; it leads to the pseudo-terminal.
    """

    def __init__(
        self,
        station: Station,
        *,
        baud: int = 9600,
        bits: int = 10,
        turnaround: float = 0.005,
        link: str | None = None,
    ) -> None:
        _speed(baud)
        if bits not in (10, 11):
            raise ValueError(f"bits {bits} per character must be 10 (8N1, 7E1) or 11 (8E1, 8N2)")
        self.station = station
        self.baud = baud
        self.path = ""
        self.collisions = 0  # pieces of requests that came while the line was talking
        self.misheard = 0  # pieces that came at another speed
        self._bits = bits
        self._turnaround = turnaround
        self._link = link
        self._ends: tuple[int, int] | None = None
        self._heard = 0
        self._last = 0.0
        self._talks_until = 0.0
        self._talks_from = 0.0
        self._timers: set[asyncio.TimerHandle] = set()

    async def start(self) -> None:
        """Open the pseudo-terminal; `path` is where a client finds it. OSError when its link cannot be made."""
        ours, theirs = os.openpty()
        if self._link is not None:
            try:
                _lead(self._link, os.ttyname(theirs))
            except OSError:
                os.close(ours)
                os.close(theirs)
                raise
        tty.setraw(theirs)
        os.set_blocking(ours, False)
        # Their end is kept open here too: else the line would hang up whenever a client closes it.
        self._ends = (ours, theirs)
        self.path = self._link or os.ttyname(theirs)
        asyncio.get_running_loop().add_reader(ours, self._readable)

    async def stop(self) -> None:
        """Take the line away."""
        if self._ends is None:
            return
        ends, self._ends = self._ends, None
        asyncio.get_running_loop().remove_reader(ends[0])
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        for end in ends:
            os.close(end)
        if self._link is not None:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._link)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def _readable(self) -> None:
        assert self._ends is not None
        data = os.read(self._ends[0], 4096)
        now = asyncio.get_running_loop().time()
        if now - self._last > _PAUSE_SECONDS:
            self.station.silence()
            self._heard = 0
        self._last = now
        if termios.tcgetattr(self._ends[1])[4] != _speed(self._baud):
            self.misheard += 1
        elif self._talks_from <= now < self._talks_until:
            self.collisions += 1
        else:
            self._heard += len(data)
            for reply in self.station.hear(data):
                self._answer(reply, now)

    @property
    def _baud(self) -> int:
        """The speed now: a station that agrees on another one (IEC 62056-21) has it in `baud`."""
        return getattr(self.station, "baud", None) or self.baud

    def _answer(self, reply: Reply, now: float) -> None:
        """Send piece by piece, each when its last character would have arrived."""
        character = self._bits / self._baud
        asked = (self._heard + 3.5) * character
        self._heard = 0
        begin = max(now + asked + self._turnaround + reply.after, self._talks_until)
        self._talks_from = begin
        self._talks_until = begin + len(reply.frame) * character
        for at in range(0, len(reply.frame), _PIECE):
            piece = reply.frame[at : at + _PIECE]
            self._at(begin + (at + len(piece)) * character, piece)

    def _at(self, when: float, piece: bytes) -> None:
        timer: asyncio.TimerHandle = asyncio.get_running_loop().call_at(when, lambda: self._send(timer, piece))
        self._timers.add(timer)

    def _send(self, timer: asyncio.TimerHandle, piece: bytes) -> None:
        self._timers.discard(timer)
        if self._ends is not None:
            try:
                os.write(self._ends[0], piece)
            except BlockingIOError:
                # Nobody reads: a wire does not wait either.
                self.collisions += 1


def _lead(link: str, path: str) -> None:
    """Make a link to a pseudo-terminal; one that a killed simulator left behind is replaced, nothing else is."""
    if os.path.islink(link) and os.readlink(link).startswith("/dev/pts/"):
        os.unlink(link)
    os.symlink(path, link)


def _speed(baud: int) -> int:
    try:
        speed: int = getattr(termios, f"B{baud}")
    except AttributeError:
        raise ValueError(
            f"baud {baud} is no speed of a serial port; take 1200, 2400, 4800, 9600, 19200, 38400 …"
        ) from None
    return speed
