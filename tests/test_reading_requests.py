"""A reading asked for, end to end: through the database to the collector that owns the line, the meter, and back."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
import typer
from pydantic import SecretStr
from typer.testing import CliRunner, Result

import amr
from ingest.errors import Refused, Unreachable
from ingest.intake import Intake
from simulators.clock import Clock
from simulators.street import RunningStreet, Street
from simulators.street_fleet import fleet_text
from storage import fleet, requests
from storage.cli_requests import ask_meter
from storage.database import Database, DatabaseSettings
from storage.readings import PostgresStore
from storage.request_states import Request

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

[[meter]]
serial = "11000002"
model = "abb-b23"
line = "tp-1"
unit = 2
start = "20.25"

[[meter]]
serial = "22000001"
gateway = "gw-1"
start = "500.125"
"""
POLLED, PUSHED = "MP-0001", "MP-0003"
PATIENCE = 30.0


@pytest.fixture
async def street(database: Database) -> AsyncIterator[RunningStreet]:
    """Meters whose fleet is stored: each is due once a day, so that only a request reads it twice in a test."""
    async with Street(STREET).start(Clock(), every=timedelta(days=1)) as running:
        text = fleet_text(running.spec, datetime.now(UTC), period="1d").replace(
            "127.0.0.1:0", running.addresses()["tp-1"]
        )
        settings = amr.Settings()
        async with database.connection() as conn:
            await fleet.apply(conn, text, settings.models(), check_line=settings.check_line)
        yield running


@contextlib.asynccontextmanager
async def collector(database: Database) -> AsyncIterator[None]:
    """One collector with its own door."""
    intake = Intake(PostgresStore(database))
    door = asyncio.create_task(intake.run())
    task = asyncio.create_task(amr.collecting(amr.Settings(), database, intake))
    try:
        yield
        assert not task.done(), task.exception()
    finally:
        for one in (task, door):
            one.cancel()
            await asyncio.gather(one, return_exceptions=True)


async def ask(database: Database, point: str) -> Request:
    async with database.connection() as conn:
        return await requests.ask(conn, "ivanova", point=point)


async def end_of(database: Database, request: Request) -> Request:
    async with asyncio.timeout(PATIENCE):
        while True:
            async with database.connection() as conn:
                now = await requests.status(conn, request.id)
            if not now.open:
                return now
            await asyncio.sleep(0.05)


async def test_a_reading_asked_for_is_the_meters_own_at_that_moment(database: Database, street: RunningStreet) -> None:
    async with collector(database):
        first = await end_of(database, await ask(database, POLLED))
        second = await end_of(database, await ask(database, POLLED))
        assert (first.state, second.state) == ("done", "done"), (first, second)
        assert first.read_at
        assert second.read_at
        assert second.asked_at <= second.read_at
        assert first.read_at < second.read_at
        async with database.connection() as conn:
            values = await requests.values(conn, second)
        truth = street.meters["11000001"].values(second.read_at)["1.8.0"]
        assert abs(values["1.8.0"] - truth) <= Decimal("0.01")


async def test_it_waits_for_a_collector_that_comes_later(database: Database, street: RunningStreet) -> None:
    request = await ask(database, POLLED)
    async with collector(database):
        assert (await end_of(database, request)).state == "done"


async def test_a_silent_meter_fails_with_the_level_that_is_silent(database: Database, street: RunningStreet) -> None:
    street.units["11000001"].break_with("dead")
    async with collector(database):
        end = await end_of(database, await ask(database, POLLED))
        assert (end.state, end.failure) == ("failed", "timeout")
        assert "did not answer" in (end.detail or "")
        assert (await end_of(database, await ask(database, "MP-0002"))).state == "done"
    async with database.connection() as conn:
        rows = await conn.execute(
            "SELECT failure FROM last_contact c JOIN meter m ON m.id = c.meter_id WHERE serial = '11000001'"
        )
        assert await rows.fetchall() == [("timeout",)]


async def test_of_two_collectors_the_owner_of_the_line_answers(database: Database, street: RunningStreet) -> None:
    async with collector(database):
        assert (await end_of(database, await ask(database, POLLED))).state == "done"
        async with collector(database):
            for _ in range(3):
                assert (await end_of(database, await ask(database, POLLED))).state == "done"


async def test_a_meter_behind_a_gateway_is_left_to_staff(database: Database, street: RunningStreet) -> None:
    async with collector(database):
        assert (await ask(database, PUSHED)).state == "manual"


async def test_an_engineer_asks_at_the_prompt(
    database: Database, database_settings: DatabaseSettings, street: RunningStreet
) -> None:
    settings = amr.Settings(database_url=SecretStr(database_settings.url or ""))

    async def prompt(*words: str) -> Result:
        return await asyncio.to_thread(CliRunner().invoke, app, list(words), obj=settings)

    app = typer.Typer()
    app.command()(ask_meter)
    unheard = await prompt("11000001", "--wait", "0.1")
    assert isinstance(unheard.exception, Unreachable)
    assert "see that `amr collect` runs" in str(unheard.exception)
    async with collector(database):
        answered = await prompt("11000001")
        assert "meter 11000001 read at " in answered.output, answered.exception
        assert "1.8.0" in answered.output
        assert isinstance((await prompt("22000001")).exception, Refused)
        street.units["11000002"].break_with("dead")
        silent = await prompt("11000002")
    assert "meter 11000002 was not read: timeout" in str(silent.exception)
