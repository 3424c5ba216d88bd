"""A number as Modbus registers: big-endian words, with each meter's own "not available" code. Pure, own packing.

A `Pack` turns a value (or None = this meter has no such value) into the bytes of its registers.
Scaled integers are rounded half up and stop at the end of their registers; floats are IEEE 754.
"""

import struct
from collections.abc import Callable
from decimal import ROUND_HALF_UP, Decimal

Pack = Callable[[Decimal | None], bytes]


def float32(factor: Decimal = Decimal(1), *, none: float = float("nan")) -> Pack:
    """Two registers, high word first: value * factor."""

    def pack(value: Decimal | None) -> bytes:
        return struct.pack(">f", none if value is None else float(value * factor))

    return pack


def integer(words: int, step: Decimal, *, signed: bool, low_first: bool = False, none: int | None = None) -> Pack:
    """A whole number of `step`s in that many registers; `none` is the code for "no value" (default: zero)."""
    size = 2 * words
    lowest = -(1 << 8 * size - 1) if signed else 0
    highest = (1 << 8 * size - signed) - 1

    def pack(value: Decimal | None) -> bytes:
        number = none or 0
        if value is not None:
            number = int((value / step).to_integral_value(ROUND_HALF_UP))
        whole = max(lowest, min(number, highest)).to_bytes(size, "big", signed=signed)
        if low_first:
            return b"".join(whole[i : i + 2] for i in range(size - 2, -1, -2))
        return whole

    return pack
