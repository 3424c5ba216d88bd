"""Which month a reading typed in is counted to: the submission window of the point's category decides. Pure.

A reading outside the window is never refused: one that comes late is counted to the next month, and is told so.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo


@dataclass(frozen=True, slots=True)
class Window:
    """Days of the month, both included. With `first` after `last` the window runs on into the next month."""

    first: int = 15
    last: int = 25

    def __post_init__(self) -> None:
        for name, day in (("first", self.first), ("last", self.last)):
            if not 1 <= day <= 31:
                raise ValueError(f"{name} {day} of a submission window is not a day of a month; write 1 to 31")


@dataclass(frozen=True, slots=True)
class Billing:
    """`month` (its first day) is what a reading entered now is counted to; `in_window`: it came in time."""

    month: date
    in_window: bool


def billing(window: Window, entered: datetime, zone: ZoneInfo) -> Billing:
    """Where a reading entered at an instant is counted to, by the clock of the point."""
    local = entered.astimezone(zone)
    day, this = local.day, date(local.year, local.month, 1)
    if window.first <= window.last:
        return Billing(this if day <= window.last else _after(this), window.first <= day <= window.last)
    return Billing(_before(this) if day <= window.last else this, day >= window.first or day <= window.last)


def _after(month: date) -> date:
    return date(month.year + month.month // 12, month.month % 12 + 1, 1)


def _before(month: date) -> date:
    return date(month.year - (month.month == 1), (month.month - 2) % 12 + 1, 1)
