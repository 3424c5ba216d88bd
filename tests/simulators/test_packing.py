"""Packing, held to recorded and printed bytes."""

import math
import struct
from decimal import Decimal

import pytest

from simulators.packing import Pack, float32, integer


@pytest.mark.parametrize(
    ("pack", "value", "expected"),
    [
        (float32(), "230.2", "43 66 33 33"),
        (float32(), "100", "42 c8 00 00"),
        (float32(Decimal("0.001")), "1500", "3f c0 00 00"),
        (integer(2, Decimal("0.1"), signed=False), "230.2", "00 00 08 fe"),
        (integer(2, Decimal("0.1"), signed=True, low_first=True), "240113.4", "a3 6e 00 24"),
        (integer(2, Decimal("0.01"), signed=True), "-1", "ff ff ff 9c"),
        (integer(1, Decimal("0.01"), signed=False), "50.02", "13 8a"),
        (integer(1, Decimal("0.1"), signed=True), "50.05", "01 f5"),
        (integer(4, Decimal("0.01"), signed=False), "120455.08", "00 00 00 00 00 b7 cc c4"),
        (integer(4, Decimal("0.001"), signed=True), "4294967.296", "00 00 00 01 00 00 00 00"),
        (integer(4, Decimal("0.000003125"), signed=False, low_first=True), "1", "e2 00 00 04 00 00 00 00"),
    ],
)
def test_values(pack: Pack, value: str, expected: str) -> None:
    assert pack(Decimal(value)).hex(" ") == expected


def test_what_is_not_there_has_each_makers_own_code() -> None:
    assert math.isnan(struct.unpack(">f", float32()(None))[0])
    assert float32(none=0.0)(None) == bytes(4)
    assert integer(4, Decimal("0.01"), signed=False, none=(1 << 64) - 1)(None) == b"\xff" * 8
    assert integer(2, Decimal("0.01"), signed=True, none=0x7FFFFFFF)(None).hex() == "7fffffff"
    assert integer(2, Decimal("0.1"), signed=True, low_first=True, none=0x7FFFFFFF)(None).hex() == "ffff7fff"
    assert integer(4, Decimal("0.001"), signed=True, none=-(1 << 63))(None).hex() == "8000000000000000"


def test_a_number_too_large_stops_at_the_end_of_its_registers() -> None:
    assert integer(1, Decimal(1), signed=False)(Decimal(70000)).hex() == "ffff"
    assert integer(1, Decimal(1), signed=True)(Decimal(70000)).hex() == "7fff"
    assert integer(1, Decimal(1), signed=True)(Decimal(-70000)).hex() == "8000"
    assert integer(1, Decimal(1), signed=False)(Decimal(-1)).hex() == "0000"
