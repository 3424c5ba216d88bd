"""A meter added at its line: read, compared, stored with its opening reading; nothing is stored of what is doubtful."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

import pytest
from typer.testing import CliRunner, Result

import amr
from simulators.modbus import ModbusServer
from storage import line_requests
from storage.database import Database, DatabaseSettings
from storage.fleet import export, fleet_changes, polled_lines
from storage.fleet_stored import load
from storage.ownership import claim_line
from tests.collectors.modbus_rig import AT, simulated

Add = Callable[..., Result]


@pytest.fixture
def add(database_settings: DatabaseSettings, database: Database) -> Add:
    """Run `amr meter add` on the test's own database."""
    env = {"AMR_DATABASE_URL": str(database_settings.url), "COLUMNS": "200"}

    def run(*words: str, said: str = "") -> Result:
        return CliRunner().invoke(amr.app, ["meter", "add", *words], env=env, input=said)

    return run


def at(server: ModbusServer, *more: str) -> tuple[str, ...]:
    where = ("--line", "tp-1", "--kind", server.kind, "--address", f"127.0.0.1:{server.port}")
    return ("--point", "MP-1", *where, "--unit", "5", "--model", "eastron-sdm120", *more)


async def test_a_meter_is_read_compared_and_stored_with_its_opening(add: Add, database: Database) -> None:
    unit = simulated("eastron-sdm120")
    energy = unit.meter.values(AT)["1.8.0"]
    changes = fleet_changes(database, every=600.0)
    await anext(changes)
    async with ModbusServer({5: unit}, kind="rtu-over-tcp") as server:
        words = at(server, "--zone", "Europe/Samara", "--ct", "40", "--period", "15m")
        result = await asyncio.to_thread(add, *words, said="y\n")
    assert result.exit_code == 0, result.output
    assert "serial number 11000001" in result.stdout
    assert f"{energy.normalize():f}" in result.stdout
    assert "Is this what label and display show?" in result.stdout
    async with asyncio.timeout(10.0):
        await anext(changes)
    await changes.aclose()
    async with database.connection() as conn:
        fleet = await load(conn)
        [line] = await polled_lines(conn)
    [standing] = fleet.installations
    assert (standing.point, standing.meter, standing.ct) == ("MP-1", "11000001", Decimal(40))
    assert standing.opening["1.8.0"] == energy
    assert all(channel.split(".")[1] == "8" for channel in standing.opening)
    assert fleet.points["MP-1"].zone == "Europe/Samara"
    assert (line.line.kind, line.meters[0].address, line.meters[0].zone) == ("rtu-over-tcp", "5", "Europe/Samara")


async def test_a_second_meter_goes_to_the_stored_line_and_another_point(add: Add, database: Database) -> None:
    units = {5: simulated("eastron-sdm120"), 6: simulated("abb-b23", "11000002")}
    async with ModbusServer(units) as server:
        await asyncio.to_thread(add, *at(server, "--yes"))
        second = ("--point", "MP-2", "--line", "tp-1", "--unit", "6", "--model", "abb-b23", "--yes")
        result = await asyncio.to_thread(add, *second)
    assert result.exit_code == 0, result.output
    async with database.connection() as conn:
        [line] = await polled_lines(conn)
    assert [(one.serial, one.model, one.address) for one in line.meters] == [
        ("11000001", "eastron-sdm120", "5"),
        ("11000002", "abb-b23", "6"),
    ]


async def test_a_point_keeps_its_zone_and_its_meter(add: Add, database: Database) -> None:
    units = {5: simulated("eastron-sdm120"), 6: simulated("eastron-sdm120", "11000002")}
    async with ModbusServer(units) as server:
        await asyncio.to_thread(add, *at(server, "--yes", "--zone", "Europe/Samara"))
        before = await exported(database)
        again = await asyncio.to_thread(add, *at(server, "--yes", "--unit", "6"))
    assert again.exit_code == 1, again.output
    assert "MP-1" in again.stderr
    assert await exported(database) == before


async def exported(database: Database) -> str:
    async with database.connection() as conn:
        return await export(conn)


@pytest.mark.parametrize(
    ("more", "said", "told"),
    [
        ((), "n\n", "Aborted"),
        (("--serial", "22000002"), "", "the meter says it is 11000001, not 22000002; look at the label"),
        (("--model", "abb-b23", "--serial", "7"), "", "refuses every register of abb-b23"),
        (("--unit", "9"), "", "unit 9 did not answer"),
        (("--model", "nothing"), "", "'nothing' is not in the catalogue"),
    ],
)
async def test_what_is_not_confirmed_is_not_stored(
    add: Add, database: Database, more: tuple[str, ...], said: str, told: str
) -> None:
    async with ModbusServer({5: simulated("eastron-sdm120")}) as server:
        result = await asyncio.to_thread(add, *at(server, *more), said=said)
    assert result.exit_code == 1
    assert told in result.stderr
    assert await exported(database) == ""


async def test_a_meter_without_a_stated_number_needs_its_label(add: Add, database: Database) -> None:
    async with ModbusServer({5: simulated("janitza-b23")}) as server:
        words = at(server, "--model", "janitza-b23", "--yes")
        without = await asyncio.to_thread(add, *words)
        labelled = await asyncio.to_thread(add, *words, "--serial", "33000003")
    assert "write what its label says with --serial" in without.stderr
    assert labelled.exit_code == 0, labelled.output
    assert '"33000003"' in await exported(database)


async def test_a_wire_somebody_speaks_on_is_left_alone(
    add: Add, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line_requests, "PATIENCE", timedelta(seconds=0.3))
    async with ModbusServer({5: simulated("eastron-sdm120")}, kind="rtu-over-tcp") as server:
        await asyncio.to_thread(add, *at(server, "--yes"))
        words = ("--point", "MP-2", "--line", "tp-1", "--unit", "6", "--model", "abb-b23", "--yes")
        async with database.own_connection() as conn:
            assert await claim_line(conn, "tp-1")
            busy = await asyncio.to_thread(add, *words)
        free = await asyncio.to_thread(add, *words)
    assert "line tp-1 is polled: its collector is asked" in busy.stdout
    assert "not_taken: nobody took it for line tp-1" in busy.stderr
    assert "unit 6 did not answer" in free.stderr


async def test_a_line_is_where_it_is_stored(add: Add, database: Database) -> None:
    async with ModbusServer({5: simulated("eastron-sdm120")}) as server:
        await asyncio.to_thread(add, *at(server, "--yes"))
        elsewhere = at(server, "--yes")
        moved = [word.replace("127.0.0.1", "localhost") for word in elsewhere]
        result = await asyncio.to_thread(add, *moved)
    assert "line 'tp-1' is stored already" in result.stderr
    nowhere = await asyncio.to_thread(add, "--point", "MP-2", "--line", "tp-9", "--model", "abb-b23", "--yes")
    assert "line 'tp-9' is not stored; say where it is" in nowhere.stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--zone", "Nowhere/At-all"), "zone = 'Nowhere/At-all'"),
        (("--period", "30x"), "period = '30x'"),
        (("--ct", "0"), "ct = '0'"),
    ],
)
async def test_wrong_options_are_told_before_the_meter_is_asked(
    add: Add, database: Database, words: tuple[str, ...], told: str
) -> None:
    async with ModbusServer({5: simulated("eastron-sdm120")}) as server:
        result = await asyncio.to_thread(add, *at(server, "--yes", *words))
    assert result.exit_code == 1
    assert told in result.stderr
    assert "serial number" not in result.stdout


async def test_a_meter_that_is_silent_brings_what_to_try(add: Add, database: Database) -> None:
    async with ModbusServer({}) as server:
        result = await asyncio.to_thread(add, *at(server, "--yes"))
    assert result.exit_code == 1
    assert "What to try: check the unit id" in result.stderr
