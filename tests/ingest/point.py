"""A metering point in memory: readings go through the door, consumption comes out of what was selected."""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar

from ingest.channel import to_micro
from ingest.consumption import Amount, Counter, Policy, Slot, Stretch, consumption
from ingest.delivery import Delivery, Outcome
from ingest.intake import Intake
from ingest.judge import limits_of
from ingest.model import Reading, RegisterSpec, Source
from ingest.settle import Row
from tests.ingest import selection
from tests.ingest.memory_store import MemoryStore, spec

START = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
LATER = datetime(2040, 1, 1, tzinfo=UTC)
ALWAYS = datetime(2000, 1, 1, tzinfo=UTC)

T = TypeVar("T")


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """The result of something async that never really waits, without a loop."""
    try:
        coroutine.send(None)
    except StopIteration as finished:
        return finished.value  # type: ignore[no-any-return]
    raise AssertionError("it waits for something")


@dataclass(frozen=True, slots=True)
class Stay:
    """One installation of a meter at the point."""

    serial: str
    since: datetime = ALWAYS
    until: datetime | None = None
    ratio: Decimal = Decimal(1)
    opening: Decimal | None = None
    closing: Decimal | None = None


class Point:
    """A point with one or more stays of meters that all have the same registers."""

    def __init__(self, *stays: Stay, registers: Sequence[RegisterSpec] = (spec(),)) -> None:
        self.stays = stays or (Stay("m1"),)
        self.store = MemoryStore()
        for serial in dict.fromkeys(stay.serial for stay in self.stays):
            self.store.install(serial, registers)
        self.intake = Intake(self.store, now=lambda: LATER)

    def give(self, *readings: Reading) -> Outcome:
        """One delivery through the door."""
        return run(self.intake.accept(Delivery("test", readings)))

    def history(self, serial: str = "m1", channel: str = "1.8.0") -> list[Row]:
        return self.store.history(serial, channel)

    def amounts(
        self,
        cuts: Sequence[datetime],
        *,
        channel: str = "1.8.0",
        policy: Policy | None = None,
        dense: bool = False,
        slots: Sequence[Slot] = (),
    ) -> Sequence[Amount]:
        """Consumption between the cuts."""
        return consumption(self.stretches(cuts, channel=channel, dense=dense, slots=slots), cuts, policy)

    def stretches(
        self, cuts: Sequence[datetime], *, channel: str = "1.8.0", dense: bool = False, slots: Sequence[Slot] = ()
    ) -> list[Stretch]:
        """What the cuts need of one channel, stay by stay."""
        return [
            Stretch(
                stay.serial,
                stay.since,
                stay.until,
                stay.ratio,
                tuple(self._counter(stay, name, cuts, dense, slots) for name in self._members(stay.serial, channel)),
            )
            for stay in self.stays
        ]

    def _members(self, serial: str, channel: str) -> list[str]:
        """The register of a channel, or the zones of a total without one."""
        known = [name for meter, name in self.store.registers if meter == serial]
        return [channel] if channel in known else [name for name in known if name.startswith(channel[:-1])]

    def counter(self, channel: str, cuts: Sequence[datetime]) -> Counter:
        """What the cuts need of one register of the only meter."""
        return self._counter(self.stays[0], channel, cuts, dense=False, slots=())

    def _counter(
        self, stay: Stay, channel: str, cuts: Sequence[datetime], dense: bool, slots: Sequence[Slot]
    ) -> Counter:
        register = self.store.registers[stay.serial, channel]
        watched = {(source, at) for number, source, at in self.store.tables.watched if number == register.id}
        found = selection.counter(
            channel,
            limits_of(register),
            selection.standing(self.history(stay.serial, channel), stay.since, stay.until),
            watched,
            sorted({*cuts, *(end for end in (stay.since, stay.until) if end and cuts[0] < end < cuts[-1])}),
            dense=dense,
            opening=None if stay.opening is None else to_micro(stay.opening),
            closing=None if stay.closing is None else to_micro(stay.closing),
        )
        return replace(found, slots=tuple(slots))


def reading(
    at: datetime | float,
    value: Decimal | float | str,
    *,
    serial: str = "m1",
    channel: str = "1.8.0",
    source: Source = Source.AUTOMATIC,
) -> Reading:
    """A reading of kWh, at an instant or at hours after START."""
    instant = START + at * HOUR if isinstance(at, int | float) else at
    return Reading(serial, channel, instant, Decimal(str(value)), source)


def hours(*numbers: float) -> list[datetime]:
    """Cuts at hours after START."""
    return [START + number * HOUR for number in numbers]
