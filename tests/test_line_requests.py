"""A line that a collector polls, read, scanned and watched through it: never do two speak on one wire."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
import typer
from pydantic import SecretStr
from typer.testing import CliRunner, Result

import amr
import collectors.cli
from ingest.errors import Unreachable
from ingest.intake import Intake
from simulators.clock import Clock
from simulators.modbus import ModbusServer
from simulators.street import RunningStreet, Street
from simulators.street_fleet import fleet_text
from storage import fleet, line_requests
from storage.database import Database
from storage.readings import PostgresStore
from storage.switchboard import reach

STREET = """
[[line]]
name = "tp-1"
kind = "modbus-tcp"
port = 0

[[meter]]
serial = "11000001"
model = "eastron-sdm630"
line = "tp-1"
unit = 1
start = "1000.5"

[[line]]
name = "tp-2"
kind = "rtu-over-tcp"
port = 0

[[meter]]
serial = "11000002"
model = "eastron-sdm120"
line = "tp-2"
unit = 3
start = "7.25"
"""
APP = typer.Typer()
APP.add_typer(collectors.cli.meter, name="meter")
APP.add_typer(collectors.cli.line, name="line")


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("collectors.cli_words.console._width", 200)  # its property would keep what it restores


@pytest.fixture
async def street(database: Database) -> AsyncIterator[RunningStreet]:
    async with Street(STREET).start(Clock(), every=timedelta(days=1)) as running:
        text = fleet_text(running.spec, datetime.now(UTC), period="1s")
        for address in running.addresses().values():
            text = text.replace("127.0.0.1:0", address, 1)
        settings = amr.Settings()
        async with database.connection() as conn:
            await fleet.apply(conn, text, settings.models(), check_line=settings.check_line)
        yield running


@contextlib.asynccontextmanager
async def collector(database: Database) -> AsyncIterator[None]:
    """A collector that owns both lines when the block begins."""
    intake = Intake(PostgresStore(database))
    door = asyncio.create_task(intake.run())
    task = asyncio.create_task(amr.collecting(amr.Settings(), database, intake))
    try:
        async with asyncio.timeout(60):
            while not await answered(database):  # noqa: ASYNC110 - nothing tells when the locks are taken
                await asyncio.sleep(0.05)
        yield
        assert not task.done(), task.exception()
    finally:
        for one in (task, door):
            one.cancel()
            await asyncio.gather(one, return_exceptions=True)


async def answered(database: Database) -> bool:
    async with database.connection() as conn:
        rows = await conn.execute("SELECT count(*) FROM last_contact WHERE answered_at IS NOT NULL")
        return await rows.fetchone() == (2,)


async def run(database: Database, *arguments: str) -> Result:
    settings = amr.Settings(database_url=SecretStr(database.dsn))
    return await asyncio.to_thread(CliRunner().invoke, APP, arguments, obj=settings)


async def test_a_meter_is_read_through_the_owner(database: Database, street: RunningStreet) -> None:
    async with collector(database):
        read = await run(
            database, "meter", "read", "--model", "eastron-sdm120", "--line", "tp-2", "--unit", "3", "--raw"
        )
        assert read.exit_code == 0, read.output
        assert "line tp-2 is polled: its collector is asked" in read.stderr
        row = next(line.split() for line in read.stdout.splitlines() if line.split()[:1] == ["14.7.0"])
        assert row[:3] == ["14.7.0", row[1], "Hz"]
        assert len(row) == 9, row
        address = street.addresses()["tp-1"]
        other = await run(database, "meter", "read", "--model", "abb-b23", "--address", address, "--unit", "9")
        assert other.exit_code == 1
        assert "timeout: unit 9 did not answer" in other.stderr


async def test_registers_are_read_through_the_owner(database: Database, street: RunningStreet) -> None:
    async with collector(database):
        asked = ("meter", "registers", "--line", "tp-2", "--unit", "3", "--function", "4", "--count", "2", "--from")
        shown = await run(database, *asked, "0x46")
        none = await run(database, *asked, "0x9000")
        wrong = await run(database, "meter", "scan", "--line", "tp-2", "--units", "3", "--timeout", "0")
    assert "timeout = 0: write seconds from 0.02" in wrong.stderr.replace("0.0:", "0:")
    assert "line tp-2 is polled: its collector is asked" in shown.stderr
    [first, _] = [line.split() for line in shown.stdout.splitlines() if line.strip().startswith("0x")]
    assert first[0] == "0x0046"
    assert 49 < float(first[5]) < 51  # Hz
    assert none.exit_code == 1
    assert "refuses all 2 registers from 0x9000 on with function 4" in none.stderr
    assert "What to try: it answers" in none.stderr


async def test_a_meter_is_added_through_the_owner(database: Database, street: RunningStreet) -> None:
    async with collector(database):
        tp_2 = street.lines["tp-2"]
        assert isinstance(tp_2, ModbusServer)
        tp_2.units[4] = street.units["11000001"]
        words = ("--point", "MP-9", "--line", "tp-2", "--unit", "4", "--model", "eastron-sdm630", "--serial", "77")
        refused = await run(database, "meter", "add", *words, "--yes")
        assert "the meter says it is 11000001, not 77" in refused.stderr, refused.output
        async with database.connection() as conn:
            await conn.execute("UPDATE meter SET serial = '42' WHERE serial = '11000001'")
        added = await run(database, "meter", "add", *words[:-2], "--yes")
        assert added.exit_code == 0, added.output
        assert "line tp-2 is polled: its collector is asked" in added.stdout
        assert "+ meter 11000001: model eastron-sdm630, line tp-2, address 4" in added.stdout


async def test_a_scan_goes_between_the_polls(database: Database, street: RunningStreet) -> None:
    async with collector(database):
        polled = street.units["11000002"].requests
        found = await run(database, "meter", "scan", "--line", "tp-2", "--units", "1-6", "--timeout", "0.3")
        assert found.exit_code == 0, found.output
        assert "tp-2  unit 3: eastron-sdm120, serial 11000002" in found.stdout
        assert found.stdout.count("unit ") == 1
        assert street.units["11000002"].requests > polled
        refused = await run(database, "meter", "scan", "--line", "tp-2", "--protocol", "iec")
        assert refused.exit_code == 1
        assert "only Modbus at its own speed" in refused.stderr
    async with database.connection() as conn:
        failed = await conn.execute("SELECT count(*) FROM last_contact WHERE failure IS NOT NULL")
        assert await failed.fetchone() == (0,)


@pytest.mark.parametrize(("line", "said"), [("tp-1", "unit 1 says"), ("tp-2", "unit 3 says")])
async def test_a_line_is_watched_through_its_owner(
    database: Database, street: RunningStreet, line: str, said: str
) -> None:
    async with collector(database):
        watched = await run(database, "line", "watch", "--line", line, "--seconds", "2.5")
    assert watched.exit_code == 0, watched.output
    assert "→ unit" in watched.stdout
    assert any(said in one and "1.8.0 = " in one for one in watched.stdout.splitlines()), watched.stdout


async def test_whoever_goes_away_ends_the_errand(database: Database, street: RunningStreet) -> None:
    settings = amr.Settings(database_url=SecretStr(database.dsn))
    async with collector(database), reach(settings, name="tp-1", address=None) as reached:
        assert reached is not None
        assert reached.owner is not None
        async with contextlib.aclosing(reached.owner.ask("watch", {"seconds": 600})) as told:
            async for _ in told:
                break
        async with asyncio.timeout(60):
            while await states(database) != [("failed", "left")]:  # noqa: ASYNC110 - the owner tells nobody
                await asyncio.sleep(0.05)
        with pytest.raises(Unreachable, match="malformed: the request to read is not understood: KeyError"):
            await anext(reached.owner.ask("read", {}))


async def states(database: Database) -> list[tuple[str, str | None]]:
    async with database.connection() as conn:
        rows = await conn.execute("SELECT state, failure FROM line_request ORDER BY id")
        return [(state, failure) for state, failure in await rows.fetchall()]


async def test_a_line_that_nobody_polls_is_spoken_on_and_kept_free(database: Database, street: RunningStreet) -> None:
    settings = amr.Settings(database_url=SecretStr(database.dsn))
    read = await run(database, "meter", "read", "--model", "eastron-sdm120", "--line", "tp-2", "--unit", "3")
    assert read.exit_code == 0, read.output
    assert "its collector is asked" not in read.stderr
    async with reach(settings, name="tp-2", address=None) as mine, reach(settings, name="tp-2", address=None) as other:
        assert mine is not None
        assert mine.owner is None
        assert other is not None
        assert other.owner is not None, "the second must not speak while the first does"
    async with reach(settings, name=None, address="127.0.0.1:1") as nobody:
        assert nobody is None
    unknown = await run(database, "meter", "scan", "--line", "tp-9")
    assert unknown.exit_code == 1
    assert "--line 'tp-9' is not stored" in unknown.stderr


async def test_without_the_database_only_direct_speaks(street: RunningStreet) -> None:
    settings = amr.Settings(database_url=SecretStr("postgresql://nobody@127.0.0.1:1/away"))
    words = ("meter", "read", "--model", "eastron-sdm630", "--address", street.addresses()["tp-1"], "--unit", "1")
    refused = await asyncio.to_thread(CliRunner().invoke, APP, words, obj=settings)
    assert refused.exit_code == 1
    assert "nobody can say whether a collector speaks on this line" in refused.stderr
    read = await asyncio.to_thread(CliRunner().invoke, APP, (*words, "--direct"), obj=settings)
    assert read.exit_code == 0, read.output


async def test_what_nobody_takes_fails_in_the_end(
    database: Database, street: RunningStreet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line_requests, "PATIENCE", timedelta(seconds=0.3))
    settings = amr.Settings(database_url=SecretStr(database.dsn))
    async with reach(settings, name="tp-2", address=None), reach(settings, name="tp-2", address=None) as other:
        assert other is not None
        assert other.owner is not None
        with pytest.raises(Unreachable, match="not_taken: nobody took it for line tp-2"):
            await anext(other.owner.ask("read", {"model": "eastron-sdm120", "unit": "3"}))
