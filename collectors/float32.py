"""float32 made exact: the shortest decimal that reads back as the same float32 (230.2, not 230.199997).

That is what the meter meant to say; nothing is rounded beyond it. Two tries suffice: with so few decimals that at most
one number fits between the neighbours, else with one more. Two float32 neighbours in [2^(e-1), 2^e) are 2^(e-24) apart;
a decimal nearer than half of that reads back as the float. All products are exact: 24 bits times 5^12 (the powers of
two cost none) fit the 53 of a double.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from decimal import Decimal
from math import frexp, inf, isfinite, nan
from typing import NamedTuple

from ingest.channel import MICRO

_FLOAT32 = struct.Struct(">f")
_FLOAT_BITS = 24
_LEAST_EXPONENT = -10
"""From 1/2048 up at most 12 decimals surely suffice."""
_EXACT = 2.0**51
"""Below this a double still has the nearest whole number found by adding and taking away NEAREST."""
_ONE = Decimal(1)


NEAREST = 1.5 * 2.0**52
"""Added and taken away again it leaves the nearest whole number, half to even, of a double below 2^51."""


class _Try(NamedTuple):
    """How the numbers of one binary exponent become decimals: times `few`, nearer to a whole number than `slack`, and
    times `few_unit`; else times `enough`, rounded, and times `unit`."""

    few: float
    slack: float
    few_unit: Decimal
    enough: float
    unit: Decimal


def _try(exponent: int, factor: Decimal) -> _Try:
    half = 2.0 ** (exponent - _FLOAT_BITS - 1)
    enough = next(places for places in range(1, 12) if half * 10.0**places > 0.5)
    few = enough - 1
    return _Try(10.0**few, half * 10.0**few, factor.scaleb(-few), 10.0**enough, factor.scaleb(-enough))


def shortest(value: float) -> Decimal:
    """The shortest decimal (up to zeros at its end) that a float32 of this value is nearest to; it must be finite."""
    return decimal_of_float32(_ONE)(value) or Decimal(0)


def decimal_of_float32(
    factor: Decimal, codes: frozenset[int | float] = frozenset()
) -> Callable[[float], Decimal | None]:
    """Makes the shortest decimal times `factor`; None of what is not finite or one of `codes`."""
    tries = {exponent: _try(exponent, factor) for exponent in range(_LEAST_EXPONENT, _FLOAT_BITS + 1)}

    def number(value: float) -> Decimal | None:
        step = tries.get(frexp(value)[1])
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


def _shortest_of_extremes(value: float) -> Decimal:
    texts = (f"{value:.{digits}g}" for digits in range(1, 10))
    return Decimal(next(text for text in texts if _nearest_float32(float(text)) == value))


def _nearest_float32(value: float) -> float:
    try:
        return float(_FLOAT32.unpack(_FLOAT32.pack(value))[0])
    except OverflowError:  # the largest one, with few digits, is more than any
        return inf


class Scale(NamedTuple):
    """How the float32 of one sign and exponent are counted in doubles, exactly.

    `w`, the whole number nearest to `value * few`, if `low < w - value * few < high`: `w * times` millionths. Else the
    whole number nearest to `value * enough`, times `more_times`, to the nearest whole number again; where `more_times`
    is 0 it must be counted in another way.
    """

    few: float
    low: float
    high: float
    times: float
    enough: float
    more_times: float


_BY_OTHER_WAYS = Scale(nan, 0.0, 0.0, 0.0, 0.0, 0.0)
_NOTHING = Scale(0.0, -inf, inf, 0.0, 0.0, 0.0)


Entry = tuple[float, float, float, float, float, float]
"""A `Scale` in a table: a plain tuple is unpacked in half the time."""


def scales(factor: Decimal, codes: frozenset[int | float], *, negative: bool) -> list[Entry]:
    """By the first nine bits of a float32 (sign and exponent), the `Scale` of its millionths of `factor`.

    Left to other ways are infinities, NaN, numbers that share their exponent with one of `codes`, the negative ones
    unless they are allowed, and what would not be exact.
    """
    micro, table = factor * MICRO, [_BY_OTHER_WAYS] * 512
    if micro != int(micro) or not 0 < micro < _EXACT:
        return _plain(table)
    coded = {frexp(code)[1] for code in codes if isfinite(code)}
    for exponent in range(-125, _FLOAT_BITS + 1):
        if exponent not in coded:
            table[exponent + 126] = _scale(exponent, int(micro))
    if not any(abs(code) < 2.0**-126 for code in codes):
        table[0] = _NOTHING
    table[256:] = table[:256] if negative else [table[0], *[_BY_OTHER_WAYS] * 255]
    return _plain(table)


def _plain(table: list[Scale]) -> list[Entry]:
    return [(few, low, high, times, enough, more) for few, low, high, times, enough, more in table]


def _scale(exponent: int, micro: int) -> Scale:
    """Of the numbers in [2^(exponent-1), 2^exponent), of which each one stands for `micro` millionths.

    Where both tries give whole millionths, they are made one after the other. Where the first one does and the second
    gives tenths, those are rounded (0.1 as a double is too large by so little that five of them are still a half); and
    nobody needs to look at tenths when the float is not nearly half-way between two millionths. Where all decimals go
    on beyond the millionth, the shortest is off the float by less than half a neighbour's distance: both have the same
    nearest millionth, unless the float is that near to half-way.
    """
    if 2.0**exponent * micro * 10 >= _EXACT:
        return _BY_OTHER_WAYS
    if exponent >= _LEAST_EXPONENT:
        few, slack, few_unit, enough, unit = _try(exponent, Decimal(micro))
        if unit == int(unit):
            return Scale(few, -slack, slack, float(few_unit), enough, float(unit))
        if few_unit == 1:
            bound = max(slack, 0.449)
            return Scale(few, -bound, bound, 1.0, enough, 0.1)
    half = 2.0 ** (exponent - _FLOAT_BITS - 1) * micro
    odd = micro // (micro & -micro)
    if half > 0.05 or odd.bit_length() > 53 - _FLOAT_BITS:
        return _BY_OTHER_WAYS
    bound = 0.499 - half
    return Scale(float(micro), -bound, bound, 1.0, 0.0, 0.0)
