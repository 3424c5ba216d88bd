"""The readings of one poll as one object: what it shows is what single readings would be."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from ingest.model import Reading
from ingest.taken import Taken

AT = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def test_it_is_a_sequence_of_readings() -> None:
    taken = Taken("7", AT, ("1.8.0", "1.7.0"), [12_345_678_900, -1_500_000])
    alike = [Reading("7", "1.8.0", AT, Decimal("12345.6789")), Reading("7", "1.7.0", AT, Decimal("-1.5"))]
    assert list(taken) == alike
    assert (len(taken), taken[0], taken[-1], taken[1:]) == (2, alike[0], alike[1], alike[1:])
    assert not Taken("7", AT, (), [])


@pytest.mark.parametrize(
    ("channels", "micros", "said"),
    [
        (("1.7.0", "1.8.0"), [-1, -1], "negative; an energy counter never is"),
        (("1.8.0",), [2**63], "too large"),
        (("1.8.0", "2.8.0"), [1], "1 values for 2 channels"),
    ],
)
def test_what_is_no_reading_is_refused(channels: tuple[str, ...], micros: list[int], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Taken("7", AT, channels, micros)


def test_a_naive_instant_is_refused() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        Taken("7", AT.replace(tzinfo=None), ("1.8.0",), [1])
