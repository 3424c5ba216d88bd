"""A real database that fails: what is momentary is waited out, what is one row's fault costs that row alone."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import shutil
import signal
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from ingest import intake as door
from ingest.delivery import Delivery, Fate, Outcome
from ingest.intake import Intake
from ingest.model import Reading, RegisterSpec, Source
from storage.database import Database, DatabaseSettings, open_database
from storage.migrate import migrate
from storage.postgres_process import server_pid
from storage.readings import PostgresStore
from tests.conftest import open_folder
from tests.storage.rows import install
from tests.storage.test_embedded import cluster_of

START = datetime(2026, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
TOTAL = RegisterSpec("1.8.0", digits=6, decimals=3, max_rate=Decimal(10))

# A sequence does not roll back: so it knows how often a transaction was tried.
_FAIL_AT_FIRST = """
CREATE SEQUENCE tries;
CREATE FUNCTION fail_at_first() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF nextval('tries') <= 3 THEN RAISE SQLSTATE '{state}'; END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER fail AFTER INSERT ON stored_reading FOR EACH STATEMENT EXECUTE FUNCTION fail_at_first();
"""
_REFUSE = """
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.value * NEW.step = 133000000 THEN RAISE SQLSTATE '22003'; END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER refuse BEFORE INSERT ON stored_reading FOR EACH ROW EXECUTE FUNCTION refuse();
"""


def reading(hour: float, value: float | str, meter: str = "m1", source: Source = Source.AUTOMATIC) -> Reading:
    return Reading(meter, "1.8.0", START + hour * HOUR, Decimal(str(value)), source)


async def execute(database: Database, statement: str) -> list[Any]:
    async with database.connection() as conn:
        cursor = await conn.execute(statement.encode())
        return await cursor.fetchall() if cursor.description else []


@contextlib.asynccontextmanager
async def running(intake: Intake) -> AsyncIterator[Intake]:
    task = asyncio.create_task(intake.run())
    try:
        yield intake
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def put(intake: Intake, *readings: Reading) -> asyncio.Future[Outcome]:
    return await intake.put(Delivery("test", readings))


@pytest.mark.parametrize("state", ["40001", "40P01", "53200", "55P03", "57P01", "58030"])
async def test_what_is_momentary_is_tried_again(
    database: Database, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    monkeypatch.setattr(door, "FIRST_PAUSE", 0.001)
    await install(database, "m1", [TOTAL])
    await execute(database, _FAIL_AT_FIRST.format(state=state))
    intake = Intake(PostgresStore(database))
    async with running(intake):
        outcome = await (await put(intake, *[reading(n, 100 + n) for n in range(20)]))
    assert outcome.counts() == {Fate.STORED: 20}
    assert intake.tally.retries == 3
    assert await execute(database, "SELECT count(*) FROM reading") == [(20,)]
    assert await execute(database, "SELECT FROM quarantine") == []


async def test_a_row_the_database_refuses_goes_to_quarantine_alone(database: Database) -> None:
    for meter in ("m1", "m2"):
        await install(database, meter, [TOTAL])
    await execute(database, _REFUSE)
    intake = Intake(PostgresStore(database))
    async with running(intake):
        futures = [
            await put(intake, *[reading(n, 100 + n, "m1") for n in range(50)]),
            await put(intake, *[reading(n, 300 + n, "m2") for n in range(50)]),
        ]
        first, second = await asyncio.gather(*futures)
    assert [verdict.fate is Fate.STORED for verdict in first.verdicts] == [n != 33 for n in range(50)]
    assert second.counts() == {Fate.STORED: 50}
    assert await execute(database, "SELECT count(*) FROM reading") == [(99,)]
    [(origin, reason, meter, channel, raw, detail)] = await execute(
        database, "SELECT origin, reason, meter, channel, raw, detail FROM quarantine"
    )
    assert (origin, reason, meter, channel) == ("test", "unstorable", "m1", "1.8.0")
    assert b"value=133" in raw
    assert "[22003]" in detail
    await execute(database, "DROP TRIGGER refuse ON stored_reading")
    assert (await intake.accept(Delivery("again", [reading(33, 133)]))).counts() == {Fate.STORED: 1}


async def test_a_text_the_database_cannot_hold_costs_only_its_own_row(database: Database) -> None:
    await install(database, "m1", [TOTAL])
    bad = replace(reading(5.5, 106, source=Source.CONSUMER), note="a nul \0 byte")
    intake = Intake(PostgresStore(database))
    async with running(intake):
        outcome = await (await put(intake, *[reading(n, 100 + n) for n in range(5)], bad, reading(9, 109)))
    assert [verdict.fate is Fate.STORED for verdict in outcome.verdicts] == [True] * 5 + [False, True]
    assert await execute(database, "SELECT reason FROM quarantine") == [("unstorable",)]


async def test_writers_with_the_same_keys_in_any_order_never_deadlock_nor_lose(
    database: Database, database_settings: DatabaseSettings
) -> None:
    """What follows, what comes late and what people type, from two processes' pools; a deadlock would be an error."""
    meters = [f"m{n}" for n in range(6)]
    for meter in meters:
        await install(database, meter, [TOTAL])

    async def work(own: Database, seed: int) -> None:
        dice, intake = random.Random(seed), Intake(PostgresStore(own))
        for first in range(0, 48, 4):
            batch = [reading(first + n, 100 + first + n, meter) for meter in meters for n in range(4)]
            batch += [reading(late + 0.5, 100.5 + late, meter) for meter in meters for late in (0, first)]
            batch.append(reading(first + 0.25, 100.25 + first, dice.choice(meters), Source.CONSUMER))
            dice.shuffle(batch)
            outcome = await intake.accept(Delivery("test", batch))
            assert outcome.counts()[Fate.QUARANTINED] == 0

    async with open_database(database_settings) as other:
        await asyncio.gather(*(work(own, seed) for seed, own in enumerate((database, other, database, other))))
    [(machines,)] = await execute(database, "SELECT count(*) FROM reading WHERE source = 2")
    assert machines == len(meters) * (48 + 12)
    assert await execute(database, "SELECT FROM reading WHERE quality <> 0") == []


async def test_a_pool_closes_every_session_it_opened(database: Database, database_settings: DatabaseSettings) -> None:
    named = replace(database_settings, application_name=f"amr {os.getpid()} {random.random()}", pool_size=3)
    sessions = f"SELECT count(*) FROM pg_stat_activity WHERE application_name = '{named.application_name}'"

    async def hold(pool: Database) -> None:
        async with pool.connection() as conn:
            await conn.execute("SELECT pg_sleep(0.05)")

    async with open_database(named) as pool:
        await asyncio.gather(*(hold(pool) for _ in range(9)))
        [(most,)] = await execute(database, sessions)
        assert 1 <= most <= 3
    async with asyncio.timeout(60):
        while await execute(database, sessions) != [(0,)]:  # noqa: ASYNC110 - a session that ends wakes nobody
            await asyncio.sleep(0.01)


@pytest.fixture
def data() -> Iterator[Path]:
    folder = open_folder()
    yield folder
    shutil.rmtree(folder)


async def test_the_database_killed_under_a_stream_of_readings_loses_and_doubles_nothing(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door, "LONGEST_PAUSE", 0.2)
    async with open_database(DatabaseSettings(None, data)) as database:
        await migrate(database)
        await install(database, "m1", [TOTAL])
        intake = Intake(PostgresStore(database), max_wait=0.001)
        async with running(intake):
            futures = []
            for n in range(300):
                futures.append(await put(intake, reading(n, 100 + n)))
                if n in (100, 200):
                    await futures[n - 20]
                    pid = server_pid(cluster_of(data))
                    assert pid is not None
                    os.kill(pid, signal.SIGKILL)
                await asyncio.sleep(0)
            async with asyncio.timeout(60):
                outcomes = await asyncio.gather(*futures)
        assert {verdict.fate for outcome in outcomes for verdict in outcome.verdicts} <= {Fate.STORED, Fate.REPEATED}
        assert await execute(database, "SELECT count(*), count(DISTINCT value) FROM reading") == [(300, 300)]
        assert await execute(database, "SELECT FROM quarantine") == []
