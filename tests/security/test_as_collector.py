"""A whole collector as a member of amr_collector: it may all it needs, and the database refuses it nothing."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr

import amr
from ingest.alerts import Rules
from simulators.clock import Clock
from simulators.mosquitto import Mosquitto
from simulators.mqtt import Publisher
from simulators.street import RunningStreet, Street
from simulators.street_fleet import fleet_text
from storage import fleet, requests
from storage.alerting import watch_over
from storage.database import Database, DatabaseSettings, open_database
from storage.roles import COLLECTOR
from tests.storage.as_role import as_role

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
serial = "22000001"
gateway = "gw-1"
start = "500.125"
"""
SILENT = """
[[line]]
name = "tp-9"
kind = "modbus-tcp"
address = "127.0.0.1:1"

[[point]]
code = "MP-9"
zone = "UTC"

[[meter]]
serial = "999"
model = "eastron-sdm630"
line = "tp-9"
address = "1"
period = "5s"

[[installation]]
point = "MP-9"
meter = "999"
since = 2026-01-01
"""

# What has to come about, each as the owner sees it.
DONE = {
    "polled": "SELECT 1 FROM reading x JOIN register r ON r.id = x.register_id JOIN meter m ON m.id = r.meter_id"
    " WHERE m.serial = '11000001'",
    "pushed": "SELECT 1 FROM reading x JOIN register r ON r.id = x.register_id JOIN meter m ON m.id = r.meter_id"
    " WHERE m.serial = '22000001'",
    "answered": "SELECT 1 FROM last_contact WHERE answered_at IS NOT NULL",
    "silent": "SELECT 1 FROM last_contact WHERE failure IS NOT NULL",
    "missed": "SELECT 1 FROM missed_poll",
    "quarantined": "SELECT 1 FROM quarantine WHERE origin LIKE 'mqtt:%%'",
    "asked": "SELECT 1 FROM reading_request WHERE state = 'done'",
    "collector reports": "SELECT 1 FROM process WHERE role = 'collector'",
    "subscriber reports": "SELECT 1 FROM process WHERE role = 'subscriber'",
    "recounted": "SELECT 1 FROM completeness",
}
ALERTED = {"alerted": "SELECT 1 FROM alert"}


@contextlib.asynccontextmanager
async def collector(settings: amr.Settings) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(amr._collect(settings))
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def lacking(database: Database, wanted: Mapping[str, str] = DONE) -> set[str]:
    async with database.connection() as conn:
        return {name for name, text in wanted.items() if await (await conn.execute(text.encode())).fetchone() is None}


async def store_fleet(database: Database, street: RunningStreet) -> None:
    text = fleet_text(street.spec, datetime.now(UTC) - timedelta(days=2), period="5s")
    settings = amr.Settings()
    async with database.connection() as conn:
        for part in (text.replace("127.0.0.1:0", street.addresses()["tp-1"]), SILENT):
            await fleet.apply(conn, part, settings.models(), check_line=settings.check_line)
        await requests.ask(conn, "ivanova", meter="11000001")


async def come_about(database: Database, wanted: Mapping[str, str], task: asyncio.Task[None]) -> None:
    """Wait for all of it; fails naming what did not come, or with what ended the task."""
    left = set(wanted)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(60):
            while left and not task.done():
                left = await lacking(database, wanted)
                await asyncio.sleep(0.1)
    assert not task.done(), task.exception()
    assert not left


async def test_it_does_all_its_work(
    database: Database, database_settings: DatabaseSettings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = as_role(database_settings, COLLECTOR)
    assert settings.url
    caplog.set_level(logging.INFO)
    async with contextlib.AsyncExitStack() as stack:
        broker = await stack.enter_async_context(Mosquitto())
        starting = Street(STREET).start(Clock(), every=timedelta(seconds=2), mqtt_url=broker.url)
        await store_fleet(database, await stack.enter_async_context(starting))
        stranger = await stack.enter_async_context(Publisher(broker.url, "stranger"))
        chosen = amr.Settings(database_url=SecretStr(settings.url), data=tmp_path, mqtt_url=SecretStr(broker.url))
        task = await stack.enter_async_context(collector(chosen))
        await come_about(database, {"listening": DONE["subscriber reports"]}, task)
        await stranger.publish("amr/v1/gw-1/readings", b"{")
        await come_about(database, DONE, task)
    async with open_database(settings) as theirs:
        rules = Rules(after={}, after_else=timedelta())
        task = asyncio.create_task(watch_over(theirs, rules, [], every=0.05))
        await come_about(database, ALERTED, task)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    said = [one.getMessage() for one in caplog.records]
    assert [text for text in said if "42501" in text or "permission denied" in text] == []
