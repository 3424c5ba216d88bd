"""Why the schedule brought nothing: failed attempts as stretches, and slots without a reading with their cause."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from ingest.delivery import Contact, Delivery
from ingest.errors import NotFound
from ingest.intake import Intake
from ingest.model import Reading, RegisterSpec
from storage.database import Database
from storage.missed import NOT_ASKED, Missing, missing
from storage.readings import PostgresStore
from tests.storage.rows import install

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SLOT = timedelta(minutes=30)
"""The period of a meter of these tests."""


async def tell(database: Database, *slots: int, failure: str | None = "timeout", since: int | None = None) -> None:
    """An attempt in the middle of each slot."""
    intake = Intake(PostgresStore(database))
    for slot in slots:
        at = NOON + (slot + 0.5) * SLOT
        begun = None if since is None else NOON + since * SLOT
        readings = [Reading("m1", "1.8.0", at, Decimal(100) + slot)] if failure is None else []
        contact = Contact("m1", at, failure, failure and "nobody there", since=begun)
        await intake.accept(Delivery("test", readings, contacts=[contact]))


async def gaps(database: Database, slots: int = 12) -> list[tuple[int, str]]:
    """(how many slots, cause) of each gap, oldest first."""
    async with database.connection() as conn:
        found = await missing(conn, "m1", NOON, NOON + slots * SLOT)
    assert [one.since for one in found] == sorted(one.since for one in found)
    return [(one.slots, one.cause) for one in found]


async def stretches(database: Database) -> int:
    async with database.connection() as conn:
        rows = await (await conn.execute("SELECT count(*) FROM missed_poll")).fetchall()
    return int(rows[0][0])


@pytest.fixture(autouse=True)
async def meter(database: Database) -> None:
    await install(database, "m1", [RegisterSpec("1.8.0"), RegisterSpec("32.7.0")])


async def test_a_filled_schedule_has_no_gap(database: Database) -> None:
    await tell(database, *range(12), failure=None)
    assert await gaps(database) == []


async def test_a_slot_nobody_asked_in_is_told_apart_from_one_without_an_answer(database: Database) -> None:
    await tell(database, 0, 1, 2, 6, 7, 10, 11, failure=None)
    await tell(database, 3)
    async with database.connection() as conn:
        found = await missing(conn, "m1", NOON, NOON + 12 * SLOT)
    assert found == [
        Missing(NOON + 3 * SLOT, NOON + 4 * SLOT, 1, "timeout", "nobody there"),
        Missing(NOON + 4 * SLOT, NOON + 6 * SLOT, 2, NOT_ASKED, None),
        Missing(NOON + 8 * SLOT, NOON + 10 * SLOT, 2, NOT_ASKED, None),
    ]


async def test_attempts_in_a_row_are_one_stretch_whatever_their_order(database: Database) -> None:
    await tell(database, 5, 3, 4, 2)
    assert await stretches(database) == 1
    assert await gaps(database) == [(2, NOT_ASKED), (4, "timeout"), (6, NOT_ASKED)]


async def test_other_causes_and_far_attempts_are_stretches_of_their_own(database: Database) -> None:
    await tell(database, 0, 9)
    await tell(database, 1, failure="line_down")
    assert await stretches(database) == 3
    assert await gaps(database) == [(1, "timeout"), (1, "line_down"), (7, NOT_ASKED), (1, "timeout"), (2, NOT_ASKED)]


async def test_a_reading_between_two_failures_fills_its_own_slot(database: Database) -> None:
    await tell(database, 0, 2)
    await tell(database, 1, failure=None)
    assert await gaps(database, 3) == [(1, "timeout"), (1, "timeout")]


async def test_a_stretch_told_at_once_covers_all_of_it(database: Database) -> None:
    """What a full spool dropped is told afterwards, as one."""
    await tell(database, 8, failure="spool_full", since=2)
    assert await gaps(database) == [(2, NOT_ASKED), (7, "spool_full"), (3, NOT_ASKED)]


async def test_told_twice_changes_nothing(database: Database) -> None:
    for _ in range(2):
        await tell(database, 3)
    assert await gaps(database) == [(3, NOT_ASKED), (1, "timeout"), (8, NOT_ASKED)]


async def test_news_of_an_unknown_meter_is_nobodys_and_its_gaps_are_not_found(database: Database) -> None:
    await Intake(PostgresStore(database)).accept(Delivery("test", contacts=[Contact("m2", NOON, "timeout")]))
    assert await stretches(database) == 0
    async with database.connection() as conn:
        with pytest.raises(NotFound, match="'m2'"):
            await missing(conn, "m2", NOON, NOON + SLOT)
