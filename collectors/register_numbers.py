"""One register's bytes -> its exact number in base units, or None for "not available". Compiled once per register."""

from __future__ import annotations

import struct
from collections.abc import Callable
from decimal import Decimal
from math import isfinite
from typing import Any

from collectors.float32 import decimal_of_float32
from collectors.meter_model import Kind, ModelRegister, Order
from ingest.errors import Malformed

Convert = Callable[[Any], Decimal | None]
"""Makes the value of what was unpacked: a whole number, a float, or the bytes of a register of unusual order."""


def form(register: ModelRegister) -> str:
    """How struct unpacks it: as its number when the order is the usual one, else as bytes."""
    kind = register.kind
    if kind.is_bcd or (register.word_order, register.byte_order) != (Order.HIGH_FIRST, Order.HIGH_FIRST):
        return f"{2 * register.words}s"
    return _number_form(kind)


def codes_of(register: ModelRegister) -> frozenset[int | float]:
    """The raw codes for "no value" as numbers of the register's own type."""
    size, unpack = 2 * register.words, struct.Struct(">" + _number_form(register.kind)).unpack
    return frozenset(unpack(code.to_bytes(size, "big"))[0] for code in register.not_available)


def converter(register: ModelRegister) -> Convert:
    """From what `form` unpacks to the value. It raises Malformed for BCD with a digit above 9."""
    if register.kind.is_bcd:
        return _from_bcd(register)
    if register.kind is Kind.FLOAT32:
        number = decimal_of_float32(register.factor, codes_of(register))
    elif register.kind is Kind.FLOAT64:
        number = _from_float64(register.factor, codes_of(register))
    else:
        number = _from_whole(register.factor, codes_of(register))
    if not form(register).endswith("s"):
        return number
    reorder, unpack = _reorder(register), struct.Struct(">" + _number_form(register.kind)).unpack
    return lambda words: number(unpack(reorder(words))[0])


def reversed_words(words: bytes) -> bytes:
    """The last word first; the bytes of each word as they were."""
    return b"".join([words[at : at + 2] for at in range(len(words) - 2, -1, -2)])


def _number_form(kind: Kind) -> str:
    if kind.is_float:
        return "f" if kind is Kind.FLOAT32 else "d"
    code = {1: "h", 2: "i", 4: "q"}[kind.words]
    return code if kind.is_signed else code.upper()


def _from_whole(factor: Decimal, codes: frozenset[int | float]) -> Convert:
    if not codes:
        return lambda number: Decimal(number) * factor
    return lambda number: None if number in codes else Decimal(number) * factor


def _from_float64(factor: Decimal, codes: frozenset[int | float]) -> Convert:
    return lambda value: Decimal(repr(value)) * factor if isfinite(value) and value not in codes else None


def _from_bcd(register: ModelRegister) -> Convert:
    reorder, factor, size = _reorder(register), register.factor, 2 * register.words
    codes = {code.to_bytes(size, "big") for code in register.not_available} | {b"\xff" * size}

    def value(words: bytes) -> Decimal | None:
        digits = reorder(words)
        if digits in codes:
            return None
        if not digits.hex().isdecimal():
            raise Malformed(f"{register.channel} at {register.address:#06x} is {digits.hex()}, which is not BCD")
        return int(digits.hex()) * factor

    return value


def _reorder(register: ModelRegister) -> Callable[[bytes], bytes]:
    """Bring a register's bytes to big-endian."""
    low_word, low_byte = register.word_order is Order.LOW_FIRST, register.byte_order is Order.LOW_FIRST
    if low_word and low_byte:
        return lambda words: words[::-1]
    if low_word:
        return lambda words: words[2:] + words[:2] if len(words) == 4 else reversed_words(words)
    if low_byte:
        return lambda words: reversed_words(words)[::-1]
    return lambda words: words
