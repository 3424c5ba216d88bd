"""All values of a block in millionths of their base units, in one go: the work of nearly every poll.

What is remembered of an answer is nothing: each number is counted, whatever it is, and exactly as its decimal rounded.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from operator import mul
from typing import Any, NamedTuple, cast

from collectors.float32 import NEAREST, Entry, scales
from collectors.meter_model import ModelRegister
from collectors.register_numbers import codes_of, converter, form
from ingest.channel import LARGEST_MICRO, MICRO, is_counter, to_micro
from ingest.errors import Malformed

Count = Callable[[Any], int | None]
"""Millionths of what was unpacked; None for "not available"."""


class Millionths(NamedTuple):
    """Counts the values of a block, in the order of its `channels`; both want an answer and where in it to begin.

    `sound` gives None when one value is not available, no number, or none its channel can have: what it gives are
    readings beyond doubt. `each` gives None for each that is not available, and None alone when one is no number; what
    is too large, or negative where it must not be, may be among the others.
    """

    channels: tuple[str, ...]
    sound: Callable[[bytes, int], list[int] | None]
    each: Callable[[bytes, int], list[int | None] | None]


def counter(register: ModelRegister) -> Count:
    """Counts one register: without a decimal on the way where that is exact."""
    convert, scale, codes = converter(register), register.factor * MICRO, codes_of(register)
    whole = int(scale)

    def exact(raw: Any) -> int | None:
        value = convert(raw)
        return None if value is None else to_micro(value)

    if form(register) not in _WHOLE or scale != whole:
        return exact
    if not codes:
        return lambda number: number * whole
    return lambda number: None if number in codes else number * whole


def millionths(registers: Sequence[ModelRegister], first: int, head: int) -> Millionths:
    """For a block that begins at wire address `first` and, in an answer, after `head` bytes.

    Those that take one multiplication come first, then float32, then all others.
    """
    wholes = [one for one in registers if _is_sound_whole(one)]
    floats = [one for one in registers if form(one) == "f"]
    others = [one for one in registers if one not in wholes and one not in floats]
    placed = [*wholes, *floats, *others]
    channels = tuple(one.channel for one in placed)
    forms = [form(one) for one in registers]
    if placed == list(registers):
        unpack = layout(registers, forms, first, head)
    else:
        unpack = _in_order(registers, placed, forms, first, head)
    parts = (
        unpack,
        [int(one.factor * MICRO) for one in wholes],
        layout(floats, ["H2x"] * len(floats), first, head),
        [scales(one.factor, codes_of(one), negative=not is_counter(one.channel)) for one in floats],
    )
    surely = _counting(*parts, [_surely(one) for one in floats], [_surely(one) for one in others], missing=False)
    each = _counting(*parts, [counter(one) for one in floats], [counter(one) for one in others], missing=True)

    def all_that_fit(answer: bytes, offset: int) -> list[int | None] | None:
        try:
            return each(answer, offset)
        except (Malformed, ValueError):
            return None

    return Millionths(channels, cast(Callable[[bytes, int], list[int] | None], surely), all_that_fit)


def layout(
    registers: Sequence[ModelRegister], forms: Sequence[str], first: int, head: int
) -> Callable[..., tuple[Any, ...]]:
    """Unpacks these registers, in order of their addresses, from the bytes of a block (and an offset)."""
    text, at = f">{head}x", first
    for register, kind in zip(registers, forms, strict=True):
        text += f"{2 * (register.address - at)}x{kind}"
        at = register.end
    return struct.Struct(text).unpack_from


def _in_order(
    registers: Sequence[ModelRegister], placed: Sequence[ModelRegister], forms: Sequence[str], first: int, head: int
) -> Callable[..., tuple[Any, ...]]:
    """Unpacks them in another order than that of their addresses."""
    unpack = layout(registers, forms, first, head)
    places = [list(registers).index(one) for one in placed]

    def sorted_out(answer: bytes, offset: int) -> tuple[Any, ...]:
        raw = unpack(answer, offset)
        return tuple([raw[place] for place in places])

    return sorted_out


def _counting(
    unpack: Callable[..., tuple[Any, ...]],
    factors: Sequence[int],
    heads: Callable[..., tuple[int, ...]],
    tables: Sequence[list[Entry]],
    rare: Sequence[Count],
    others: Sequence[Count],
    *,
    missing: bool,
) -> Callable[[bytes, int], list[int | None] | None]:
    """One loop for all floats: a call for each would cost as much as the counting. Some may be `missing`, or none."""
    products, begin, end, nearest = _products(factors), len(factors), len(factors) + len(tables), NEAREST

    def micros(answer: bytes, offset: int) -> list[int | None] | None:
        raw = unpack(answer, offset)
        counted = products(raw)
        for value, bits, table in zip(raw[begin:], heads(answer, offset), tables):  # noqa: B905 - a keyword costs as much as a value
            few, low, high, times, enough, more_times = table[bits >> 7]
            scaled = value * few
            whole = scaled + nearest - nearest
            if low < whole - scaled < high:
                counted.append((whole * times).__trunc__())  # half the time of int()
            elif more_times:
                whole = value * enough + nearest - nearest
                counted.append((whole * more_times + nearest - nearest).__trunc__())
            elif (micro := rare[len(counted) - begin](value)) is not None or missing:
                counted.append(micro)
            else:
                return None
        if others:
            for count, number in zip(others, raw[end:], strict=True):
                if (micro := count(number)) is None and not missing:
                    return None
                counted.append(micro)
        return counted

    return micros


def _products(factors: Sequence[int]) -> Callable[[tuple[Any, ...]], list[int | None]]:
    """The first numbers times these, which are few in most models: a `map` takes as long as several products."""
    if not factors:
        return lambda raw: []
    one, two, three, *_ = (*factors, 0, 0)
    if len(factors) == 1:
        return lambda raw: [raw[0] * one]
    if len(factors) == 2:
        return lambda raw: [raw[0] * one, raw[1] * two]
    if len(factors) == 3:
        return lambda raw: [raw[0] * one, raw[1] * two, raw[2] * three]
    return lambda raw: list(map(mul, raw, factors))


_WHOLE = "hHiIqQ"


def _is_sound_whole(register: ModelRegister) -> bool:
    """Whatever its bits are, one multiplication makes a reading of them."""
    kind = form(register)
    if kind not in "hHiI" or register.not_available or register.factor * MICRO != int(register.factor * MICRO):
        return False
    if kind in "hi" and is_counter(register.channel):
        return False
    return 0 < register.factor * MICRO * 2**32 <= LARGEST_MICRO


def _surely(register: ModelRegister) -> Count:
    """As `counter`, and None for what cannot be a reading of its channel."""
    count, least = counter(register), 0 if is_counter(register.channel) else -LARGEST_MICRO

    def surely(raw: Any) -> int | None:
        try:
            micro = count(raw)
        except (Malformed, ValueError):
            return None
        return micro if micro is not None and least <= micro <= LARGEST_MICRO else None

    return surely
