"""Registers' bytes -> exact numbers in base units, or None for "not available". Pure and compiled once per register.

A float32 becomes the shortest decimal that reads back as the same float32 (230.2, not 230.199997), because that is what
the meter meant to say; nothing is rounded beyond that.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from decimal import Decimal
from math import frexp, isfinite

from collectors.meter_model import Kind, Model, ModelRegister, Order, SerialRegister
from ingest.errors import Malformed

Decoder = Callable[[bytes, int], Decimal | None]
"""Takes the bytes of a block and the offset of the register's first byte in it."""

_FLOAT32 = struct.Struct(">f")
_FLOAT_BITS = 24
_ONE = Decimal(1)


def decoder(register: ModelRegister) -> Decoder:
    """A function that reads this register out of a block. It raises Malformed for BCD with a digit above 9."""
    raw = _raw(register)
    number = _from_float(register) if register.kind.is_float else _from_whole(register)
    return lambda data, offset: number(raw(data, offset))


def decode(register: ModelRegister, words: bytes) -> Decimal | None:
    """The value of one register's own words (big-endian 16-bit words as they came over the wire)."""
    return decoder(register)(words, 0)


def raw_number(register: ModelRegister, words: bytes) -> int | float:
    """The number before scaling, for a person to look at."""
    return _raw(register)(words, 0)


def serial_number(place: SerialRegister, words: bytes) -> str | None:
    """The serial number a meter states, None when it states none (all ones, all zeros, blank)."""
    if place.text:
        return words.decode("ascii", "replace").strip(" \0�") or None
    number = int.from_bytes(words if place.word_order is Order.HIGH_FIRST else _reversed_words(words), "big")
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


def shortest(value: float) -> Decimal:
    """The shortest decimal that a float32 of this value is nearest to. `value` must be finite and a float32."""
    if not value:
        return Decimal(0)
    steps = _STEPS.get(frexp(value)[1])
    if steps is None:
        return _shortest_of_extremes(value)
    (scale, unit), fewer = steps
    number = round(value * scale)
    for scale, unit_of_fewer, slack in fewer:
        exact = value * scale
        candidate = round(exact)
        if not -slack < candidate - exact < slack:
            break
        number, unit = candidate, unit_of_fewer
    return Decimal(number) * unit


def _steps(exponent: int) -> tuple[tuple[float, Decimal], tuple[tuple[float, Decimal, float], ...]]:
    """For floats in [2^(exponent-1), 2^exponent): decimals that surely suffice, then ever fewer with their tolerance.

    Two float32 neighbours there are 2^(exponent-24) apart; a decimal nearer than half of that reads back as the float.
    """
    half = 2.0 ** (exponent - _FLOAT_BITS - 1)
    enough = next(places for places in range(20) if half * 10.0**places > 0.5)
    fewer = ((10.0**places, _ONE.scaleb(-places), half * 10.0**places) for places in range(enough - 1, -1, -1))
    return (10.0**enough, _ONE.scaleb(-enough)), tuple(fewer)


_STEPS = {exponent: _steps(exponent) for exponent in range(_FLOAT_BITS + 1)}
"""0.5 to 16 777 216: scaled by at most 10^8 these products are exact in a double (24 + 27 bits)."""


def _shortest_of_extremes(value: float) -> Decimal:
    packed = _FLOAT32.pack(value)
    texts = (f"{value:.{digits}g}" for digits in range(1, 10))
    return Decimal(next(text for text in texts if _FLOAT32.pack(float(text)) == packed))


def _raw(register: ModelRegister) -> Callable[[bytes, int], int | float]:
    """The number as packed, whatever the order of its words and bytes."""
    kind, size = register.kind, 2 * register.words
    if kind.is_bcd:
        return _raw_bcd(register)
    code = {Kind.FLOAT32: "f", Kind.FLOAT64: "d"}.get(kind) or {2: "h", 4: "i", 8: "q"}[size]
    if not kind.is_signed and not kind.is_float:
        code = code.upper()
    unpack = struct.Struct(">" + code).unpack_from
    if (register.word_order, register.byte_order) == (Order.HIGH_FIRST, Order.HIGH_FIRST):
        return lambda data, offset: unpack(data, offset)[0]
    reorder = _reorder(register)
    return lambda data, offset: unpack(reorder(data[offset : offset + size]))[0]


def _raw_bcd(register: ModelRegister) -> Callable[[bytes, int], int]:
    size, reorder = 2 * register.words, _reorder(register)
    codes = {code.to_bytes(size, "big") for code in register.not_available} | {b"\xff" * size}

    def raw(data: bytes, offset: int) -> int:
        words = reorder(data[offset : offset + size])
        if words in codes:
            return -1
        if not words.hex().isdecimal():
            raise Malformed(f"{register.channel} at {register.address:#06x} is {words.hex()}, which is not BCD")
        return int(words.hex())

    return raw


def _reorder(register: ModelRegister) -> Callable[[bytes], bytes]:
    """Bring a register's bytes to big-endian."""
    low_word, low_byte = register.word_order is Order.LOW_FIRST, register.byte_order is Order.LOW_FIRST
    if low_word and low_byte:
        return lambda words: words[::-1]
    if low_word:
        return _reversed_words
    if low_byte:
        return lambda words: _reversed_words(words)[::-1]
    return lambda words: words


def _reversed_words(words: bytes) -> bytes:
    return b"".join([words[at : at + 2] for at in range(len(words) - 2, -1, -2)])


def _from_whole(register: ModelRegister) -> Callable[[int | float], Decimal | None]:
    factor, bits = register.factor, 16 * register.words
    codes = register.not_available
    if register.kind.is_signed:
        codes = frozenset(code - (1 << bits) if code >> (bits - 1) else code for code in codes)
    if register.kind.is_bcd:
        codes = frozenset({-1})
    return lambda number: None if number in codes else Decimal(number) * factor


def _from_float(register: ModelRegister) -> Callable[[int | float], Decimal | None]:
    factor = None if register.factor == 1 else register.factor
    words = 2 * register.words
    code = ">f" if words == 4 else ">d"
    codes = frozenset(struct.unpack(code, one.to_bytes(words, "big"))[0] for one in register.not_available)
    exact = shortest if words == 4 else _shortest_double

    def number(value: int | float) -> Decimal | None:
        if value in codes or not isfinite(value):
            return None
        return exact(value) if factor is None else exact(value) * factor

    return number


def _shortest_double(value: float) -> Decimal:
    return Decimal(repr(value))
