"""The four paths end to end: poll, push, person, statistics. Real sockets, a real broker, a real PostgreSQL."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

import amr
from api.app import create_app
from api.cli import serving
from ingest.csv_file import deliveries
from ingest.intake import Intake
from simulators.clock import Clock
from simulators.mosquitto import Mosquitto
from simulators.shape import load
from simulators.street import RunningStreet, Street
from simulators.street_fleet import HISTORY_POINT, fleet_text, history_lines
from storage import fleet, tokens
from storage.database import Database
from storage.readings import PostgresStore

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
zones = true
"""
POLLED, PUSHED = "MP-0001", "MP-0003"
PATIENCE = 20.0


@dataclass
class House:
    """The whole service around a simulated street."""

    street: RunningStreet
    database: Database
    consumer: httpx.AsyncClient
    operator: httpx.AsyncClient
    intake: Intake

    async def get(self, path: str, **query: str) -> Any:
        answer = await self.consumer.get(path, params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()


async def eventually(look: Callable[[], Awaitable[Any]]) -> Any:
    """What a look gives as soon as it gives something; fails after `PATIENCE`."""
    async with asyncio.timeout(PATIENCE):
        while True:
            if found := await look():
                return found
            await asyncio.sleep(0.1)


@pytest.fixture
async def house(database: Database) -> AsyncIterator[House]:
    intake = Intake(PostgresStore(database))
    async with contextlib.AsyncExitStack() as stack:
        broker = await stack.enter_async_context(Mosquitto())
        running = await stack.enter_async_context(
            Street(STREET).start(Clock(), mqtt_url=broker.url, every=timedelta(seconds=1))
        )
        text = fleet_text(running.spec, datetime.now(UTC), period="1s")
        text = text.replace("127.0.0.1:0", running.addresses()["tp-1"])
        settings = amr.Settings(mqtt_url=SecretStr(broker.url), mqtt_client_id="test-ingest")
        async with database.connection() as conn:
            await fleet.apply(conn, text, settings.models(), check_line=settings.check_line)
            keys = {
                "consumer": await tokens.create(conn, "cabinet", "consumer", consumer="demo"),
                "operator": await tokens.create(conn, "phone", "operator"),
            }
        tasks = [
            asyncio.create_task(intake.run()),
            asyncio.create_task(amr.collecting(settings, database, intake)),
        ]
        stack.push_async_callback(_end, tasks)
        base = await stack.enter_async_context(serving(create_app(database, intake), "127.0.0.1", 0))
        clients = {
            name: await stack.enter_async_context(
                httpx.AsyncClient(base_url=f"{base}/api/v1", headers={"Authorization": f"Bearer {key}"})
            )
            for name, key in keys.items()
        }
        yield House(running, database, clients["consumer"], clients["operator"], intake)
        assert not any(task.done() for task in tasks), [task.exception() for task in tasks if task.done()]


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    for task in reversed(tasks):
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def latest(house: House, point: str, channel: str) -> Any:
    items = (await house.get(f"/points/{point}/readings/latest"))["items"]
    return next((item for item in items if item["channel"] == channel), None)


async def test_poll_a_meter_over_modbus_reaches_the_cabinet_with_the_meters_own_value(house: House) -> None:
    item = await eventually(lambda: latest(house, POLLED, "1.8.0"))
    at = datetime.fromisoformat(item["taken_at"])
    truth = house.street.meters["11000001"].values(at)["1.8.0"]
    assert (item["unit"], item["source"], item["quality"]) == ("kWh", "automatic", "good")
    assert abs(Decimal(item["value"]) - truth) <= Decimal("0.01")
    at_once = (await house.get(f"/points/{POLLED}/readings/latest"))["items"]
    assert len({one["taken_at"] for one in at_once}) == 1, "all values of one poll share one instant"


async def test_poll_a_silent_meter_says_since_when_and_starves_nobody(house: House) -> None:
    await eventually(lambda: latest(house, POLLED, "1.8.0"))
    house.street.units["11000001"].break_with("dead")

    async def silent() -> Any:
        contact = (await house.get(f"/points/{POLLED}"))["contact"]
        return contact if contact["failure"] else None

    contact = await eventually(silent)
    assert contact["answered_at"]
    before = await newest(house, "11000002")
    assert await eventually(lambda: newer(house, "11000002", before))


async def newest(house: House, serial: str) -> datetime:
    async with house.database.connection() as conn:
        rows = await conn.execute(
            "SELECT max(n.taken_at) FROM newest n JOIN register r ON r.id = n.register_id"
            " JOIN meter m ON m.id = r.meter_id WHERE m.serial = %s",
            (serial,),
        )
        [(found,)] = await rows.fetchall()
    return found or datetime.min.replace(tzinfo=UTC)


async def newer(house: House, serial: str, than: datetime) -> bool:
    return await newest(house, serial) > than


async def test_push_messages_are_stored_as_the_meter_showed_and_acknowledged(house: House) -> None:
    item = await eventually(lambda: latest(house, PUSHED, "1.8.0"))
    at = datetime.fromisoformat(item["taken_at"])
    assert Decimal(item["value"]) == house.street.meters["22000001"].values(at)["1.8.0"]
    async with house.database.connection() as conn:
        assert await (await conn.execute("SELECT reason, detail FROM quarantine")).fetchall() == []


async def test_person_is_asked_to_confirm_and_both_values_stay_in_one_history(house: House) -> None:
    item = await eventually(lambda: latest(house, PUSHED, "1.8.0"))
    value = Decimal(item["value"]).to_integral_value()
    typed = {"taken_at": item["taken_at"], "values": {"1.8.0": str(value + 50)}}
    asked = await house.consumer.post(f"/points/{PUSHED}/readings", json=typed)
    assert asked.status_code == 409, asked.text
    assert "disputed" in asked.text
    confirmed = await house.consumer.post(f"/points/{PUSHED}/readings", json={**typed, "confirm": True})
    assert confirmed.status_code == 201, confirmed.text
    told = await house.operator.post(
        f"/points/{PUSHED}/readings",
        json={"taken_at": item["taken_at"], "values": {"1.8.0": str(value)}, "note": "called from a neighbour's phone"},
    )
    assert told.status_code == 201, told.text
    since = datetime.fromisoformat(item["taken_at"])
    page = await house.get(
        f"/points/{PUSHED}/readings",
        channel="1.8.0",
        **{"from": since.isoformat(), "to": (since + timedelta(seconds=0.5)).isoformat()},
    )
    kinds = {(one["source"], one["quality"]) for one in page["items"]}
    assert kinds == {("automatic", "good"), ("consumer", "suspect"), ("operator", "good")}


async def test_statistics_of_a_whole_imported_history_add_up_in_every_step(house: House) -> None:
    shape = load("b")
    for delivery in deliveries(history_lines(shape, datetime.now(UTC)), "household-b"):
        outcome = await house.intake.accept(delivery)
        assert outcome.counts().keys() <= {"stored"}
    first = datetime.now(UTC) - timedelta(days=500)
    span = {"from": first.date().isoformat(), "to": (first + timedelta(days=400)).date().isoformat()}
    totals = []
    for step in ("day", "month", "year"):
        answer = await house.get(f"/points/{HISTORY_POINT}/consumption", step=step, **span)
        amounts = [Decimal(item["amount"]) for item in answer["items"]]
        assert sum(amounts) == Decimal(answer["total"]["amount"])
        totals.append(answer["total"]["amount"])
    assert len(set(totals)) == 1
    assert Decimal(totals[0]) > 1000
