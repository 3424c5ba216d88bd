"""Profile records by themselves: times, counts, and what makes one no reading."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from collectors.mercury_profile import Slice, energies, slice_of, straightened, wrong_with
from ingest.errors import Malformed

RECORD = bytes.fromhex("00 18 30 20 11 26 1E D2 04 FF FF 19 00 FF FF")
END = datetime(2026, 11, 20, 18, 30)  # noqa: DTZ001


def ending(end: datetime, minutes: int = 30, *, whole: bool = True) -> Slice:
    return Slice(end, minutes, whole, (1, None, None, None), b"")


def test_a_record() -> None:
    assert slice_of(RECORD) == Slice(END, 30, True, (1234, None, 25, None), RECORD)
    assert slice_of(b"\x02" + RECORD[1:]) == Slice(END, 30, False, (1234, None, 25, None), b"\x02" + RECORD[1:])
    assert slice_of(b"\xff" * 15) is None
    assert slice_of(bytes(15)) is None
    with pytest.raises(Malformed, match="has no time"):
        slice_of(RECORD[:4] + b"\x13" + RECORD[5:])
    with pytest.raises(Malformed, match="BCD"):
        slice_of(RECORD[:1] + b"\x1f" + RECORD[2:])


def test_24_00_is_the_end_of_the_day() -> None:
    record = slice_of(bytes.fromhex("00 24 00 20 11 26 1E") + RECORD[7:])
    assert record is not None
    assert record.end == datetime(2026, 11, 21)  # noqa: DTZ001


@pytest.mark.parametrize(("constant", "kwh"), [(1000, "0.617"), (5000, "0.1234"), (500, "1.234"), (25000, "0.02468")])
def test_energies_are_half_impulses(constant: int, kwh: str) -> None:
    record = slice_of(RECORD)
    assert record is not None
    found = dict(energies(record, ("1.8.0", "2.8.0", "3.8.0", "4.8.0"), constant))
    assert found == {"1.8.0": Decimal(kwh), "3.8.0": Decimal(25) / (2 * constant)}


def test_what_is_no_reading() -> None:
    assert wrong_with(ending(END), 30, None) is None
    assert wrong_with(ending(END), 30, END + timedelta(minutes=30)) is None
    assert "cut short" in str(wrong_with(ending(END, whole=False), 30, None))
    assert "30 are expected" in str(wrong_with(ending(END, 60), 30, None))
    assert "18:47" in str(wrong_with(ending(END + timedelta(minutes=17)), 30, None))
    assert "earlier lap" in str(wrong_with(ending(END), 30, END))


def test_midnight_dated_with_the_day_that_ends_is_told_by_its_neighbours() -> None:
    midnight = datetime(2026, 11, 21)  # noqa: DTZ001
    half = timedelta(minutes=30)
    odd = [ending(midnight + half), ending(midnight - timedelta(days=1)), ending(midnight - half)]
    assert [one.end for one in straightened(odd)] == [midnight + half, midnight, midnight - half]
    outage = [
        ending(midnight + half),
        ending(midnight - timedelta(days=1)),
        ending(midnight - timedelta(days=1) - half),
    ]
    assert straightened(outage) == outage
    assert straightened(odd[:2]) == odd[:2]
