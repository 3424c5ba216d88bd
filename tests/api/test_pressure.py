"""More requests than the database can take: the others are told to come back before they wait in vain."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace

import httpx

from api.app import create_app
from api.cli import serving
from ingest.intake import Intake
from storage.database import Database, DatabaseSettings, open_database
from storage.readings import PostgresStore
from tests.api.conftest import bearer, furnish

MOST_WAITING = 5


async def test_who_would_wait_behind_too_many_is_told_at_once_to_come_back(
    database: Database, database_settings: DatabaseSettings
) -> None:
    """All connections are held up by a lock: five wait for one, and the others are not kept."""
    await furnish(database)
    small = replace(database_settings, pool_size=2, most_waiting=MOST_WAITING)
    async with open_database(small) as crowded, database.own_connection() as rival:
        app = create_app(crowded, Intake(PostgresStore(crowded)))
        limits = httpx.Limits(max_connections=100)
        async with (
            serving(app, "127.0.0.1", 0) as url,
            httpx.AsyncClient(base_url=url, timeout=60, limits=limits) as client,
        ):
            asking = []
            async with rival.transaction():
                await rival.execute("LOCK TABLE token, point, meter IN ACCESS EXCLUSIVE MODE")
                asking = [
                    asyncio.create_task(client.get("/api/v1/points/flat-2", headers=bearer("vera"))) for _ in range(30)
                ]
                done, waiting = await asyncio.wait(asking, timeout=30, return_when=asyncio.FIRST_COMPLETED)
                while len(done) < 30 - 2 - MOST_WAITING:
                    more, waiting = await asyncio.wait(waiting, timeout=30, return_when=asyncio.FIRST_COMPLETED)
                    assert more, "they were kept waiting"
                    done |= more
                told = [task.result() for task in done]
                assert {answer.status_code for answer in told} == {503}
                assert all(int(answer.headers["retry-after"]) > 0 for answer in told)
            answers = await asyncio.gather(*asking)
    assert Counter(answer.status_code for answer in answers) == {503: len(told), 200: 30 - len(told)}
