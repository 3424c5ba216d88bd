"""Numbers of Меркурий meters against recorded bytes and the maker's printed examples."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import pytest

from collectors.mercury_numbers import KINDS, clock_206, clock_230, energy, serial_206, serial_230
from ingest.errors import Malformed


@pytest.mark.parametrize(
    ("kind", "data", "meant"),
    [
        ("energy", "30 00 28 C5", 3196200),
        ("energy", "04 00 9C 95", 300444),
        ("energy", "00 00 70 0A", 2672),
        ("energy", "FF FF FF FF", None),
        ("energy", "FF FF FF FE", 0xFFFFFEFF),
        ("plain3", "00 40 5E", 24128),
        ("plain3", "00 45 00", 69),
        ("plain3", "FF FF FF", None),
        ("active3", "C8 87 70", -553095),
        ("active3", "08 87 70", 553095),
        ("reactive3", "C8 87 70", -553095),
        ("reactive3", "88 87 70", 553095),
        ("active3", "80 00 00", 0),
        ("active3", "FF FF FF", None),
        ("bcd4", "00 06 21 42", 62142),
        ("bcd2", "12 34", 1234),
        ("bcd3", "76 54 32", 765432),
        ("bcd4", "FF FF FF FF", None),
    ],
)
def test_bytes_mean_what_meters_and_their_maker_say(kind: str, data: str, meant: int | None) -> None:
    raw = bytes.fromhex(data)
    assert KINDS[kind].size == len(raw)
    assert KINDS[kind].read(raw) == (None if meant is None else Decimal(meant))


def test_a_half_byte_that_is_no_digit_is_malformed() -> None:
    with pytest.raises(Malformed, match="00 1a is not BCD"):
        KINDS["bcd2"].read(b"\x00\x1a")


def test_the_highest_byte_of_energy_counts() -> None:
    assert energy(bytes.fromhex("00 01 00 00")) == 1 << 24


def test_clocks() -> None:
    assert clock_230(bytes.fromhex("43 14 16 03 27 02 08 01")) == datetime(2008, 2, 27, 16, 14, 43)  # noqa: DTZ001
    assert clock_206(bytes.fromhex("05 14 30 59 20 11 26")) == datetime(2026, 11, 20, 14, 30, 59)  # noqa: DTZ001
    with pytest.raises(Malformed, match="no time"):
        clock_230(bytes.fromhex("43 14 16 03 31 02 08 01"))
    with pytest.raises(Malformed, match="BCD"):
        clock_206(bytes.fromhex("05 1F 30 59 20 11 26"))


def test_serial_numbers() -> None:
    assert serial_230(bytes.fromhex("2F 00 09 63 01 02 08")) == "47000999"
    assert serial_206(bytes.fromhex("01 2A 05 F2")) == "19531250"
    with pytest.raises(Malformed, match="two decimal digits"):
        serial_230(b"\x64\x00\x00\x00")
