"""A float32 becomes the decimal that was meant: the shortest one that reads back as the same float32."""

from __future__ import annotations

import struct
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from collectors.float32 import shortest

FLOAT32 = st.integers(0, 2**32 - 1).map(lambda bits: struct.unpack(">f", bits.to_bytes(4, "big"))[0])


@given(FLOAT32.filter(lambda value: value - value == 0))
def test_a_float32_becomes_a_decimal_that_reads_back_as_itself(value: float) -> None:
    assert struct.pack(">f", float(shortest(value))) == struct.pack(">f", value + 0.0)


def test_even_the_largest_one() -> None:
    assert shortest(struct.unpack(">f", bytes.fromhex("7f7fffff"))[0]) == Decimal("3.4028235e38")


@given(st.floats(0.5, 16777216, width=32))
def test_and_it_is_the_shortest_one(value: float) -> None:
    packed = struct.pack(">f", value)
    texts = (f"{value:.{digits}g}" for digits in range(1, 10))
    best = next(Decimal(text) for text in texts if struct.pack(">f", float(text)) == packed)
    assert len(shortest(value).normalize().as_tuple().digits) == len(best.normalize().as_tuple().digits)


@given(st.decimals(0, 99999, places=2))
def test_what_a_meter_shows_with_two_decimals_comes_back_as_shown(shown: Decimal) -> None:
    (value,) = struct.unpack(">f", struct.pack(">f", float(shown)))
    assert shortest(value) == shown
