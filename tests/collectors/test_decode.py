"""Words of every type and order become the exact number that was meant, or nothing."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from collectors.decode import block_decoder, decode, serial_number
from collectors.meter_model import Kind, ModelRegister, Order, SerialRegister
from ingest.errors import Malformed


def register(kind: Kind, factor: str = "1", *codes: int) -> ModelRegister:
    return ModelRegister("1.8.0", 0, 3, kind, Decimal(factor), not_available=frozenset(codes))


@pytest.mark.parametrize(
    ("kind", "words", "factor", "expected"),
    [
        (Kind.UINT16, "1388", "0.01", "50.00"),
        (Kind.INT16, "FFFE", "1", "-2"),
        (Kind.UINT32, "FFFFFFFE", "1", "4294967294"),
        (Kind.INT32, "FFFFCFC7", "0.1", "-1234.5"),
        (Kind.UINT64, "000000000012D687", "0.01", "12345.67"),
        (Kind.INT64, "FFFFFFFFFFFFFFFF", "0.001", "-0.001"),
        (Kind.UINT64, "FFFFFFFFFFFFFFFE", "0.000003125", "57646075230342.348793750"),
        (Kind.FLOAT32, "43663333", "1", "230.2"),
        (Kind.FLOAT32, "4640E6AE", "0.001", "12.34567"),
        (Kind.FLOAT64, "40C81CD5C28F5C29", "1", "12345.67"),
        (Kind.BCD16, "1234", "1", "1234"),
        (Kind.BCD32, "00062142", "0.01", "621.42"),
        (Kind.BCD64, "0000000000000009", "1", "9"),
    ],
)
def test_every_type(kind: Kind, words: str, factor: str, expected: str) -> None:
    assert decode(register(kind, factor), bytes.fromhex(words)) == Decimal(expected)


ORDERED = [
    (Order.HIGH_FIRST, Order.HIGH_FIRST, "0102030405060708"),
    (Order.LOW_FIRST, Order.HIGH_FIRST, "0708050603040102"),
    (Order.HIGH_FIRST, Order.LOW_FIRST, "0201040306050807"),
    (Order.LOW_FIRST, Order.LOW_FIRST, "0807060504030201"),
]


@pytest.mark.parametrize(("word_order", "byte_order", "words"), ORDERED)
def test_every_order_of_words_and_bytes(word_order: Order, byte_order: Order, words: str) -> None:
    ordered = replace(register(Kind.UINT64), word_order=word_order, byte_order=byte_order)
    assert decode(ordered, bytes.fromhex(words)) == 0x0102030405060708


def test_orders_hold_for_floats_and_bcd() -> None:
    low_float = replace(register(Kind.FLOAT32), word_order=Order.LOW_FIRST)
    assert decode(low_float, bytes.fromhex("33334366")) == Decimal("230.2")
    low_bcd = replace(register(Kind.BCD32), word_order=Order.LOW_FIRST)
    assert decode(low_bcd, bytes.fromhex("21420006")) == 62142


@pytest.mark.parametrize(
    ("kind", "words", "codes"),
    [
        (Kind.UINT32, "FFFFFFFF", (0xFFFFFFFF,)),
        (Kind.INT32, "7FFFFFFF", (0x7FFFFFFF,)),
        (Kind.INT32, "80000000", (0x7FFFFFFF, 0x80000000)),
        (Kind.INT16, "8000", (0x8000,)),
        (Kind.INT64, "8000000000000000", (0x8000000000000000,)),
        (Kind.UINT64, "FFFFFFFFFFFFFFFF", (0xFFFFFFFFFFFFFFFF,)),
        (Kind.FLOAT32, "7FC00000", ()),
        (Kind.FLOAT32, "FFC00000", ()),
        (Kind.FLOAT32, "7F800000", ()),
        (Kind.FLOAT32, "BF800000", (0xBF800000,)),
        (Kind.FLOAT64, "FFF0000000000000", ()),
        (Kind.BCD32, "FFFFFFFF", ()),
        (Kind.BCD16, "9999", (0x9999,)),
    ],
)
def test_not_available_is_nothing_and_never_a_number(kind: Kind, words: str, codes: tuple[int, ...]) -> None:
    assert decode(register(kind, "0.01", *codes), bytes.fromhex(words)) is None


def test_a_code_of_one_meter_is_a_number_of_another() -> None:
    assert decode(register(Kind.UINT32), bytes.fromhex("FFFFFFFF")) == 4294967295


def test_what_is_not_bcd_is_malformed_and_names_itself() -> None:
    with pytest.raises(Malformed, match=r"1\.8\.0 at 0x0000 is 12ab, which is not BCD"):
        decode(register(Kind.BCD16), bytes.fromhex("12AB"))


def test_registers_are_found_inside_their_block() -> None:
    placed = [
        replace(register(Kind.UINT16), channel="1.8.0", address=10),
        replace(register(Kind.UINT32), channel="2.8.0", address=12, word_order=Order.LOW_FIRST),
        replace(register(Kind.BCD16), channel="3.8.0", address=14),
    ]
    block = block_decoder(placed, first=9, head=2)
    raw = block.unpack(bytes.fromhex("FFFF FFFF 0003 FFFF 0005 0001 0042 FFFF"))
    values = [convert(one) for convert, one in zip(block.converts, raw, strict=True)]
    assert dict(zip(block.channels, values, strict=True)) == {"1.8.0": 3, "2.8.0": 65541, "3.8.0": 42}


def test_scaling_is_exact_where_binary_floats_are_not() -> None:
    value = decode(register(Kind.UINT64, "0.01"), (10**17 + 1).to_bytes(8, "big"))
    assert value == Decimal("1000000000000000.01")


NUMBER = SerialRegister(0, 3, 2)


@pytest.mark.parametrize(
    ("place", "words", "expected"),
    [
        (NUMBER, "00ABA951", "11250001"),
        (NUMBER, "FFFFFFFF", None),
        (NUMBER, "00000000", None),
        (replace(NUMBER, word_order=Order.LOW_FIRST), "A95100AB", "11250001"),
        (replace(NUMBER, offset=0xFE000000), "FE00002A", "42"),
        (replace(NUMBER, offset=0xFE000000), "0000002A", None),
        (SerialRegister(0, 3, 7, text=True), "42583132333435000000 20000000", "BX12345"),
        (SerialRegister(0, 3, 2, text=True), "00000000", None),
    ],
)
def test_a_serial_number_is_read_as_stated(place: SerialRegister, words: str, expected: str | None) -> None:
    assert serial_number(place, bytes.fromhex(words)) == expected
