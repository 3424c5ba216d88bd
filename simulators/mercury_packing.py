"""Numbers and clocks as Меркурий meters pack them. Pure, own packing, written from the maker's tables."""

from datetime import datetime
from decimal import Decimal

from simulators.framing import crc16

NOTHING = b"\xff\xff\xff\xff"


def signed(frame: bytes) -> bytes:
    """A frame with its CRC, low byte first."""
    return frame + crc16(frame).to_bytes(2, "little")


def energy(kwh: Decimal | None) -> bytes:
    """Wh in four bytes: 2nd, 1st, 4th, 3rd counted from the highest."""
    if kwh is None:
        return NOTHING
    first, second, third, fourth = int(kwh * 1000).to_bytes(4, "big")
    return bytes((second, first, fourth, third))


def three(value: Decimal, step: str, *, back: bool = False) -> bytes:
    """Steps in three bytes: 1st, 3rd, 2nd counted from the highest; the top bit says that power flows back."""
    first, second, third = int(abs(value) / Decimal(step)).to_bytes(3, "big")
    return bytes((first | (0x80 if back else 0), third, second))


def digits(number: int, size: int) -> bytes:
    """BCD, highest digits first."""
    return bytes.fromhex(f"{number:0{2 * size}d}")


def bcd_time(wall: datetime, order: str) -> bytes:
    """BCD fields of a wall time: S M H w (weekday) d m y in the order given."""
    fields = {
        "S": wall.second,
        "M": wall.minute,
        "H": wall.hour,
        "w": wall.isoweekday() % 7,
        "d": wall.day,
        "m": wall.month,
        "y": wall.year % 100,
    }
    return b"".join(digits(fields[one], 1) for one in order)
