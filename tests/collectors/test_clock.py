"""The clock that is not looked at for every poll is still never more than a millisecond behind."""

from __future__ import annotations

from datetime import datetime, timedelta

from collectors.clock import Clock
from tests.collectors.modbus_rig import AT


class Counted(Clock):
    """A clock that goes on by a second whenever it is looked at."""

    looks = 0

    def now(self) -> datetime:
        self.looks += 1
        return AT + timedelta(seconds=self.looks)


def test_it_is_looked_at_once_a_millisecond() -> None:
    clock = Counted()
    seen = [clock.lately(100.0 + 0.0004 * step) for step in range(10)]
    assert [(one - AT).total_seconds() for one in seen] == [1, 1, 1, 2, 2, 2, 3, 3, 3, 4]


def test_who_looks_lets_the_others_see_it() -> None:
    clock = Counted()
    looked = clock.look()
    assert clock.lately(0.0) == looked
    assert clock.look() > looked
