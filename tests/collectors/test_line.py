"""The owner of a line against simulated meters over real sockets: turns, silence, lost links, questions, clocks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from itertools import pairwise

import pytest

from collectors.clock import Clock
from collectors.line import Owner
from collectors.link import LineDown
from collectors.modbus import ModbusLink
from collectors.patience import Patience
from collectors.schedule import SPREAD, phase
from ingest.delivery import Delivery, Outcome
from ingest.errors import NotFound
from ingest.model import Polled
from simulators.modbus import ModbusServer
from simulators.unit import Unit
from tests.collectors.modbus_rig import (
    HALF_HOUR,
    IMPATIENT,
    PATIENCE,
    Remembering,
    ScriptedServer,
    eventually,
    line_to,
    patient_catalog,
    polled,
    scripted,
    simulated,
)
from tests.collectors.running import running

CATALOG = patient_catalog(0.1)
MINUTE = timedelta(minutes=1)


class MovableClock(Clock):
    """A clock that can be suspended or corrected."""

    def __init__(self, factor: float = 1.0) -> None:
        super().__init__(factor)
        self.moved = timedelta(0)

    def now(self) -> datetime:
        return super().now() + self.moved


@asynccontextmanager
async def owned(
    server: ModbusServer | ScriptedServer,
    door: Remembering,
    *meters: Polled,
    clock: Clock | None = None,
    patience: Patience | None = None,
) -> AsyncIterator[Owner]:
    line = line_to(server)
    owner = Owner(line, ModbusLink(line, CATALOG), door, clock, patience)
    owner.update(meters)
    async with running(owner):
        yield owner


def units(*numbers: int) -> dict[int, Unit]:
    return {number: simulated("eastron-sdm120", f"1100000{number}") for number in numbers}


def slots(door: Remembering, meter: Polled) -> list[int]:
    """The period each poll of a meter belongs to, its phase taken off."""
    offset = phase(meter.serial, SPREAD, meter.period)
    instants = [poll.readings[0].taken_at - offset for poll in door.polls(meter.serial)]
    return [int(instant.timestamp() // meter.period.total_seconds()) for instant in instants]


async def test_a_new_meter_is_polled_at_once_and_then_once_a_period() -> None:
    door, meters = Remembering(), [polled(5), polled(6)]
    async with ModbusServer(units(5, 6)) as server, owned(server, door, *meters, clock=Clock(3600.0)):
        await door.until(lambda door: all(len(door.polls(meter.serial)) >= 5 for meter in meters))
    for meter in meters:
        seen = slots(door, meter)
        assert len(door.polls(meter.serial)[0].readings) == 9
        assert all(before < after for before, after in pairwise(seen[1:]))
        for delivery in door.polls(meter.serial):
            assert len({reading.taken_at for reading in delivery.readings}) == 1
            assert delivery.origin == f"modbus:tp-101/{meter.address}"
            assert [contact.failure for contact in delivery.contacts] == [None]


async def test_a_dead_meter_is_given_up_and_the_others_go_on() -> None:
    door, dead, well = Remembering(), polled(5, IMPATIENT, MINUTE), polled(6, period=MINUTE)
    served = units(5, 6)
    served[5].break_with("dead")
    patience = Patience(turns=3, time=60.0, retry=5.0, probe=600.0, longest=600.0)
    async with (
        ModbusServer(served) as server,
        owned(server, door, dead, well, clock=Clock(200.0), patience=patience),
    ):
        await door.until(lambda door: any(pause >= timedelta(seconds=480) for pause in pauses(door, dead)))
        failures = door.contacts(dead.serial)
        assert {contact.failure for contact in failures} == {"timeout"}
        assert "unit 5 did not answer within" in str(failures[0].detail)
        assert len(door.polls(well.serial)) >= 3
        served[5].mend()
        await door.until(lambda door: len(door.polls(dead.serial)) >= 3)
    assert all(before < after for before, after in pairwise(slots(door, well)[1:]))


def pauses(door: Remembering, meter: Polled) -> list[timedelta]:
    """How long the meter was left alone between its failures; given up, 600 s and at most a fifth less."""
    tried = [contact.tried_at for contact in door.contacts(meter.serial)]
    return [later - earlier for earlier, later in pairwise(tried)]


async def test_a_short_trouble_is_tried_again_within_the_period() -> None:
    door, meter = Remembering(), polled(5)
    served = units(5)
    served[5].break_with("busy")
    async with ModbusServer(served) as server, owned(server, door, meter, patience=Patience(retry=0.2)):
        await door.until(lambda door: len(door.contacts(meter.serial)) >= 2)
        served[5].mend()
        await door.until(lambda door: bool(door.polls(meter.serial)))
    assert {contact.failure for contact in door.contacts(meter.serial)} == {"busy", None}


async def test_a_lost_line_is_told_of_once_a_period_and_caught_up_once() -> None:
    door, meters = Remembering(), [polled(5, period=timedelta(minutes=10)), polled(6, period=timedelta(minutes=10))]
    async with ModbusServer(units(5, 6)) as server, owned(server, door, *meters, clock=Clock(1000.0)):
        await door.until(lambda door: all(door.polls(meter.serial) for meter in meters))
        await server.stop()
        await door.until(lambda door: sum(c.failure == "line_down" for c in door.contacts("serial-6")) >= 3)
        polls, down = len(door.polls("serial-6")), slots_of_failures(door, meters[1])
        await server.start()
        await door.until(lambda door: len(door.polls("serial-6")) >= polls + 2)
    assert len(set(down)) >= len(down) - 1
    caught_up = slots(door, meters[1])[polls:]
    assert len(caught_up) <= caught_up[-1] - caught_up[0] + 2


def slots_of_failures(door: Remembering, meter: Polled) -> list[int]:
    offset = phase(meter.serial, SPREAD, meter.period)
    failed = [contact.tried_at - offset for contact in door.contacts(meter.serial) if contact.failure]
    return [int(instant.timestamp() // meter.period.total_seconds()) for instant in failed]


async def test_a_line_that_cannot_be_opened_blames_the_line() -> None:
    door, server = Remembering(), ModbusServer({})
    await server.start()
    await server.stop()
    async with owned(server, door, polled(5), polled(6)):
        await door.until(lambda door: bool(door.contacts("serial-5") and door.contacts("serial-6")))
    assert {contact.failure for delivery in door.deliveries for contact in delivery.contacts} == {"line_down"}
    assert "cannot connect to 127.0.0.1" in str(door.contacts("serial-5")[0].detail)


async def test_when_nobody_answers_the_link_is_opened_anew() -> None:
    door = Remembering()
    async with (
        scripted(lambda request: []) as server,
        owned(server, door, polled(5, IMPATIENT), patience=Patience(retry=0.05, time=0.0, probe=0.05, longest=0.1)),
    ):
        await door.until(lambda door: len(door.contacts("serial-5")) >= 8)
        assert server.connections >= 2
    assert {contact.failure for contact in door.contacts("serial-5")} == {"timeout"}


async def test_a_question_goes_ahead_and_is_not_delivered() -> None:
    door = Remembering()
    async with ModbusServer(units(5)) as server, owned(server, door, polled(5)) as owner:
        await door.until(lambda door: bool(door.polls("serial-5")))
        answer = await asyncio.wait_for(owner.ask("serial-5"), PATIENCE)
        assert answer.values == {one.channel: one.value for one in door.polls("serial-5")[0].readings}
        assert len(door.deliveries) == 1
        with pytest.raises(NotFound, match="meter 'other' is not on line tp-101"):
            await owner.ask("other")
        await server.stop()
        with pytest.raises(LineDown):
            await asyncio.wait_for(owner.ask("serial-5"), PATIENCE)


async def test_meters_come_change_and_go_without_a_restart() -> None:
    door = Remembering()
    async with ModbusServer(units(5, 6, 7)) as server, owned(server, door, polled(5), clock=Clock(60.0)) as owner:
        await door.until(lambda door: bool(door.polls("serial-5")))
        moved = Polled("serial-5", "eastron-sdm120", "7", MINUTE, "UTC")
        owner.update([moved, polled(6)])
        await door.until(lambda door: {"modbus:tp-101/7", "modbus:tp-101/6"} <= {one.origin for one in door.deliveries})
        owner.update([polled(6, period=MINUTE)])
        seen = len(door.polls("serial-5"))
        await door.until(lambda door: len(door.polls("serial-6")) >= 4)
        assert len(door.polls("serial-5")) <= seen + 1
        assert server.connections == 1


async def test_a_full_door_holds_the_polls_back() -> None:
    class Closed(Remembering):
        def __init__(self) -> None:
            super().__init__()
            self.opened = asyncio.Event()
            self.waiting = 0

        async def put(self, delivery: Delivery) -> asyncio.Future[Outcome]:
            self.waiting += 1
            await self.opened.wait()
            return await super().put(delivery)

        def offer(self, delivery: Delivery) -> bool:
            return self.opened.is_set() and super().offer(delivery)

    door, served = Closed(), units(5, 6)
    async with ModbusServer(served) as server, owned(server, door, polled(5), polled(6)):
        await eventually(lambda: bool(door.waiting))
        assert served[5].requests + served[6].requests == 1
        door.opened.set()
        await door.until(lambda door: len(door.deliveries) == 2)


async def test_a_suspended_machine_catches_up_once() -> None:
    door, clock = Remembering(), MovableClock(3000.0)
    async with ModbusServer(units(5)) as server, owned(server, door, polled(5), clock=clock):
        await door.until(lambda door: len(door.polls("serial-5")) == 1)
        clock.moved = timedelta(days=3)
        await door.until(lambda door: len(door.polls("serial-5")) >= 3)
    seen = slots(door, polled(5))
    assert seen[1] - seen[0] >= 3 * 48
    assert seen[2] > seen[1]


async def test_a_clock_set_back_leaves_no_meter_waiting() -> None:
    door, clock, back = Remembering(), MovableClock(3000.0), timedelta(days=30)

    def set_back(door: Remembering) -> list[datetime]:
        instants = [poll.readings[0].taken_at for poll in door.polls("serial-5")]
        return [instant for instant in instants if instant < instants[0] - back / 2]

    async with ModbusServer(units(5)) as server, owned(server, door, polled(5), clock=clock) as owner:
        await door.until(lambda door: bool(door.polls("serial-5")))
        clock.moved = -back
        last = door.polls("serial-5")[-1].readings[0].taken_at
        owner.update([polled(5)])
        await door.until(lambda door: bool(set_back(door)))
    assert set_back(door)[0] - (last - back) <= 2 * HALF_HOUR + SPREAD
