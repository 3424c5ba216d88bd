"""A meter called for is polled ahead of the schedule, over real sockets, and whoever called hears what became of it."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from collectors.line import Owner
from collectors.link import LineDown, Silent
from collectors.modbus import ModbusLink
from ingest.errors import NotFound
from simulators.modbus import ModbusServer
from tests.collectors.modbus_rig import IMPATIENT, PATIENCE, Remembering, eventually, line_to, polled, scripted
from tests.collectors.running import running
from tests.collectors.test_line import CATALOG, owned, units


async def test_it_is_polled_now_and_delivered_like_any_poll() -> None:
    door = Remembering()
    meter = polled(5, period=timedelta(days=1))
    async with ModbusServer(units(5)) as server, owned(server, door, meter) as owner:
        await door.until(lambda door: len(door.polls("serial-5")) == 1)
        async with asyncio.timeout(PATIENCE):
            at, _ = await owner.poll_now("serial-5")
        second = door.polls("serial-5")[1]
        assert {reading.taken_at for reading in second.readings} == {at}
        assert second.contacts[0].failure is None
        with pytest.raises(NotFound, match="other"):
            await owner.poll_now("other")


async def test_it_goes_before_those_whose_turn_it_is() -> None:
    """Four silent meters, each due again and again, hold the line for a fraction of a second each."""
    door = Remembering()
    silent = [polled(number, IMPATIENT, timedelta(seconds=1)) for number in (1, 2, 3, 4)]
    called = polled(5, period=timedelta(days=1))
    async with ModbusServer(units(5)) as server, owned(server, door, *silent, called) as owner:
        await door.until(lambda door: len(door.polls("serial-5")) == 1)
        before = len(door.deliveries)
        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(*(owner.poll_now("serial-5") for _ in range(3)))
        new = door.deliveries[before:]
        assert sum(bool(one.readings) for one in new) == 3
        assert sum(not one.readings for one in new) <= 1, "one turn may have been in progress"


async def test_a_silent_meter_and_a_dead_line_say_so_to_the_caller_and_to_the_door() -> None:
    door = Remembering()
    async with ModbusServer(units(5)) as server, owned(server, door, polled(5), polled(6, IMPATIENT)) as owner:
        async with asyncio.timeout(PATIENCE):
            with pytest.raises(Silent):
                await owner.poll_now("serial-6")
    assert door.contacts("serial-6")[-1].failure == "timeout"
    async with scripted(lambda request: [None]) as hangs_up, owned(hangs_up, door, polled(5)) as owner:
        async with asyncio.timeout(PATIENCE):
            with pytest.raises(LineDown):
                await owner.poll_now("serial-5")


async def test_an_owner_that_stops_leaves_nobody_waiting() -> None:
    async with scripted(lambda request: []) as never:
        line = line_to(never, timeout=30)
        owner = Owner(line, ModbusLink(line, CATALOG), Remembering())
        owner.update([polled(5)])
        calls = [asyncio.create_task(owner.poll_now("serial-5")) for _ in range(2)]
        await asyncio.sleep(0)
        async with running(owner):  # the first call is on the wire, the second waits
            await eventually(lambda: len(never.requests) > 0)
        async with asyncio.timeout(PATIENCE):
            ended = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(one) for one in ended] == [asyncio.CancelledError] * 2
