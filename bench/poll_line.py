"""A 9600-baud line with thirty meters of which three are dead: how much of their schedule do the healthy ones keep?

The line is a pseudo-terminal on which characters take their time, the collector the real one. The meters are dead from
the beginning, so the time in which they are tried most is part of what is measured.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta

from bench.figure import Figure, record
from bench.poll_door import Looking
from collectors.budget import Load, budget
from collectors.catalog import load_catalog
from collectors.line_settings import settings_of
from collectors.lines import Lines
from collectors.schedule import phase
from collectors.serial_link import line_link
from ingest.delivery import Delivery
from ingest.model import Line, Polled, PolledLine
from simulators.clock import Clock
from simulators.framing import RtuStation
from simulators.layouts import layout_of
from simulators.meter import Meter
from simulators.serial_line import SerialLine
from simulators.shape import load
from simulators.unit import Unit

METERS, DEAD = 30, (4, 13, 28)
MODEL, BAUD, PERIOD = "eastron-sdm120", 9600, timedelta(seconds=20)
SPREAD = PERIOD / 2


class _Noting(Looking):
    """A door that notes which meter answered when."""

    def __init__(self) -> None:
        self.answered: list[tuple[datetime, str]] = []
        self.failures: Counter[str] = Counter()

    def offer(self, delivery: Delivery) -> bool:
        for contact in delivery.contacts:
            if contact.failure is None:
                self.answered.append((contact.tried_at, contact.meter))
            else:
                self.failures[contact.meter] += 1
        return True


async def run(periods: int) -> None:
    """Watch so many periods, beginning when the collector does."""
    units = {number: _unit(number) for number in range(1, METERS + 1)}
    for number in DEAD:
        units[number].break_with("dead")
    door, catalog = _Noting(), load_catalog()
    async with SerialLine(RtuStation(units), baud=BAUD) as wire:
        line = Line("tp", "modbus-rtu", wire.path, {"baud": BAUD, "check_serial": False})
        meters = tuple(Polled(f"m{number}", MODEL, str(number), PERIOD) for number in units)
        async with Lines(door, lambda line: line_link(line, catalog), spread=SPREAD) as running:
            begun = datetime.now(UTC)
            await running.update([PolledLine(line, meters)])
            await asyncio.sleep(periods * PERIOD.total_seconds())
            until = datetime.now(UTC)
    healthy = [f"m{number}" for number in units if number not in DEAD]
    kept = {meter: _kept(door, meter, begun, until) for meter in healthy}
    counted = budget(settings_of(line), [Load(catalog[MODEL], METERS, PERIOD)], len(DEAD))
    record(
        Figure(
            *("30 meters at 9600 baud, 3 of them dead, schedule kept by the healthy", min(kept.values()), "share"),
            must="at least 0.95, the worst meter",
            detail=f"mean {sum(kept.values()) / len(kept):.3f} over {periods - 1} whole periods of {PERIOD.seconds} s, "
            f"the dead tried {sum(door.failures.values())} times; all alive would take {counted.share:.0%} of the line",
        )
    )


def _kept(door: _Noting, meter: str, begun: datetime, until: datetime) -> float:
    """The share of its own periods, from one regular instant to the next, in which it was read."""
    offset = phase(meter, SPREAD, PERIOD).total_seconds()

    def slot(at: datetime) -> int:
        return int((at.timestamp() - offset) // PERIOD.total_seconds())

    whole = range(slot(begun) + 1, slot(until))
    slots = {slot(at) for at, who in door.answered if who == meter}
    return len(slots.intersection(whole)) / len(whole)


def _unit(number: int) -> Unit:
    layout = layout_of(MODEL)
    meter = Meter(
        serial=f"{number:08}",
        shape=load("b"),
        phases=layout.phases,
        start={},
        shares={},
        resolution=layout.resolution,
        digits=layout.digits,
    )
    return Unit(meter, layout, Clock())
