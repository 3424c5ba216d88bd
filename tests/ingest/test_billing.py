"""Which month a reading is counted to."""

from __future__ import annotations

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from ingest.billing import Window, billing

MOSCOW = ZoneInfo("Europe/Moscow")


@pytest.mark.parametrize(
    ("first", "last", "day", "month", "in_window"),
    [
        (15, 25, "2026-11-15", "2026-11", True),
        (15, 25, "2026-11-25", "2026-11", True),
        (15, 25, "2026-11-26", "2026-12", False),
        (15, 25, "2026-12-31", "2027-01", False),
        (15, 25, "2026-11-01", "2026-11", False),
        (1, 31, "2026-02-28", "2026-02", True),
        (23, 3, "2026-11-23", "2026-11", True),
        (23, 3, "2026-12-31", "2026-12", True),
        (23, 3, "2026-12-03", "2026-11", True),
        (23, 3, "2026-01-01", "2025-12", True),
        (23, 3, "2026-12-04", "2026-12", False),
        (23, 3, "2026-12-22", "2026-12", False),
    ],
)
def test_the_window_decides_the_month(first: int, last: int, day: str, month: str, in_window: bool) -> None:
    found = billing(Window(first, last), datetime.fromisoformat(f"{day}T12:00:00+03:00"), MOSCOW)
    assert (f"{found.month:%Y-%m}", found.in_window) == (month, in_window)


def test_the_day_is_that_of_the_point() -> None:
    entered = datetime(2026, 11, 25, 20, 30, tzinfo=UTC)
    assert billing(Window(), entered, MOSCOW).month == date(2026, 11, 1)
    assert billing(Window(), entered, ZoneInfo("Europe/Samara")).month == date(2026, 12, 1)


@pytest.mark.parametrize(("first", "last"), [(0, 25), (15, 32), (-1, 3)])
def test_a_window_of_no_days_is_refused(first: int, last: int) -> None:
    with pytest.raises(ValueError, match="day of a month"):
        Window(first, last)
