"""Conversations with IEC 62056-21 meters: greeting, speed, password, reads by name or one readout, a proper end.

The session is ended after every conversation: a meter in session listens to what is meant for others, and a meter that
was not told to end answers nobody for a while. The check of a block has 7 bits only, so counters are read twice.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import TypeVar

from collectors.bus import Bus
from collectors.iec_data import NotThere, clock, items, number, readout
from collectors.iec_frames import (
    SOH,
    SPEEDS,
    STX,
    Bcc,
    Block,
    acknowledged,
    block,
    choice,
    command,
    greeting,
    is_address,
    sign_on,
    with_parity,
    without_parity,
)
from collectors.meter_model import UNITS, check_unit
from collectors.serial_talk import Known
from ingest.errors import AmrError, Malformed, Misconfigured, Refused

_Found = TypeVar("_Found")
_CODES = {baud: code for code, baud in SPEEDS.items()}
_BLOCK, _READOUT = 160, 2500
"""Characters an answer may have, for the time it takes."""
_TURN = 0.02
"""Seconds from the choice of a speed until it holds."""
_END = 0.2
"""Seconds a meter needs to end its session."""
_READS = 3


class IecTalk:
    """One meter. Use its `session`; what was read in it is forgotten at its end."""

    def __init__(self, bus: Bus, known: Known) -> None:
        self._bus = bus
        self._known = known
        self._model = known.model
        self._address = known.meter.address.strip()
        if not is_address(self._address):
            raise Misconfigured(
                f"meter {known.meter.serial}: address {known.meter.address!r} is no IEC 62056-21 address; "
                "write up to 32 letters and digits"
            )
        self._seven_bits = bus.settings.data_bits == 7
        self._baud = bus.settings.baud
        self._lines: dict[str, tuple[str, str]] = {}

    @asynccontextmanager
    async def session(self) -> AsyncIterator[None]:
        """Greet, choose, enter; whatever happens, end the session."""
        self._lines = {}
        speed = await self._greet()
        try:
            if self._model.readout:
                await self._read_out(speed)
            else:
                await self._enter(speed)
            yield
        finally:
            await self._end()

    async def say(self, send: str, size: int, *, twice: bool = False) -> bytes:
        """Read by name; `twice` until two answers in a row are the same."""
        if self._model.readout:
            return self._line(send)
        last = await self._read(send)
        for _ in range(_READS - 1 if twice else 0):
            again = await self._read(send)
            if again == last:
                return again
            last = again
        if twice:
            raise Malformed(f"{send} was answered differently {_READS} times; the line is noisy")
        return last

    async def serial(self) -> str | None:
        name = self._model.serial
        if name is None:
            return None
        if self._model.readout:
            return self._lines.get(name, ("", ""))[0] or None
        return await self._text(name)

    async def clock(self) -> datetime | None:
        names = self._model.date, self._model.time
        if self._model.readout or names[0] is None or names[1] is None:
            return None
        texts = [await self._text(name) for name in names if name is not None]
        return clock(*texts) if all(texts) else None  # type: ignore[arg-type]

    async def _text(self, name: str) -> str | None:
        """One printed item; None when the meter does not know the name."""
        if self._known.lacks(name):
            return None
        try:
            return ",".join(items(name.partition("(")[0], await self._read(name)))
        except NotThere:
            self._known.lacking_now(name)
            return None

    async def _greet(self) -> str:
        """Wake the meter; the code of the speed to go on with."""
        said = await self._exchange(sign_on(self._address), greeting, 40)
        initial = self._bus.settings.baud
        if said.baud is None or said.baud == initial:
            return said.speed
        # Only a port of ours can change its speed; through a converter the meter is asked to stay at this one.
        return said.speed if self._bus.set_speed(initial) else _CODES.get(initial, "0")

    async def _choose(self, speed: str, find: Callable[[bytes], _Found | None], size: int, mode: bool) -> _Found:
        """Answer the greeting and change the speed before the meter goes on at it."""
        request = choice(speed, programming=mode)
        baud = SPEEDS.get(speed, self._bus.settings.baud)
        if baud == self._bus.settings.baud:
            return await self._exchange(request, find, size)
        change = asyncio.get_running_loop().call_later(
            _TURN + len(request) * self._bus.settings.character, self._bus.set_speed, baud
        )
        try:
            return await self._exchange(request, find, size)
        finally:
            change.cancel()
            self._set_speed(baud)

    async def _enter(self, speed: str) -> None:
        """Programming mode, with the password."""
        bcc = self._model.bcc
        asked = await self._choose(speed, self._block(b"", bcc), _BLOCK, True)
        if asked.start != SOH or not asked.text.startswith(b"P0"):
            raise Malformed(f"{asked.text[:40]!r} is no P0; the meter does not enter programming mode")
        passwords = self._known.options.passwords
        if not passwords:
            return
        request = command("P1", f"({passwords[0].reveal().decode('ascii', 'replace')})", bcc)
        (accepted,) = await self._exchange(request, lambda heard: _wrapped(acknowledged(heard, request, bcc)), 4)
        if not accepted:
            raise Refused("the meter refuses the password; set password on the meter or its line")

    async def _read_out(self, speed: str) -> None:
        found = await self._choose(speed, self._block(b"", self._model.bcc), _READOUT, False)
        if found.start != STX:
            raise Malformed(f"{found.text[:40]!r} is no readout")
        self._lines = readout(found.text)

    def _line(self, channel: str) -> bytes:
        """A line of the readout in base units, written as a data set."""
        if channel not in self._lines:
            raise NotThere(channel, "no such line")
        text, unit = self._lines[channel]
        value = number(channel, text)
        if unit and (wrong := check_unit(channel, unit)):
            raise Malformed(f"{channel}({text}*{unit}): {wrong}")
        if value is not None and unit:
            value *= UNITS[unit][1]
        return f"{channel}({'' if value is None else f'{value:f}'})".encode("ascii")

    async def _read(self, send: str) -> bytes:
        request = command("R1", send, self._model.bcc)
        found = await self._exchange(request, self._block(request, self._model.bcc), _BLOCK)
        if found.start != STX:
            raise Malformed(f"{found.text[:40]!r} answers {send}; is the session over?")
        return found.text

    async def _end(self) -> None:
        """Say the end; nobody answers it. A line that is gone needs no end."""
        request = self._sent(command("B0", None, self._model.bcc))
        with contextlib.suppress(AmrError):
            await self._bus.send(request, _END)
        if self._baud != self._bus.settings.baud:
            await asyncio.sleep(_TURN + len(request) * self._bus.settings.character)
            self._set_speed(self._bus.settings.baud)

    def _set_speed(self, baud: int) -> None:
        self._bus.set_speed(baud)
        self._baud = baud

    def _block(self, request: bytes, bcc: Bcc) -> Callable[[bytes], Block | None]:
        return lambda heard: block(heard, request, bcc)

    async def _exchange(self, request: bytes, find: Callable[[bytes], _Found | None], size: int) -> _Found:
        """Send characters and find the answer among those that come."""
        settings = self._bus.settings
        patience = (settings.timeout or self._model.timeout) + settings.frame_time(size)
        pause = settings.frame_pause(self._model.pause)
        return await self._bus.ask(
            f"IEC {self._address or 'meter'}", self._sent(request), self._heard(find), self._verdict, patience, pause
        )

    def _sent(self, request: bytes) -> bytes:
        return request if self._seven_bits else with_parity(request)

    def _heard(self, find: Callable[[bytes], _Found | None]) -> Callable[[bytes], _Found | None]:
        if self._seven_bits:
            return find
        return lambda heard: None if (plain := without_parity(heard)) is None else find(plain)

    def _verdict(self, heard: bytes) -> AmrError | None:
        if not heard:
            return None
        plain = heard if self._seven_bits else without_parity(heard)
        if plain is None:
            return Malformed(f"{heard[:40].hex(' ')} came with wrong parity; noise, or another speed or format")
        return Malformed(f"{plain[:60]!r} is no whole block with a good check")


def _wrapped(said: bool | None) -> tuple[bool] | None:
    """None is "not yet" to whoever waits, so a verdict needs a wrapping."""
    return None if said is None else (said,)
