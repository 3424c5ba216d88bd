"""Registers' bytes -> exact numbers in base units, or None for "not available". Pure and compiled once per register.

A float32 becomes the shortest decimal that reads back as the same float32 (230.2, not 230.199997), because that is what
the meter meant to say; nothing is rounded beyond that.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import groupby
from math import frexp, isfinite
from operator import mul
from typing import Any

from collectors.meter_model import Kind, Model, ModelRegister, Order, SerialRegister
from ingest.channel import MICRO, to_micro
from ingest.errors import Malformed

_FLOAT32 = struct.Struct(">f")
_FLOAT_BITS = 24
_LEAST_EXPONENT = -10
"""From 1/2048 up at most 12 decimals surely suffice."""
_ONE = Decimal(1)

Count = Callable[[Any], int | None]
"""The same in whole millionths of the base unit."""

Run = Callable[[bytes], list[int | None]]
"""The millionths of neighbouring registers of one kind, from the bytes of their block."""

Convert = Callable[[Any], Decimal | None]
"""Makes the value of what was unpacked: a whole number, a float, or the bytes of a register of unusual order."""


@dataclass(frozen=True, slots=True)
class BlockDecoder:
    """Takes registers out of a block's bytes: one unpacking for all of them, then each number to its value."""

    channels: tuple[str, ...]
    unpack: Callable[[bytes], tuple[Any, ...]]
    converts: tuple[Convert, ...]
    micros: Callable[[bytes], list[int | None] | None]
    """The same values in millionths, rounded as `to_micro` does; None when one of them is no number or does not fit."""


def block_decoder(registers: Sequence[ModelRegister], first: int, head: int = 0) -> BlockDecoder:
    """For a block that begins at wire address `first` and, in the bytes given, after `head` others.

    The converters raise Malformed for BCD with a digit above 9. Registers must stand in order of their addresses.
    """
    channels = tuple(one.channel for one in registers)
    unpack = _unpack(registers, first, head, [_format(one) for one in registers])
    runs = [_run(list(run), first, head) for _, run in groupby(registers, _alike)]
    return BlockDecoder(channels, unpack, tuple(map(_convert, registers)), _counting(runs))


def _counting(runs: Sequence[Run]) -> Callable[[bytes], list[int | None] | None]:
    """All runs, one after the other."""
    begin, *others = runs

    def micros(answer: bytes) -> list[int | None] | None:
        try:
            counted = begin(answer)
            for count in others:
                counted += count(answer)
        except (Malformed, ValueError):
            return None
        return counted

    return micros


def _unpack(
    registers: Sequence[ModelRegister], first: int, head: int, formats: Sequence[str]
) -> Callable[[bytes], tuple[Any, ...]]:
    layout, at = f">{head}x", first
    for register, form in zip(registers, formats, strict=True):
        layout += f"{2 * (register.address - at)}x{form}"
        at = register.end
    return struct.Struct(layout).unpack_from


def _alike(register: ModelRegister) -> tuple[object, ...]:
    """What neighbours must have in common to be counted in one go."""
    if _format(register) == "f":
        return "f", register.factor, register.not_available
    return ("whole",) if _is_plain_whole(register) else ("any",)


def _is_plain_whole(register: ModelRegister) -> bool:
    """A whole number of millionths by one multiplication."""
    whole = _format(register) in "hHiIqQ" and not register.not_available
    return whole and register.factor * MICRO == int(register.factor * MICRO)


def _run(registers: Sequence[ModelRegister], first: int, head: int) -> Run:
    """Counts registers that are `_alike`: a call for each would cost as much as the counting."""
    kind = _alike(registers[0])[0]
    formats = [_format(one) for one in registers]
    unpack = _unpack(registers, first, head, formats)
    if kind == "whole":
        factors = [int(one.factor * MICRO) for one in registers]
        return lambda answer: list(map(mul, unpack(answer), factors))
    if kind == "f":
        bits = _unpack(registers, first, head, ["I"] * len(registers))
        return _run_of_floats(registers[0], unpack, bits)
    counts = [_count(one) for one in registers]
    return lambda answer: [count(raw) for count, raw in zip(counts, unpack(answer), strict=True)]


def decode(register: ModelRegister, words: bytes) -> Decimal | None:
    """The value of one register's own words (big-endian 16-bit words as they came over the wire)."""
    (raw,) = struct.unpack(">" + _format(register), words)
    return _convert(register)(raw)


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
    """The shortest decimal (up to zeros at its end) that a float32 of this value is nearest to; it must be finite."""
    return _from_float32(_ONE)(value) or Decimal(0)


def _format(register: ModelRegister) -> str:
    """How struct unpacks it: as its number when the order is the usual one, else as bytes."""
    kind = register.kind
    if kind.is_bcd or (register.word_order, register.byte_order) != (Order.HIGH_FIRST, Order.HIGH_FIRST):
        return f"{2 * register.words}s"
    return _number_format(kind)


def _number_format(kind: Kind) -> str:
    if kind.is_float:
        return "f" if kind is Kind.FLOAT32 else "d"
    code = {1: "h", 2: "i", 4: "q"}[kind.words]
    return code if kind.is_signed else code.upper()


def _convert(register: ModelRegister) -> Convert:
    """From what `_format` unpacks to the value."""
    if register.kind.is_bcd:
        return _from_bcd(register)
    if register.kind is Kind.FLOAT32:
        number = _from_float32(register.factor, _codes(register))
    elif register.kind is Kind.FLOAT64:
        number = _from_float64(register.factor, _codes(register))
    else:
        number = _from_whole(register.factor, _codes(register))
    if not _format(register).endswith("s"):
        return number
    reorder, unpack = _reorder(register), struct.Struct(">" + _number_format(register.kind)).unpack
    return lambda words: number(unpack(reorder(words))[0])


def _count(register: ModelRegister) -> Count:
    """From what `_format` unpacks to millionths: without a decimal on the way where that is exact."""
    convert, scale = _convert(register), register.factor * MICRO
    whole = int(scale)

    def exact(raw: Any) -> int | None:
        value = convert(raw)
        return None if value is None else to_micro(value)

    if _format(register).endswith("s") or register.kind is Kind.FLOAT64 or scale != whole:
        return exact
    if register.kind is Kind.FLOAT32:
        return _count_float32(whole, _codes(register), exact)
    if not (codes := _codes(register)):
        return lambda number: number * whole
    return lambda number: None if number in codes else number * whole


def _count_float32(scale: int, codes: frozenset[int | float], exact: Count) -> Count:
    """As `_from_float32`, in whole numbers throughout."""
    steps: dict[int, tuple[float, float, int, int, float, int, int]] = {}
    for exponent in range(_LEAST_EXPONENT, _FLOAT_BITS + 1):
        few, slack, few_unit, enough, unit = _steps(exponent, Decimal(scale))
        steps[exponent] = few, slack, *few_unit.as_integer_ratio(), enough, *unit.as_integer_ratio()
    below_one = steps.pop(0)  # which is also the exponent of zero, infinities and NaN

    def count(value: float) -> int | None:
        step = steps.get(frexp(value)[1])
        if step is None or value in codes:
            return rare(value)
        few, slack, times, parts, enough, more_times, more_parts = step
        scaled = value * few
        whole = round(scaled)
        if not -slack < whole - scaled < slack:
            whole, times, parts = round(value * enough), more_times, more_parts
        return whole * times if parts == 1 else _divided(whole * times, parts)

    def rare(value: float) -> int | None:
        if value in codes or not isfinite(value):
            return None
        if not 0.5 <= abs(value) < 1:
            return exact(value) if value else 0
        few, slack, times, parts, enough, more_times, more_parts = below_one
        whole = round(value * few)
        if not -slack < whole - value * few < slack:
            whole, times, parts = round(value * enough), more_times, more_parts
        return _divided(whole * times, parts)

    return count


_NEAREST = 1.5 * 2.0**52
"""Added and taken away again it leaves the nearest whole number, half to even, of doubles below 2^51."""
_EXACT = 2.0**53
_Scales = tuple[float, float, float, float, float, float]


def _run_of_floats(
    like: ModelRegister, floats: Callable[[bytes], tuple[float, ...]], bits: Callable[[bytes], tuple[int, ...]]
) -> Run:
    """As `_count_float32`, for all of them in one loop; what is not in the table is left to it."""
    count, scales, nearest = _count(like), _scales(like), _NEAREST

    def run(answer: bytes) -> list[int | None]:
        micros: list[int | None] = []
        for value, word in zip(floats(answer), bits(answer), strict=True):
            if (scale := scales[word >> 23]) is None:
                micros.append(count(value))
                continue
            few, slack, times, enough, more_times, more_parts = scale
            scaled = value * few
            whole = scaled + nearest - nearest
            if -slack < whole - scaled < slack:
                micros.append(int(whole * times))
            else:
                whole = value * enough + nearest - nearest
                micros.append(int(whole * more_times / more_parts + nearest - nearest))
        return micros

    return run


def _scales(register: ModelRegister) -> list[_Scales | None]:
    """By sign and exponent as they stand in a float32, how it is counted in doubles; None where they are not exact.

    Quotients by ten are: a tie is, and nothing else comes near one.
    """
    scale = register.factor * MICRO
    scales: list[_Scales | None] = [None] * 512
    if scale != int(scale):
        return scales
    rare = {frexp(code)[1] for code in _codes(register) if isfinite(code)}
    for exponent in range(1, _FLOAT_BITS + 1):
        few, slack, few_unit, enough, unit = _steps(exponent, scale)
        times, parts = few_unit.as_integer_ratio()
        more_times, more_parts = unit.as_integer_ratio()
        largest = 2.0**exponent * enough * max(more_times, 1)
        if exponent in rare or parts != 1 or more_parts not in (1, 10) or largest * 4 >= _EXACT:
            continue
        entry = few, slack, float(times), enough, float(more_times), float(more_parts)
        scales[exponent + 126] = scales[exponent + 126 + 256] = entry
    return scales


def _divided(whole: int, parts: int) -> int:
    """Rounded half to even, as decimals are."""
    quotient, rest = divmod(whole, parts)
    return quotient + (2 * rest > parts or (2 * rest == parts and quotient & 1))


def _codes(register: ModelRegister) -> frozenset[int | float]:
    """The raw codes for "no value" as numbers of the register's own type."""
    size, unpack = 2 * register.words, struct.Struct(">" + _number_format(register.kind)).unpack
    return frozenset(unpack(code.to_bytes(size, "big"))[0] for code in register.not_available)


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


def _from_float32(factor: Decimal, codes: frozenset[int | float] = frozenset()) -> Convert:
    """Two tries suffice: with so few decimals that at most one number fits between the neighbours, else with one more.

    Two float32 neighbours in [2^(e-1), 2^e) are 2^(e-24) apart; a decimal nearer than half of that reads back as the
    float. All products are exact: 24 bits times 5^12 (the powers of two cost none) fit the 53 of a double.
    """
    steps = {exponent: _steps(exponent, factor) for exponent in range(_LEAST_EXPONENT, _FLOAT_BITS + 1)}

    def number(value: float) -> Decimal | None:
        step = steps.get(frexp(value)[1])
        if step is None or value in codes or not value or value - value:
            return rare(value)
        few, slack, few_unit, enough, unit = step
        exact = value * few
        whole = round(exact)
        if -slack < whole - exact < slack:
            return Decimal(whole) * few_unit
        return Decimal(round(value * enough)) * unit

    def rare(value: float) -> Decimal | None:
        if value in codes or not isfinite(value):
            return None
        return _shortest_of_extremes(value) * factor if value else Decimal(0)

    return number


def _steps(exponent: int, factor: Decimal) -> tuple[float, float, Decimal, float, Decimal]:
    half = 2.0 ** (exponent - _FLOAT_BITS - 1)
    enough = next(places for places in range(1, 12) if half * 10.0**places > 0.5)
    few = enough - 1
    return 10.0**few, half * 10.0**few, factor.scaleb(-few), 10.0**enough, factor.scaleb(-enough)


def _shortest_of_extremes(value: float) -> Decimal:
    packed = _FLOAT32.pack(value)
    texts = (f"{value:.{digits}g}" for digits in range(1, 10))
    return Decimal(next(text for text in texts if _FLOAT32.pack(float(text)) == packed))


def _reorder(register: ModelRegister) -> Callable[[bytes], bytes]:
    """Bring a register's bytes to big-endian."""
    low_word, low_byte = register.word_order is Order.LOW_FIRST, register.byte_order is Order.LOW_FIRST
    if low_word and low_byte:
        return lambda words: words[::-1]
    if low_word:
        return lambda words: words[2:] + words[:2] if len(words) == 4 else _reversed_words(words)
    if low_byte:
        return lambda words: _reversed_words(words)[::-1]
    return lambda words: words


def _reversed_words(words: bytes) -> bytes:
    return b"".join([words[at : at + 2] for at in range(len(words) - 2, -1, -2)])
