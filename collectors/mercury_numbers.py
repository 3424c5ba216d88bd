"""Numbers as Меркурий meters pack them: odd byte orders, BCD, clocks, and the codes that mean "nothing". Pure.

Source: Incotex command systems (three-phase family, ed. 05.2023; single-phase family, ed. 04.2018), held to frames
recorded from real meters in tests/vectors/serial_frames.json.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from ingest.errors import Malformed


class Kind(NamedTuple):
    """How many bytes a number takes, and what they say; None where they say that there is no value."""

    size: int
    read: Callable[[bytes], Decimal | None]


def energy(data: bytes) -> Decimal | None:
    """Four bytes in the order b2 b1 b4 b3 (b1 is the highest), Wh or varh; FF FF FF FF is not metered."""
    if data == b"\xff\xff\xff\xff":
        return None
    return Decimal(data[1] << 24 | data[0] << 16 | data[3] << 8 | data[2])


def plain3(data: bytes) -> Decimal | None:
    """Three bytes in the order b1 b3 b2: voltage, current, frequency."""
    if data == b"\xff\xff\xff":
        return None
    return Decimal(data[0] << 16 | data[2] << 8 | data[1])


def active3(data: bytes) -> Decimal | None:
    """The same with the direction of active power in the highest bit: set is negative."""
    return _directed(data, 0x80)


def reactive3(data: bytes) -> Decimal | None:
    """The same with the direction of reactive power in the next bit: set is negative."""
    return _directed(data, 0x40)


def _directed(data: bytes, sign: int) -> Decimal | None:
    if data == b"\xff\xff\xff":
        return None
    size = Decimal((data[0] & 0x3F) << 16 | data[2] << 8 | data[1])
    return -size if data[0] & sign and size else size


def bcd_or_none(data: bytes) -> Decimal | None:
    """Big-endian BCD; all ones is nothing. Malformed when a half-byte is no digit."""
    return None if data == b"\xff" * len(data) else Decimal(bcd(data))


def bcd(data: bytes) -> int:
    """Big-endian BCD. Malformed when a half-byte is no digit."""
    if not data.hex().isdecimal():
        raise Malformed(f"{data.hex(' ')} is not BCD")
    return int(data.hex())


KINDS: Mapping[str, Kind] = {
    "energy": Kind(4, energy),
    "plain3": Kind(3, plain3),
    "active3": Kind(3, active3),
    "reactive3": Kind(3, reactive3),
    "bcd2": Kind(2, bcd_or_none),
    "bcd3": Kind(3, bcd_or_none),
    "bcd4": Kind(4, bcd_or_none),
}


def clock_230(data: bytes) -> datetime:
    """04h 00: BCD second, minute, hour, weekday, day, month, year, winter flag -> the meter's own wall clock, naive."""
    return _wall(data[6], data[5], data[4], data[2], data[1], data[0])


def clock_206(data: bytes) -> datetime:
    """21h: BCD weekday, hour, minute, second, day, month, year -> the meter's own wall clock, naive."""
    return _wall(data[6], data[5], data[4], data[1], data[2], data[3])


def _wall(year: int, month: int, day: int, hour: int, minute: int, second: int) -> datetime:
    packed = bytes((year, month, day, hour, minute, second))
    fields = [bcd(bytes((one,))) for one in packed]
    try:
        return datetime(2000 + fields[0], *fields[1:])  # type: ignore[arg-type] # noqa: DTZ001 - whose zone it is, the caller knows
    except ValueError as error:
        raise Malformed(f"{packed.hex(' ')} (year to second) is no time: {error}") from error


def serial_230(data: bytes) -> str:
    """08h 00: four bytes, each two decimal digits of the serial number (not BCD: 0x2F is 47), then a date."""
    if max(data[:4]) > 99:
        raise Malformed(f"{data[:4].hex(' ')} is no serial number: each byte holds two decimal digits")
    return "".join(f"{byte:02d}" for byte in data[:4])


def serial_206(data: bytes) -> str:
    """2Fh: the serial number as a whole number of four bytes."""
    return str(int.from_bytes(data[:4], "big"))


CONSTANTS: Mapping[int, int] = {0: 5000, 1: 25000, 2: 1250, 3: 500, 4: 1000, 5: 250}
"""08h 12: low half of the second byte -> the meter's constant, impulses per kWh."""
