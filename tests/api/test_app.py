"""Health, readiness, documentation without the internet, and a stop that leaves nothing behind."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from api.app import create_app
from api.cli import serve, serving
from api.service_schemas import Alive, Readiness
from ingest.delivery import Contact, Delivery
from ingest.errors import Misconfigured
from ingest.intake import Intake
from storage.database import Database, DatabaseSettings, open_database
from storage.readings import PostgresStore
from tests.api.conftest import House, bearer, furnish


async def test_the_process_says_it_lives(house: House) -> None:
    answer = await house.client.get("/healthz")
    assert answer.status_code == 200
    assert Alive.model_validate_json(answer.content).alive


async def test_readiness_names_what_was_checked(house: House) -> None:
    answer = await house.client.get("/readyz")
    assert answer.status_code == 200
    ready = Readiness.model_validate_json(answer.content)
    assert ready.ready
    assert [check.name for check in ready.checks] == ["database", "intake"]


async def test_missing_migrations_are_not_ready(house: House) -> None:
    async with house.database.connection() as conn:
        await conn.execute("DELETE FROM migration")
    answer = await house.client.get("/readyz")
    assert answer.status_code == 503
    problem = answer.json()
    assert problem["code"] == "not_ready"
    assert "house" in problem["detail"], "the migration to apply is named"


async def test_a_database_that_is_away_is_not_ready_and_not_a_fault(database_settings: DatabaseSettings) -> None:
    async with open_database(replace(database_settings, pool_size=1)) as database:
        pass
    app = create_app(database, Intake(PostgresStore(database)))
    async with serving(app, "127.0.0.1", 0) as url, httpx.AsyncClient(base_url=url, timeout=30) as client:
        ready = await client.get("/readyz")
        asked = await client.get("/api/v1/points", headers={"Authorization": "Bearer x"})
        alive = await client.get("/healthz")
    assert (ready.status_code, ready.json()["code"]) == (503, "not_ready")
    assert (asked.status_code, asked.json()["code"]) == (503, "unavailable")
    assert int(asked.headers["retry-after"]) > 0
    assert alive.status_code == 200


async def test_a_request_that_takes_too_long_is_stopped(
    database: Database, database_settings: DatabaseSettings
) -> None:
    await furnish(database)
    hurried = replace(database_settings, statement_timeout=timedelta(milliseconds=300))
    async with open_database(hurried) as impatient, database.own_connection() as rival:
        app = create_app(impatient, Intake(PostgresStore(impatient)))
        async with serving(app, "127.0.0.1", 0) as url, httpx.AsyncClient(base_url=url, timeout=30) as client:
            assert (await client.get("/api/v1/points/flat-2", headers=bearer("vera"))).status_code == 200
            async with rival.transaction():
                await rival.execute("LOCK TABLE reading IN ACCESS EXCLUSIVE MODE")
                answer = await client.get("/api/v1/points/flat-2/readings", headers=bearer("vera"))
    assert (answer.status_code, answer.json()["code"]) == (503, "too_slow")
    assert int(answer.headers["retry-after"]) > 0
    assert "statement" not in answer.text


async def test_a_full_queue_is_not_ready(database: Database) -> None:
    intake = Intake(PostgresStore(database), capacity=2)
    app = create_app(database, intake)
    async with serving(app, "127.0.0.1", 0) as url, httpx.AsyncClient(base_url=url) as client:
        assert (await client.get("/readyz")).status_code == 200
        for _ in range(2):
            await intake.put(Delivery("test", contacts=[Contact("M", datetime(2023, 1, 1, tzinfo=UTC))]))
        answer = await client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["checks"][1]["detail"].startswith("2 of 2 rows")


async def test_documentation_needs_nothing_from_elsewhere(house: House) -> None:
    page = await house.client.get("/docs")
    assert page.status_code == 200
    assert not re.search(r"(src|href)=[\"'](https?:)?//", page.text)
    for address in re.findall(r"(?:src|href)=[\"']([^\"']+)", page.text):
        asset = await house.client.get(address)
        assert asset.status_code == 200, address
        assert len(asset.content) > 500
        assert "openapi.json" in page.text
    assert (await house.client.get("/openapi.json")).json()["openapi"].startswith("3.1")


async def test_a_port_that_is_taken_is_named(database: Database) -> None:
    app = create_app(database, Intake(PostgresStore(database)))
    async with serving(app, "127.0.0.1", 0) as url:
        port = int(url.rsplit(":", 1)[1])
        with pytest.raises(Misconfigured, match=f"127.0.0.1:{port}.*AMR_HTTP_PORT"):
            await serve(app, "127.0.0.1", port)
    with pytest.raises(Misconfigured, match="AMR_HTTP_HOST"):
        await serve(app, "no.such.host.invalid", 0)


def tasks_by_what_they_run() -> Counter[str]:
    """How many there are of each kind, without the waits of the database's pool: these come and go by themselves."""
    names = (task.get_coro().__qualname__ for task in asyncio.all_tasks())  # type: ignore[union-attr]
    return Counter(name for name in names if name != "Event.wait")


async def test_serving_stops_when_cancelled_and_frees_the_port(database: Database) -> None:
    app = create_app(database, Intake(PostgresStore(database)))
    before = tasks_by_what_they_run()
    async with serving(app, "127.0.0.1", 0) as url:
        port = int(url.rsplit(":", 1)[1])
    running = asyncio.create_task(serve(app, "127.0.0.1", port))
    async with httpx.AsyncClient(base_url=url) as client:
        answer = None
        async with asyncio.timeout(60):
            while answer is None:
                try:
                    answer = await client.get("/healthz")
                except httpx.ConnectError:
                    await asyncio.sleep(0.01)
        assert answer.status_code == 200
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        with pytest.raises(httpx.TransportError):
            await client.get("/healthz")
    assert tasks_by_what_they_run() <= before
