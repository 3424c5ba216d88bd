"""Another meter hung up without a word: nothing of it is taken for the old one's, and somebody is told."""

from __future__ import annotations

import asyncio

import pytest

from collectors import modbus
from simulators.modbus import ModbusServer
from simulators.street import RunningStreet
from storage.database import Database
from tests.test_line_requests import collector, street

__all__ = ["street"]


async def counted(database: Database) -> tuple[int, int, list[tuple[str, str]]]:
    """Readings of the meter stored, values of it in quarantine, and the events of it."""
    async with database.connection() as conn:
        stored = await conn.execute(
            "SELECT count(*) FROM reading x JOIN register r ON r.id = x.register_id JOIN meter m ON m.id = r.meter_id"
            " WHERE m.serial = '11000001'"
        )
        kept = await conn.execute(
            "SELECT coalesce(sum(times), 0) FROM quarantine WHERE meter = '11000001' AND reason = 'swapped_meter'"
        )
        told = await conn.execute(
            "SELECT e.kind, p.code FROM event e JOIN point p ON p.id = e.point_id JOIN meter m ON m.id = e.meter_id"
            " WHERE m.serial = '11000001'"
        )
        return (
            sum(count for (count,) in await stored.fetchall()),
            sum(count for (count,) in await kept.fetchall()),
            [(kind, point) for kind, point in await told.fetchall()],
        )


async def test_a_swapped_meter_stops_the_attribution_and_is_an_event(
    database: Database, street: RunningStreet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(modbus, "IDENTIFY_EVERY", 0.0)
    async with collector(database):
        assert (await counted(database))[1:] == (0, [])
        line = street.lines["tp-1"]
        assert isinstance(line, ModbusServer)
        mine, stranger = line.units[1], street.units["11000002"]
        line.units[1] = stranger
        async with asyncio.timeout(60):
            while not (await counted(database))[1]:  # noqa: ASYNC110 - the store tells nobody
                await asyncio.sleep(0.05)
        stored, kept, told = await counted(database)
        assert told == [("swapped_meter", "MP-0001")]
        async with asyncio.timeout(60):
            while (await counted(database))[1] <= kept:  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.05)
        assert (await counted(database))[0] == stored
        assert (await counted(database))[2] == told
        line.units[1] = mine
        async with asyncio.timeout(60):
            while (await counted(database))[0] == stored:  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.05)
