"""Many points at once say what each says by itself, with as many questions as one point takes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest

from ingest.calendar_cuts import Step, cuts
from ingest.consumption import Amount, consumption
from ingest.delivery import Delivery, Fate
from ingest.errors import NotFound
from ingest.intake import Intake
from ingest.model import Reading, RegisterSpec, Source
from storage import history
from storage.database import Database
from storage.midnights import remember
from storage.readings import PostgresStore
from storage.several import consumption_of_points
from storage.stretches import stretches
from tests.storage.rows import install

START = datetime(2026, 1, 1, tzinfo=UTC)
DAYS = 100
ZONES = ("Europe/Moscow", "Asia/Kamchatka", "Europe/Samara")
TOTAL = RegisterSpec("1.8.0", digits=6, decimals=3, max_rate=Decimal(10))
TARIFFS = [RegisterSpec(channel, digits=6, decimals=3, max_rate=Decimal(10)) for channel in ("1.8.1", "1.8.2")]
BEGIN, END = date(2026, 1, 5), date(2026, 4, 3)


def polled(meter: str, channel: str, rate: Decimal, *, without: range = range(0)) -> list[Reading]:
    return [
        Reading(meter, channel, START + n * timedelta(hours=3, seconds=1), 100 + n * rate)
        for n in range(DAYS * 8)
        if n not in without
    ]


async def put(database: Database, *readings: Reading) -> None:
    outcome = await Intake(PostgresStore(database)).accept(Delivery("test", readings))
    assert Fate.QUARANTINED not in outcome.counts()


@pytest.fixture
async def district(database: Database) -> Database:
    """Twelve points in three zones: sound ones, one with zones only, one restarted, one silent, people, an exchange."""
    for n in range(12):
        specs = TARIFFS if n == 5 else [TOTAL]
        await install(database, f"m{n}", specs, zone=ZONES[n % 3], ct=Decimal(20 if n == 2 else 1))
    async with database.connection() as conn:
        await conn.execute("UPDATE installation SET until = %s WHERE point_id = 4", (START + timedelta(days=50),))
    await install(database, "m12", [TOTAL], point="MP-m3", since=START + timedelta(days=50))
    for n in range(5):
        await put(database, *polled(f"m{n}", "1.8.0", Decimal(n + 1) / 4))
    for spec in TARIFFS:
        await put(database, *polled("m5", spec.channel, Decimal("0.5")))
    restarted = polled("m6", "1.8.0", Decimal("0.5"))
    await put(
        database,
        *[
            reading if n < 300 else Reading("m6", "1.8.0", reading.taken_at, reading.value - 249)
            for n, reading in enumerate(restarted)
        ],
    )
    await put(database, *polled("m7", "1.8.0", Decimal("0.5"), without=range(200, 400)))
    await put(database, *polled("m8", "1.8.0", Decimal("0.5")))
    await put(database, Reading("m8", "1.8.0", START + timedelta(days=40, minutes=7), Decimal(262), Source.CONSUMER))
    await put(
        database,
        *[Reading("m9", "1.8.0", START + timedelta(days=30 * n), Decimal(100 + n), Source.CONSUMER) for n in range(4)],
    )
    return database


async def alone(database: Database, point: str, zone: str, step: Step) -> Sequence[Amount]:
    tz = ZoneInfo(zone)
    edges = cuts(datetime(2026, 1, 5, tzinfo=tz), datetime(2026, 4, 3, tzinfo=tz), step, tz)
    async with database.connection() as conn:
        return consumption((await stretches(conn, point, ["1.8.0"], edges))["1.8.0"], edges)


@pytest.mark.parametrize("memory", [False, True])
@pytest.mark.parametrize("step", [Step.MONTH, Step.DAY, Step.HOUR])
async def test_each_point_gets_what_it_gets_alone(district: Database, step: Step, memory: bool) -> None:
    if memory:
        assert await remember(district, START + timedelta(days=200)) > 500
    points = [f"MP-m{n}" for n in reversed(range(12))]
    async with district.connection() as conn:
        found = await consumption_of_points(conn, points, "1.8.0", BEGIN, END, step)
    assert list(found) == points
    for n in range(12):
        assert found[f"MP-m{n}"] == await alone(district, f"MP-m{n}", ZONES[n % 3], step)
    assert {amount.amount is None for amount in found["MP-m0"]} == {False}
    assert {amount.amount for amount in found["MP-m11"]} == {None}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Every statement sent to the database."""
    sent: list[object] = []
    original = psycopg.AsyncCursor.execute

    async def counting(self: Any, query: Any, *args: Any, **more: Any) -> Any:
        sent.append(query)
        return await original(self, query, *args, **more)

    monkeypatch.setattr(psycopg.AsyncCursor, "execute", counting)
    return sent


async def test_forty_points_are_as_many_questions_as_one(database: Database, asked: list[object]) -> None:
    for n in range(40):
        await install(database, f"m{n}", [TOTAL])
        await put(database, *polled(f"m{n}", "1.8.0", Decimal("0.5"))[:400])
    counts = []
    for points in (["MP-m0"], [f"MP-m{n}" for n in range(40)]):
        async with database.connection() as conn:
            del asked[:]
            await consumption_of_points(conn, points, "1.8.0", BEGIN, date(2026, 2, 3), Step.DAY)
            await history.latest_of(conn, points)
            counts.append(len(asked))
    assert counts[0] == counts[1] < 15


async def test_a_point_nobody_knows_is_named(district: Database) -> None:
    async with district.connection() as conn:
        with pytest.raises(NotFound, match="MP-nobody"):
            await consumption_of_points(conn, ["MP-m0", "MP-nobody"], "1.8.0", BEGIN, END, Step.MONTH)


async def test_the_latest_readings_of_many_points_are_those_of_each(district: Database) -> None:
    points = [f"MP-m{n}" for n in range(12)]
    async with district.connection() as conn:
        found = await history.latest_of(conn, [*points, "MP-nobody"])
        assert {point: await history.latest(conn, point) for point in points} == {p: found[p] for p in points}
    assert found["MP-nobody"] == found["MP-m11"] == []
    assert [counted.reading.channel for counted in found["MP-m5"]] == ["1.8.1", "1.8.2"]
    assert [counted.reading.taken_at for counted in found["MP-m3"]] == [START + 399 * timedelta(hours=3, seconds=1)]
