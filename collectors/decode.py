"""Registers' bytes -> exact numbers in base units, or None for "not available"; serial numbers; samples. Pure.

How one register becomes a decimal is in `register_numbers.py`, all of a block in millionths in `millionths.py`.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from collectors.meter_model import Model, ModelRegister, Order, SerialRegister
from collectors.millionths import Millionths, layout, millionths
from collectors.register_numbers import Convert, converter, form, reversed_words


@dataclass(frozen=True, slots=True)
class BlockDecoder:
    """Takes registers out of a block's bytes: one unpacking for all of them, then each number to its value."""

    channels: tuple[str, ...]
    unpack: Callable[[bytes], tuple[Any, ...]]
    converts: tuple[Convert, ...]
    millionths: Millionths
    """The same values as `to_micro` rounds them, in an order of their own."""


def block_decoder(registers: Sequence[ModelRegister], first: int, head: int = 0) -> BlockDecoder:
    """For a block that begins at wire address `first` and, in the bytes given, after `head` others.

    The converters raise Malformed for BCD with a digit above 9. Registers must stand in order of their addresses.
    """
    channels = tuple(one.channel for one in registers)
    unpack = layout(registers, [form(one) for one in registers], first, head)
    return BlockDecoder(channels, unpack, tuple(map(converter, registers)), millionths(registers, first, head))


def decode(register: ModelRegister, words: bytes) -> Decimal | None:
    """The value of one register's own words (big-endian 16-bit words as they came over the wire)."""
    (raw,) = struct.unpack(">" + form(register), words)
    return converter(register)(raw)


def serial_number(place: SerialRegister, words: bytes) -> str | None:
    """The serial number a meter states, None when it states none (all ones, all zeros, blank)."""
    if place.text:
        return words.decode("ascii", "replace").strip(" \0�") or None
    number = int.from_bytes(words if place.word_order is Order.HIGH_FIRST else reversed_words(words), "big")
    return None if number in (0, 2 ** (8 * len(words)) - 1) or number < place.offset else str(number - place.offset)


def disagreements(model: Model) -> Iterator[str]:
    """Which of the model's own samples decode to something else than they state."""
    for sample in model.samples:
        got = decode(model.register(sample.channel), sample.words)
        if got != sample.expected:
            yield (
                f"{model.slug}: sample {sample.words.hex(' ', 2)} of {sample.channel} decodes to {got}, "
                f"not to {sample.expected}; correct the register's type, order or scale, or the sample"
            )
