"""Turn-taking on one wire, whatever is spoken on it: pauses, patience, draining, late answers. One for all protocols.

A question is asked only when the line is free and settled. After a failure the line must fall silent first, and
whoever failed is left alone for so long as its answer may still come: it would be taken for another question's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from typing import Protocol, TypeVar

from collectors.line_settings import LineKind, LineSettings
from collectors.link import LineDown, Overhearing, Silent, not_reached
from collectors.modbus_frames import Garbled
from collectors.rfc2217 import open_remote
from collectors.serial_port import open_port
from collectors.wire import Wire
from ingest.errors import AmrError, Busy, Refused

_Answer = TypeVar("_Answer")
_TALKATIVE = 2.0
"""A line that does not fall silent for this many seconds is hung up."""


class Port(Protocol):
    """A port whose speed can be changed while it is open."""

    def set_speed(self, baud: int) -> None: ...


class Bus:
    """One wire with its settings. `ask` must not be called while another `ask` waits: the line's owner sees to that."""

    def __init__(self, name: str, settings: LineSettings) -> None:
        self.name = name
        self.settings = settings
        self._wire: Wire | None = None
        self._port: Port | None = None
        self._shared = settings.kind is not LineKind.TCP
        self._ask_after: dict[Hashable, float] = {}
        self._free_at = 0.0
        self._unsettled = False
        self._ear: Overhearing | None = None

    def overhear(self, ear: Overhearing | None) -> None:
        """Let somebody hear every frame, over reconnects too; None ends it."""
        self._ear = ear
        if self._wire is not None:
            self._wire.ear = ear

    @property
    def is_open(self) -> bool:
        """Whether somebody opened it and nobody hung up since."""
        return self._wire is not None

    def set_speed(self, baud: int) -> bool:
        """Change the speed of the line; False when only its far end could."""
        if self._port is None:
            return False
        self._port.set_speed(baud)
        return True

    async def open(self) -> None:
        """Connect, and let the line settle. LineDown says why that failed."""
        self.close()
        self._wire, self._port = await connect(self.settings)
        self._wire.ear = self._ear
        self._unsettled = self._shared
        self._free_at = asyncio.get_running_loop().time() + self.settings.connect_pause

    def close(self) -> None:
        """Hang up."""
        if self._wire is not None:
            self._wire.close()
            self._wire = self._port = None

    async def ask(
        self,
        who: Hashable,
        request: bytes,
        find: Callable[[bytes], _Answer | None],
        verdict: Callable[[bytes], AmrError | None],
        patience: float,
        pause: float,
    ) -> _Answer:
        """Send when it is our turn and give what `find` makes of the bytes that come.

        `who` is the device asked. `pause` is the silence kept afterwards. When `patience` ends, `verdict` says what was
        wrong with the bytes heard; when it finds nothing wrong, the device is Silent. A verdict of Refused or Busy is
        an answer: the device said it whole, and nothing else is under way.
        """
        wire = self._wire
        if wire is None:
            raise LineDown(f"line {self.name} is not open")
        if self._free_at or self._unsettled or who in self._ask_after:
            await self._wait_for_turn(wire, who)
        try:
            return await wire.ask(request, find, patience)
        except Garbled as error:
            self.close()
            raise LineDown(str(error)) from error
        except Silent as error:
            raise self._silence(wire, who, verdict, patience) from error
        finally:
            self._free_at = asyncio.get_running_loop().time() + pause if pause else 0.0

    def at_once(self) -> Wire | None:
        """The wire itself, for whoever asks question after question without a task; None when there is to be waited.

        Only a line with transaction numbers needs no silence between questions and knows late answers by themselves.
        """
        return None if self._shared or self._free_at else self._wire

    def ended(self, error: AmrError, who: Hashable, patience: float) -> AmrError:
        """What the end of a question asked at once means; a stream without frames is hung up."""
        if isinstance(error, Garbled):
            self.close()
            return LineDown(str(error))
        return _silent(who, patience) if isinstance(error, Silent) else error

    async def send(self, request: bytes, pause: float) -> None:
        """Say what nobody answers, and keep silence for `pause` seconds."""
        wire = self._wire
        if wire is None:
            raise LineDown(f"line {self.name} is not open")
        if self._free_at or self._unsettled:
            await self._wait_for_turn(wire, None)
        wire.send(request)
        self._free_at = asyncio.get_running_loop().time() + pause

    async def _wait_for_turn(self, wire: Wire, who: Hashable) -> None:
        """Keep the pause between frames; after a failure also wait for silence, and for a late answer of this one."""
        now = asyncio.get_running_loop().time()
        rest = max(self._free_at, self._ask_after.pop(who, 0.0)) - now
        if rest > 0:
            await asyncio.sleep(rest)
        if self._unsettled:
            if not await wire.quiet(self.settings.quiet, _TALKATIVE):
                self.close()
                raise LineDown(f"line {self.name} does not fall silent for {self.settings.quiet} s")
            self._unsettled = False

    def _silence(
        self, wire: Wire, who: Hashable, verdict: Callable[[bytes], AmrError | None], patience: float
    ) -> AmrError:
        """What the end of our patience means: a silent meter, or one that was heard badly."""
        if self._shared:
            said = verdict(wire.heard)
            if isinstance(said, (Refused, Busy)):
                return said
            self._unsettled = True
            if self.settings.late:
                self._ask_after[who] = asyncio.get_running_loop().time() + self.settings.late
            if said:
                return said
        return _silent(who, patience)


def _silent(who: Hashable, patience: float) -> Silent:
    return Silent(f"unit {who} did not answer within {patience:.2f} s")


async def connect(settings: LineSettings) -> tuple[Wire, Port | None]:
    """A wire to the line, and its port when we may change its speed. Raises LineDown with the reason."""
    wire = Wire()
    port: Port | None = None
    try:
        async with asyncio.timeout(settings.connect_timeout):
            if settings.kind.is_serial:
                port = await open_port(settings.serial_port, wire)
            elif settings.kind is LineKind.RFC2217:
                port = await open_remote(settings.host, settings.port, settings.serial_port, wire)
            else:
                await asyncio.get_running_loop().create_connection(lambda: wire, settings.host, settings.port)
    except TimeoutError as error:
        raise LineDown(f"{settings.where} took no connection within {settings.connect_timeout} s") from error
    except OSError as error:
        raise not_reached(settings.where, error) from error
    return wire, port
