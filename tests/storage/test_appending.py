"""The fast way: what simply follows is appended by memory, and that memory is never trusted over another writer."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from ingest.delivery import Delivery, Fate
from ingest.errors import StoreRejected
from ingest.intake import Intake
from ingest.model import Quality, Reading, Reason, RegisterSpec, Source
from ingest.settle import Row
from ingest.store import Span
from storage import readings
from storage.database import Database
from storage.readings import PostgresStore
from tests.storage.columnstore import compress
from tests.storage.rows import install

START = datetime(2026, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
TOTAL = RegisterSpec("1.8.0", digits=6, decimals=3, max_rate=Decimal(10))


def batch(*values: tuple[float, str], source: Source = Source.AUTOMATIC) -> Delivery:
    return Delivery("t", [Reading("m1", "1.8.0", START + h * HOUR, Decimal(v), source) for h, v in values])


@pytest.fixture
def thorough(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many series each thorough look had; empty as long as everything simply followed."""
    looks: list[int] = []
    original = readings.Work.surroundings

    async def counting(self: readings.Work, spans: Sequence[Span], reach: int) -> Mapping[Span, list[Row]]:
        looks.append(len(spans))
        return await original(self, spans, reach)

    monkeypatch.setattr(readings.Work, "surroundings", counting)
    return looks


async def qualities(database: Database) -> list[tuple[int, list[str]]]:
    async with database.connection() as conn:
        rows = await (await conn.execute("SELECT value, reasons FROM reading ORDER BY taken_at")).fetchall()
    return [(value // 1_000_000, Reason(reasons).labels) for value, reasons in rows]


async def test_a_following_reading_needs_no_look_at_its_neighbours(database: Database, thorough: list[int]) -> None:
    await install(database, "m1", [TOTAL])
    intake = Intake(PostgresStore(database))
    await intake.accept(batch((0, "100")))
    del thorough[:]
    outcome = await intake.accept(batch((1, "101"), (2, "102")))
    await intake.accept(batch((3, "103")))
    assert outcome.counts() == {Fate.STORED: 2}
    assert thorough == []
    assert [value for value, _ in await qualities(database)] == [100, 101, 102, 103]


@pytest.mark.parametrize(
    "value_and_hour", [(4, "9000"), (4, "50"), (1.5, "101.5"), (3, "103"), (-1, "99"), (1_000_000, "103")]
)
async def test_whatever_does_not_simply_follow_is_looked_at(
    database: Database, thorough: list[int], value_and_hour: tuple[float, str]
) -> None:
    await install(database, "m1", [TOTAL])
    intake = Intake(PostgresStore(database))
    await intake.accept(batch((0, "100"), (1, "101"), (2, "102")))
    await intake.accept(batch((3, "103")))
    del thorough[:]
    await intake.accept(batch(value_and_hour))
    assert thorough


async def test_a_spike_after_calm_is_judged_as_without_any_memory(database: Database) -> None:
    values = [(float(h), str(100 + h)) for h in range(10)] + [(10.0, "9000"), (11.0, "111"), (12.0, "112")]
    await install(database, "m1", [TOTAL])
    intake = Intake(PostgresStore(database))
    for one in values:
        await intake.accept(batch(one))
    assert [reasons for _, reasons in await qualities(database)] == [[]] * 10 + [["above_max_rate"], [], []]


async def test_another_writer_makes_the_memory_stale_and_nothing_is_misjudged(database: Database) -> None:
    await install(database, "m1", [TOTAL])
    one, other = Intake(PostgresStore(database)), Intake(PostgresStore(database))
    await one.accept(batch((0, "100"), (1, "101")))
    await one.accept(batch((2, "102")))
    await other.accept(batch((3, "103"), (4, "104"), (5, "105")))
    late = await one.accept(batch((4.5, "9000")))
    repeated = await one.accept(batch((5, "105")))
    assert late.verdicts[0].reasons == Reason.ABOVE_MAX_RATE
    assert repeated.verdicts[0].fate is Fate.REPEATED
    assert [reasons for _, reasons in await qualities(database)] == [[], [], [], [], [], ["above_max_rate"], []]


async def test_a_key_that_lies_beyond_the_end_is_not_stored_twice(database: Database, thorough: list[int]) -> None:
    """A reading once believed to be of the future is nobody's end; when its instant comes, its key is taken."""
    clock = START + 2 * HOUR
    await install(database, "m1", [TOTAL])
    intake = Intake(PostgresStore(database), now=lambda: clock)
    await intake.accept(batch((0, "100"), (1, "101")))
    ahead = await intake.accept(batch((50, "900")))
    assert ahead.verdicts[0].reasons == Reason.FUTURE_TIME
    await intake.accept(batch((2, "102")))
    clock = START + 50 * HOUR
    del thorough[:]
    again = await intake.accept(batch((3, "103"), (50, "150")))
    assert thorough  # its rows simply followed, until the server found the key
    assert [verdict.fate for verdict in again.verdicts] == [Fate.STORED, Fate.QUARANTINED]
    assert [value for value, _ in await qualities(database)] == [100, 101, 102, 103, 900]


async def test_rows_may_follow_into_what_is_compressed_already(database: Database, thorough: list[int]) -> None:
    """A meter that was silent for long goes on where others' readings went to the columnstore (of TimescaleDB)."""
    await install(database, "m1", [TOTAL])
    intake = Intake(PostgresStore(database))
    await intake.accept(batch((0, "100"), (1, "101")))
    await intake.accept(batch((2, "102")))
    await compress(database)
    del thorough[:]
    outcome = await intake.accept(batch((3, "103"), (4, "104")))
    assert outcome.counts() == {Fate.STORED: 2}
    assert thorough == []
    assert [value for value, _ in await qualities(database)] == [100, 101, 102, 103, 104]


async def test_a_person_between_two_batches_is_not_overlooked(database: Database) -> None:
    await install(database, "m1", [TOTAL])
    machine, person = Intake(PostgresStore(database)), Intake(PostgresStore(database))
    await machine.accept(batch((0, "100"), (1, "101")))
    await machine.accept(batch((2, "102")))
    typed = await person.accept(batch((4, "130"), source=Source.CONSUMER))
    assert typed.verdicts[0].reasons == Reason.DISPUTED  # 28 kWh in two hours at 10 kW
    await person.accept(batch((6, "135"), source=Source.CONSUMER))
    await machine.accept(batch((7, "107")))
    assert [reasons for _, reasons in await qualities(database)] == [[], [], [], ["disputed"], ["disputed"], []]


async def test_a_total_with_its_zones_is_appended_only_when_they_sum_up(
    database: Database, thorough: list[int]
) -> None:
    await install(database, "m1", [RegisterSpec(f"1.8.{zone}", 6, 2, Decimal(10)) for zone in range(3)])

    def zones(hour: float, *values: str) -> Delivery:
        at = START + hour * HOUR
        return Delivery("t", [Reading("m1", f"1.8.{zone}", at, Decimal(v)) for zone, v in enumerate(values)])

    intake = Intake(PostgresStore(database))
    await intake.accept(zones(0, "100", "60", "40"))
    await intake.accept(zones(1, "101", "60.5", "40.5"))
    del thorough[:]
    await intake.accept(zones(2, "102", "61", "41"))
    assert thorough == []
    outcome = await intake.accept(zones(3, "103", "61.5", "41"))
    assert [verdict.quality for verdict in outcome.verdicts] == [Quality.SUSPECT, Quality.GOOD, Quality.GOOD]
    assert outcome.verdicts[0].reasons == Reason.ZONE_SUM


async def test_two_writers_never_wait_for_each_other_in_a_circle(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What simply follows for one of them is doubtful for the other; both have moved something, or one waits."""
    doors = [Intake(PostgresStore(database), max_wait=0.0) for _ in range(2)]
    for serial in ("m1", "m2"):
        await install(database, serial, [TOTAL])
    for hour in range(3):
        for door in doors:
            await door.accept(mixed(hour, "m1", "m2"))
    appended = 0
    original = readings.Work.append

    async def side_by_side(self: readings.Work, *given: Any) -> None:
        nonlocal appended
        await original(self, *given)
        appended += 1
        while appended < 2 and not await somebody_waits(database):  # noqa: ASYNC110 - a lock in the server has no event
            await asyncio.sleep(0.01)

    monkeypatch.setattr(readings.Work, "append", side_by_side)
    tasks = [asyncio.create_task(door.run()) for door in doors]
    try:
        async with asyncio.timeout(60):
            given = [mixed(4, "m1", "m2", spike=1000), mixed(5, "m2", "m1", spike=2000)]
            futures = [await door.put(one) for door, one in zip(doors, given, strict=True)]
            outcomes = await asyncio.gather(*futures)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    assert [door.tally.retries for door in doors] == [0, 0]
    assert [outcome.counts() for outcome in outcomes] == [{Fate.STORED: 2}] * 2


def mixed(hour: int, calm: str, other: str, spike: int = 0) -> Delivery:
    """A reading that follows, and one that does not when it has a spike."""
    values = {calm: 100 + hour, other: 100 + hour + spike}
    at = START + hour * HOUR
    return Delivery("t", [Reading(meter, "1.8.0", at, Decimal(value)) for meter, value in values.items()])


async def somebody_waits(database: Database) -> bool:
    async with database.own_connection() as conn:
        found = await conn.execute("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)")
        [waits] = await found.fetchone() or [False]
    return bool(waits)


async def test_what_was_not_committed_moved_nothing(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    await install(database, "m1", [TOTAL])
    intake = Intake(PostgresStore(database))
    await intake.accept(batch((0, "100"), (1, "101")))
    await intake.accept(batch((2, "102")))
    async with database.connection() as conn:
        await conn.execute("ALTER TABLE stored_reading ADD CONSTRAINT no CHECK (value * step <> 105000000)")
    with pytest.raises(StoreRejected):
        await intake.accept(batch((3, "105")))
    outcome = await intake.accept(batch((3, "104")))
    assert outcome.counts() == {Fate.STORED: 1}
    assert [value for value, _ in await qualities(database)] == [100, 101, 102, 104]
