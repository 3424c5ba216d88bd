"""A block in millionths, in one go: exactly what the decimal of each register rounds to, and only what surely fits."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collectors.decode import block_decoder, decode
from collectors.meter_model import Kind, ModelRegister, Order
from collectors.millionths import Millionths
from ingest.channel import LARGEST_MICRO, is_counter, to_micro
from ingest.errors import Malformed
from ingest.taken import Taken

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
COUNTER, MOMENTARY = "1.8.0", "1.7.0"


def register(kind: Kind, factor: str = "1", *codes: int, channel: str = MOMENTARY) -> ModelRegister:
    return ModelRegister(channel, 0, 3, kind, Decimal(factor), not_available=frozenset(codes))


def alone(one: ModelRegister) -> Millionths:
    return block_decoder([one], one.address).millionths


def by_decimal(one: ModelRegister, words: bytes) -> int | None:
    """Malformed and ValueError for what is no number, and for what is too large."""
    value = decode(one, words)
    return None if value is None else to_micro(value)


def surely(one: ModelRegister, micro: int | None) -> bool:
    return micro is not None and (micro >= 0 or not is_counter(one.channel))


def check(one: ModelRegister, counts: Millionths, words: bytes) -> None:
    """Counted as by its decimal, whatever it is."""
    try:
        expected = by_decimal(one, words)
    except (Malformed, ValueError):
        each = counts.each(words, 0)
        assert each is None or abs(each[0] or 0) > LARGEST_MICRO
        assert counts.sound(words, 0) is None
        return
    assert counts.each(words, 0) == [expected], words.hex()
    assert counts.sound(words, 0) == ([expected] if surely(one, expected) else None), words.hex()


@pytest.mark.parametrize("channel", [COUNTER, MOMENTARY])
@pytest.mark.parametrize("factor", ["1", "0.001", "1000", "0.1", "0.00032", "-1"])
@pytest.mark.parametrize(
    "kind", [Kind.FLOAT32, Kind.UINT32, Kind.INT32, Kind.INT16, Kind.FLOAT64, Kind.BCD32, Kind.UINT64]
)
def test_millionths_are_the_value_rounded_once(kind: Kind, factor: str, channel: str) -> None:
    dice = random.Random(17)
    for of_kind in (register(kind, factor, 0x7FFF, channel=channel), register(kind, factor, channel=channel)):
        counts = alone(of_kind)
        for words in _words_of(kind, dice):
            check(of_kind, counts, words)


def _words_of(kind: Kind, dice: random.Random) -> Iterator[bytes]:
    if kind is Kind.FLOAT32:
        odd = [0.0, -0.0, 0.5, 0.75, 1.0, 1e-30, 3e9, 3e38, -1.5, float("inf"), float("nan")]
        tame = [round(dice.uniform(-500, 500), dice.randrange(8)) for _ in range(300)]
        wild = [dice.uniform(-1, 1) * 10 ** dice.randrange(-6, 8) for _ in range(600)]
        yield from (struct.pack(">f", number) for number in (*odd, *tame, *wild))
    elif kind is Kind.FLOAT64:
        yield from (struct.pack(">d", dice.uniform(-1e6, 1e6)) for _ in range(200))
    elif kind is Kind.BCD32:
        yield from (bytes.fromhex(f"{dice.randrange(10**8):08}") for _ in range(200))
        yield bytes.fromhex("1234567A")
    else:
        yield from (dice.randbytes(2 * kind.words) for _ in range(300))


FACTORS = ("1", "0.001", "1000", "0.1", "0.01", "0.000001", "2", "0.25", "0.0001234", "1000000", "0.00032", "3600")
FLOATS = {
    (factor, channel): register(Kind.FLOAT32, factor, channel=channel)
    for factor in FACTORS
    for channel in (COUNTER, MOMENTARY)
}
COUNTS = {key: alone(one) for key, one in FLOATS.items()}


@settings(max_examples=500)
@given(st.sampled_from(sorted(FLOATS)), st.integers(0, 2**32 - 1))
def test_every_float32_is_counted_as_its_decimal(key: tuple[str, str], bits: int) -> None:
    check(FLOATS[key], COUNTS[key], bits.to_bytes(4, "big"))


@settings(max_examples=500)
@given(st.sampled_from(sorted(FLOATS)), st.integers(0, 2**25), st.integers(-3, 3), st.sampled_from([1, 10, 100]))
def test_half_a_millionth_is_rounded_as_the_decimal_is(
    key: tuple[str, str], millionth: int, beside: int, parts: int
) -> None:
    """The float32 nearest to half-way between two millionths (or their tenths), and its neighbours."""
    scale = float(key[0]) * 1_000_000 * parts
    (bits,) = struct.unpack(">I", struct.pack(">f", (millionth + 0.5) / scale))
    check(FLOATS[key], COUNTS[key], (max(0, bits + beside) & 0x7FFFFFFF).to_bytes(4, "big"))


@pytest.mark.parametrize("exponent", range(-24, 26))
def test_every_binary_exponent_to_its_edges(exponent: int) -> None:
    dice = random.Random(exponent)
    inner = [2.0**exponent * (1 + dice.random()) for _ in range(100)]
    (edge,) = struct.unpack(">I", struct.pack(">f", 2.0**exponent))
    for key in (("1", COUNTER), ("0.001", COUNTER), ("1000", MOMENTARY), ("1", MOMENTARY)):
        for value in inner:
            check(FLOATS[key], COUNTS[key], struct.pack(">f", value))
        for bits in range(edge - 3, edge + 4):
            check(FLOATS[key], COUNTS[key], bits.to_bytes(4, "big"))


@pytest.mark.parametrize("code", [0x00000000, 0x00000001, 0x42F60000, 0x7F7FFFFF, 0xC2F60000, 0x7FC00000])
def test_a_float_that_means_no_value_is_none(code: int) -> None:
    one = register(Kind.FLOAT32, "1", code)
    counts = alone(one)
    assert counts.each(code.to_bytes(4, "big"), 0) == [None]
    assert counts.sound(code.to_bytes(4, "big"), 0) is None
    for bits in (code + 1, code ^ 0x100, 0x43663333):
        check(one, counts, bits.to_bytes(4, "big"))


MIXED = [
    register(Kind.FLOAT32, channel="32.7.0"),
    register(Kind.UINT32, "0.01", channel="1.8.0"),
    register(Kind.INT16, "0.1", channel="1.7.0"),
    register(Kind.FLOAT32, "1", 0x42F60000, channel="52.7.0"),
    register(Kind.UINT16, "1", 0xFFFF, channel="3.7.0"),
    register(Kind.FLOAT32, channel="2.8.0"),
    replace(register(Kind.FLOAT32, channel="31.7.0"), word_order=Order.LOW_FIRST),
    register(Kind.FLOAT32, "0.001", channel="51.7.0"),
    register(Kind.UINT32, "0.00032", channel="3.8.0"),
    register(Kind.INT32, "0.01", channel="4.8.0"),
]


def placed(registers: Sequence[ModelRegister], first: int, dice: random.Random) -> list[ModelRegister]:
    at, done = first, []
    for one in registers:
        done.append(replace(one, address=at))
        at = done[-1].end + dice.randrange(2)
    return done


def test_neighbours_of_all_kinds_are_counted_each_as_if_alone() -> None:
    dice = random.Random(18)
    sound = 0
    for _ in range(60):
        block = placed(dice.sample(MIXED, len(MIXED)), 3, dice)
        counts = block_decoder(block, first=2, head=2).millionths
        assert sorted(counts.channels) == sorted(one.channel for one in block)
        of_channel = {one.channel: one for one in block}
        for _ in range(20):
            words = bytearray(dice.randbytes(2 * (block[-1].end - 2)))
            for one in block:
                _settle(words, one, 2 * (one.address - 2), dice)
            heard = bytes(7) + b"\x03\x00" + bytes(words)
            alone = {
                channel: by_decimal(one, bytes(words[2 * (one.address - 2) : 2 * (one.end - 2)]))
                for channel, one in of_channel.items()
            }
            expected = [alone[channel] for channel in counts.channels]
            assert counts.each(heard, 7) == expected
            surest = all(surely(of_channel[channel], micro) for channel, micro in alone.items())
            assert counts.sound(heard, 7) == (expected if surest else None)
            sound += surest
    assert sound > 100, "otherwise nothing was shown of most polls"


def _settle(words: bytearray, one: ModelRegister, at: int, dice: random.Random) -> None:
    """Numbers as meters send them in some registers, whatever comes in the others."""
    if one.kind is Kind.FLOAT32:
        seldom = float("nan") if dice.random() < 0.1 else dice.uniform(-9, 9)
        number = dice.choice([123.5, 0.0, abs(seldom), round(dice.uniform(0, 999), 2), dice.uniform(0, 9)])
        packed = struct.pack(">f", number)
        words[at : at + 4] = packed[2:] + packed[:2] if one.word_order is Order.LOW_FIRST else packed
    elif one.kind is Kind.INT32 and dice.random() < 0.8:
        words[at] &= 0x7F


@settings(max_examples=200)
@given(st.binary(min_size=48, max_size=48))
def test_what_is_sound_is_taken_by_whoever_looks(words: bytes) -> None:
    block = placed(MIXED, 0, random.Random(19))
    counts = block_decoder(block, 0).millionths
    micros = counts.sound(words, 0)
    if micros is not None:
        taken = Taken("m", NOW, counts.channels, micros)
        assert len(list(taken)) == len(MIXED)
        assert max(map(abs, micros)) <= LARGEST_MICRO
