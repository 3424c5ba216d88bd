"""A model file is read strictly: every mistake is found at once, with its line, its value and its remedy."""

from __future__ import annotations

from decimal import Decimal

import pytest

from collectors.meter_model import Kind, ModelRegister, Order, Sample, SerialRegister, Sum
from collectors.model_file import BadModel, parse_model

TOP = """\
manufacturer = "Somebody"
name = "Three phases"
source = "User manual, table 4"
"""
WHOLE = (
    TOP
    + """\
base = 1
function = 4
word_order = "low-first"
max_registers = 60
max_gap = 8
timeout = 0.5
pause = 0.01

[serial]
address = 101
type = "text"
words = 4

[[register]]
channel = "21.8.0"
address = 0x1001
type = "int32"
unit = "Wh"
scale = "10"
digits = 6
decimals = 2
max_rate = "53.8"
not_available = [0x7FFF_FFFF]

[[register]]
channel = "41.8.0"
address = 0x1003
function = 3
type = "float32"
word_order = "high-first"
unit = "kWh"

[[sum]]
channel = "1.8.0"
parts = ["21.8.0", "41.8.0"]
digits = 6

[[sample]]
channel = "21.8.0"
address = 0x1001
words = "3039 0000"
expected = "123.45"

[[sample]]
channel = "41.8.0"
address = 0x1003
words = "7FC0 0000"
expected = "none"
"""
)


def test_everything_a_file_may_say() -> None:
    model = parse_model("models/somebody-three.toml", WHOLE.encode())
    assert (model.slug, model.max_registers, model.max_gap, model.timeout, model.pause) == (
        *("somebody-three", 60, 8, 0.5, 0.01),
    )
    assert model.registers == (
        ModelRegister(
            *("21.8.0", 0x1000, 4, Kind.INT32, Decimal("0.010"), "Wh", Order.LOW_FIRST),
            not_available=frozenset({0x7FFFFFFF}),
            digits=6,
            decimals=2,
            max_rate=Decimal("53.8"),
        ),
        ModelRegister("41.8.0", 0x1002, 3, Kind.FLOAT32, Decimal(1), "kWh"),
    )
    assert model.sums == (Sum("1.8.0", ("21.8.0", "41.8.0"), digits=6),)
    assert model.serial == SerialRegister(100, 4, 4, text=True)
    assert model.samples == (
        Sample(0x1000, bytes.fromhex("30390000"), "21.8.0", Decimal("123.45")),
        Sample(0x1002, bytes.fromhex("7FC00000"), "41.8.0", None),
    )


def mistakes(text: str, name: str = "somebody-three.toml") -> list[str]:
    with pytest.raises(BadModel) as caught:
        parse_model(name, text.encode())
    return [str(mistake) for mistake in caught.value.mistakes]


def edited(*edits: tuple[str, str]) -> str:
    text = WHOLE
    for old, new in edits:
        assert old in text
        text = text.replace(old, new, 1)
    return text


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('name = "Three phases"', "", "name: is missing; write a text in quotation marks"),
        ('name = "Three phases"', 'name = " "', ":2: name = ' ': write a text in quotation marks that is not blank"),
        ("base = 1", "base = 2", ":4: base = 2: write one of 0, 1"),
        ("base = 1", "base = true", ":4: base = True: write one of 0, 1"),
        ("function = 4", "function = 6", ":5: function = 6: write one of 3, 4"),
        ('"low-first"', '"low"', ":6: word_order = 'low': write one of high-first, low-first"),
        ("max_registers = 60", "max_registers = 126", ":7: max_registers = 126: write a whole number from 1 to 125"),
        ("max_registers = 60", "max_registers = 1", ":7: max_registers = 1: allow at least the 2 of the widest"),
        ("timeout = 0.5", 'timeout = "0.5"', ":9: timeout = '0.5': write seconds from 0.05 to 30.0"),
        ("pause = 0.01", "pauze = 0.01", ":10: pauze = 0.01: this key is unknown; did you mean 'pause'?"),
        ("words = 4", "words = 0", ":15: [serial 1] words = 0: write a whole number from 1 to 32"),
        ('channel = "21.8.0"', 'channel = "21.8"', ":18: [register 1] channel = '21.8': channel '21.8' is not an OBIS"),
        ('channel = "21.8.0"', 'channel = "99.8.0"', ":18: [register 1] channel = '99.8.0': channel '99.8.0' has no"),
        ("address = 0x1001", "address = 0", ":19: [register 1] address = 0: write a whole number from 1 to 65536"),
        ("address = 0x1001", "address = 65536", "[register 1] address = '0x10000': leave room for 2 registers below"),
        ("address = 0x1001", "", ":17: [register 1] address: is missing; write a whole number from 1"),
        ('type = "int32"', 'type = "int33"', ":20: [register 1] type = 'int33': write one of int16, uint16"),
        ('unit = "Wh"', 'unit = "W"', ":21: [register 1] unit = 'W': 21.8.0 is counted in kWh; write one of Wh, kWh"),
        ('scale = "10"', "scale = 10", ":22: [register 1] scale = 10: write an exact number in quotation marks"),
        ('scale = "10"', 'scale = "ten"', ":22: [register 1] scale = 'ten': write an exact number in quotation marks"),
        ('scale = "10"', 'scale = "0"', ":22: [register 1] scale = '0': write a number other than 0"),
        ("digits = 6", "digits = 13", ":23: [register 1] digits = 13: write a whole number from 1 to 12"),
        ('max_rate = "53.8"', 'max_rate = "-1"', ":25: [register 1] max_rate = '-1': write the greatest plausible"),
        ("[0x7FFF_FFFF]", "[0x1_0000_0000]", ":26: [register 1] not_available = [4294967296]: write a list of whole"),
        ('channel = "41.8.0"', 'channel = "21.8.0"', "channel = '21.8.0': describe a channel once"),
        ('parts = ["21.8.0", "41.8.0"]', 'parts = ["21.8.0"]', "[sum 1] parts = ['21.8.0']: name at least two"),
        ('parts = ["21.8.0", "41.8.0"]', 'parts = ["21.8.0", "61.8.0"]', "[sum 1] parts = '61.8.0': name channels of"),
        ('parts = ["21.8.0", "41.8.0"]', 'parts = "21.8.0"', "[sum 1] parts = '21.8.0': write a list of texts"),
        ('words = "3039 0000"', 'words = "3039"', "[sample 1] words = '3039': write 2 words of four hexadecimal"),
        ('words = "3039 0000"', 'words = "303"', "[sample 1] words = '303': write words of four hexadecimal"),
        ('expected = "123.45"', "", "[sample 1] expected: is missing"),
        ('expected = "none"', 'expected = "nan"', "[sample 2] expected = 'nan': write an exact number"),
        ("[serial]", "[[serial]]", ":12: serial: write it as a table under [serial]"),
        ("[[register]]", "[[registers]]", ":17: registers: this key is unknown; did you mean 'register'?"),
        (
            "address = 0x1003",
            'address = "0x1003"',
            ":30: [register 2] address = '0x1003': write a whole number from 1 to",
        ),
        ("address = 0x1003", 'address = "0x1003"', ", without quotation marks"),
        ('unit = "Wh"', 'unit = "wH"', "did you mean Wh?"),
        ("base = 1", "base = ", ":4: content: Invalid value (at line 4, column 8); write valid TOML"),
    ],
)
def test_each_mistake_is_named_with_its_remedy(old: str, new: str, told: str) -> None:
    assert any(told in mistake for mistake in mistakes(edited((old, new))))


def test_two_registers_on_one_address_are_a_mistake() -> None:
    overlapping = edited(("address = 0x1003\nfunction = 3", "address = 0x1002"))
    assert any(
        ":30: [register 2] address = '0x1002': 41.8.0 lies over 21.8.0" in mistake for mistake in mistakes(overlapping)
    )


def test_all_mistakes_come_together() -> None:
    assert len(mistakes(edited(("base = 1", "base = 7"), ('"int32"', '"x"'), ('scale = "10"', "scale = 1.5")))) >= 3


def test_what_is_not_toml_says_where() -> None:
    [told] = mistakes(TOP + "base = = 1")
    assert "line 4" in told
    assert "write valid TOML" in told


def test_a_file_without_registers_is_told_so() -> None:
    assert mistakes(TOP) == ["somebody-three.toml: register: describe at least one value in a [[register]] table"]


@pytest.mark.parametrize("name", ["Somebody.toml", "some body.toml", "-x.toml", "какой.toml"])
def test_the_file_name_is_the_slug(name: str) -> None:
    assert any("name it maker-model.toml" in mistake for mistake in mistakes(WHOLE, name))


def test_momentary_values_do_not_roll_over() -> None:
    momentary = edited(('channel = "41.8.0"', 'channel = "32.7.0"\ndigits = 6'), ('unit = "kWh"', 'unit = "V"'))
    assert any("leave it out: only energies roll over" in mistake for mistake in mistakes(momentary))


def test_mistakes_come_in_the_order_of_the_lines() -> None:
    told = mistakes(edited(("base = 1", "base = 3"), ("digits = 6", "digits = 0"), ('source = "', 'sauce = "')))
    lines = [int(one.split(":")[1]) for one in told if one.split(":")[1].isdigit()]
    assert lines == sorted(lines)
    assert len(lines) >= 3


def test_bytes_that_are_no_text_are_named_by_their_line() -> None:
    with pytest.raises(BadModel, match=r"two\.toml:2: content: .*write the file in UTF-8"):
        parse_model("two.toml", b'base = 1\nname = "\xff"\n')


def test_a_long_value_is_cut_and_of_tables_the_name_is_enough() -> None:
    told = mistakes(edited(("[[sample]]", f"[extra]\nx = 1\n[[sample]]\nabout = {list(range(90))}")))
    assert any(":41: extra: this key is unknown" in one for one in told)
    assert max(map(len, told)) < 400
