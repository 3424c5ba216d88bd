"""Conversations with Меркурий meters: the channel with its password for the three-phase family, plain questions for the
single-phase one.

A channel lives 240 s after the last good request, so it is kept from poll to poll and opened again when it is closed.
"""

from __future__ import annotations

import asyncio
from datetime import datetime

from collectors.bus import Bus
from collectors.mercury_frames import Frame, frame_206, frame_230
from collectors.mercury_numbers import CONSTANTS, clock_206, clock_230, serial_206, serial_230
from collectors.meter_options import Password
from collectors.serial_talk import Known, Unsupported
from ingest.errors import AmrError, Busy, Malformed, Misconfigured, Refused

KEPT = 220.0
"""Seconds after which a channel is opened anew without asking: the meter forgets it after 240."""

_BySpeed = tuple[tuple[int, float], ...]
_PAUSES: _BySpeed = ((38400, 0.002), (19200, 0.003), (9600, 0.005), (4800, 0.01), (2400, 0.02))
_WAITS: _BySpeed = ((9600, 0.15), (4800, 0.18), (2400, 0.25), (1200, 0.4), (600, 0.8))
"""Speed and above -> seconds: the pause that ends a frame, and how long an answer may let itself be waited for."""


class NotOpen(Refused):
    """The channel is closed: the meter forgot us."""

    code = "channel_closed"


def _status(code: int) -> AmrError:
    """Our error for a one-byte answer."""
    match code:
        case 2:
            return Busy("the meter answered with internal error 2")
        case 3:
            return Refused("the meter answered that the access level is too low; set level = 2 and its password")
        case 4:
            return Refused("the meter's clock was already corrected today")
        case 5:
            return NotOpen("the meter answered that the channel is not open")
    return Unsupported(f"the meter answered with status {code}: it does not know the command or its parameter")


def _by_speed(table: _BySpeed, baud: int, slowest: float) -> float:
    """The value of the fastest speed that is not above this one."""
    return next((value for speed, value in table if baud >= speed), slowest)


def wait_of(baud: int, wanted: float) -> float:
    """How long an answer is waited for at a speed, and at least as long as the model wants."""
    return max(wanted, _by_speed(_WAITS, baud, 1.6))


def pause_of(baud: int, wanted: float) -> float:
    """The silence between frames at a speed, and at least as long as the model wants."""
    return max(wanted, _by_speed(_PAUSES, baud, 0.16))


class _Wire:
    """Frames of Меркурий meters over a bus, with the timing their maker asks for."""

    def __init__(self, bus: Bus, who: str, known: Known) -> None:
        self._bus = bus
        self._who = who
        settings = bus.settings
        self._patience = settings.timeout or wait_of(settings.baud, known.model.timeout)
        self._pause = settings.frame_pause(pause_of(settings.baud, known.model.pause))

    async def ask(self, frame: Frame) -> bytes:
        """Exchange one frame."""

        def verdict(heard: bytes) -> AmrError | None:
            status = frame.status(heard)
            return frame.verdict(heard) if status is None else _status(status)

        patience = self._patience + self._bus.settings.frame_time(frame.size)
        return await self._bus.ask(self._who, frame.request, frame.answer, verdict, patience, self._pause)


class Mercury230Talk:
    """The three-phase family. One per meter; it remembers the password that opened the channel, and until when."""

    def __init__(self, bus: Bus, known: Known) -> None:
        self._address = _address(known.meter.serial, known.meter.address, 0, 240)
        self._wire = _Wire(bus, f"Меркурий {self._address}", known)
        self._known = known
        self._open_until = 0.0
        self._password: Password | None = None

    async def say(self, send: str, size: int, *, twice: bool = False) -> bytes:
        """Ask over an open channel; the CRC is good enough to ask once."""
        return await self._in_channel(bytes.fromhex(send), size)

    async def command(self, command: bytes, size: int) -> bytes:
        """Ask anything that the channel is open for."""
        return await self._in_channel(command, size)

    async def serial(self) -> str:
        return serial_230(await self._in_channel(b"\x08\x00", 7))

    async def clock(self) -> datetime:
        return clock_230(await self._in_channel(b"\x04\x00", 8))

    async def ratios(self) -> tuple[int, int]:
        """Voltage and current transformer ratios the meter was told: it does not multiply by them."""
        data = await self._in_channel(b"\x08\x02", 4)
        return int.from_bytes(data[:2], "big"), int.from_bytes(data[2:], "big")

    async def constant(self) -> int:
        """Impulses per kWh."""
        known = self._known
        if known.constant is None:
            known.constant = known.options.constant or await self._stated_constant()
        return known.constant

    async def _stated_constant(self) -> int:
        try:
            data = await self._in_channel(b"\x08\x12", 6)
        except Malformed:
            data = await self._in_channel(b"\x08\x12", 3)
        try:
            return CONSTANTS[data[1] & 0x0F]
        except KeyError as error:
            raise Malformed(
                f"the meter states constant code {data[1] & 0x0F}, which is not known; set constant on the meter"
            ) from error

    async def _in_channel(self, command: bytes, size: int) -> bytes:
        loop = asyncio.get_running_loop()
        if loop.time() >= self._open_until:
            await self._enter()
        try:
            data = await self._ask(command, size)
        except NotOpen:
            await self._enter()
            data = await self._ask(command, size)
        self._open_until = loop.time() + KEPT
        return data

    async def _enter(self) -> None:
        """Open the channel with the password that worked last, else with each there is."""
        options = self._known.options
        self._open_until = 0.0
        tried = [self._password] if self._password else list(options.passwords)
        for password in tried:
            opening = b"\x01" + bytes((options.level,)) + password.reveal()
            if (await self._ask(opening, 1))[0] & 0x0F == 0:
                self._password = password
                self._open_until = asyncio.get_running_loop().time() + KEPT
                return
        self._password = None
        raise Refused(
            f"the meter opens its channel to none of {len(tried)} passwords at level {options.level}; "
            "set password on the meter or its line"
        )

    async def _ask(self, command: bytes, size: int) -> bytes:
        return await self._wire.ask(frame_230(self._address, command, size))


class Mercury206Talk:
    """The single-phase family: no session, four-byte addresses."""

    def __init__(self, bus: Bus, known: Known) -> None:
        self._address = _address(known.meter.serial, known.meter.address, 0, 0xFFFFFFFF)
        self._wire = _Wire(bus, f"Меркурий {self._address}", known)

    async def say(self, send: str, size: int, *, twice: bool = False) -> bytes:
        return await self._wire.ask(frame_206(self._address, bytes.fromhex(send), size))

    async def serial(self) -> str:
        return serial_206(await self.say("2F", 4))

    async def clock(self) -> datetime:
        return clock_206(await self.say("21", 7))


def _address(serial: str, text: str, least: int, most: int) -> int:
    """A bus address in decimal digits, or 0x and hexadecimal ones."""
    digits = text.strip()
    try:
        number = int(digits, 16) if digits.lower().startswith("0x") else int(digits)
    except ValueError:
        number = -1
    if not least <= number <= most or not digits.isascii():
        raise Misconfigured(
            f"meter {serial}: address {text!r} is no Меркурий address; write a number from {least} to {most}"
        )
    return number
