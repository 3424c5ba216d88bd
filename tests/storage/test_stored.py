"""How readings lie on the disk: in steps where that is exact, with a delay, and still as everybody reads them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from ingest.delivery import Delivery, Fate
from ingest.intake import Intake
from ingest.model import Reading, RegisterSpec, Source
from storage.database import Database, DatabaseSettings, open_database
from storage.migrate import apply, migrate, shipped
from storage.policy import StoragePolicy
from storage.readings import PostgresStore
from storage.timescale import Extension
from storage.timescale_layout import arrange
from tests.storage.columnstore import compress
from tests.storage.rows import install

NOW = datetime(2026, 11, 20, 12, 0, 0, 654321, tzinfo=UTC)
KWH = 1_000_000


def at(**before: float) -> datetime:
    return NOW - timedelta(**before)


async def rows(database: Database, statement: str) -> list[Any]:
    async with database.connection() as conn:
        return await (await conn.execute(statement.encode())).fetchall()


async def store(database: Database, *readings: Reading, now: Callable[[], datetime] = lambda: NOW) -> None:
    outcome = await Intake(PostgresStore(database), now=now).accept(Delivery("test", readings))
    assert {verdict.fate for verdict in outcome.verdicts} <= {Fate.STORED, Fate.SUPERSEDED}


def readings(values: Sequence[tuple[datetime, str]], source: Source = Source.AUTOMATIC) -> list[Reading]:
    return [Reading("m", "1.8.0", taken_at, Decimal(value), source) for taken_at, value in values]


@pytest.fixture
async def metered(database: Database) -> Database:
    await install(database, "m", [RegisterSpec("1.8.0", digits=6, decimals=6)])
    return database


async def test_a_value_is_kept_in_watt_hours_where_it_is_whole_in_them_and_never_rounded(metered: Database) -> None:
    values = ["0", "100", "100.001", "100.0015", "101.000001", "999999.999999"]
    await store(metered, *readings([(at(hours=6 - n), value) for n, value in enumerate(values)]))
    assert await rows(metered, "SELECT value, step FROM stored_reading ORDER BY taken_at") == [
        (0, 1000), (100_000, 1000), (100_001, 1000), (100_001_500, 1), (101_000_001, 1), (999_999_999_999, 1)
    ]  # fmt: skip
    read = await rows(metered, "SELECT value FROM reading ORDER BY taken_at")
    assert [Decimal(value) / KWH for (value,) in read] == [Decimal(value) for value in values]


async def test_when_it_came_in_is_known_within_ten_seconds_and_exactly_when_that_was_days_later(
    metered: Database,
) -> None:
    taken = [at(days=100), at(days=3, seconds=1), at(days=2), at(seconds=35), at(seconds=3), at(seconds=-5)]
    await store(metered, *readings([(instant, str(100 + n)) for n, instant in enumerate(taken)]))
    found = await rows(metered, "SELECT received_at, taken_at FROM reading ORDER BY taken_at")
    assert [received for received, _ in found[:2]] == [NOW, NOW]
    assert [received - instant for received, instant in found[2:]] == [
        timedelta(days=2), timedelta(seconds=30), timedelta(0), timedelta(seconds=-10)
    ]  # fmt: skip


async def test_a_superseded_value_has_a_step_and_an_instant_of_its_own(metered: Database) -> None:
    first, later = at(hours=2), NOW + timedelta(seconds=1)
    await store(metered, *readings([(first, "100.0015")], Source.CONSUMER))
    await store(metered, *readings([(first, "101")], Source.CONSUMER), now=lambda: later)
    stored = "SELECT value, step, received_at, delay FROM stored_reading"
    assert await rows(metered, stored) == [(101_000, 1000, later, None)]
    assert await rows(metered, "SELECT value FROM superseded_reading") == [(100_001_500,)]


async def test_a_process_of_the_version_before_goes_on_writing(metered: Database) -> None:
    """What it sent, as it sent it: ON CONFLICT, the number of rows, and both kinds of UPDATE."""
    insert = (
        "INSERT INTO reading (register_id, source, taken_at, received_at, value, quality, reasons)"
        " SELECT id, 2, t, '2026-11-20T11:59:59.5Z', v, 0, 0 FROM register, (VALUES"
        " ('2026-11-20T10:00Z'::timestamptz, 5000), ('2026-11-20T11:00Z', 7001)) AS new(t, v) ON CONFLICT DO NOTHING"
    )
    async with metered.connection() as conn:
        assert [(await conn.execute(insert)).rowcount for _ in range(2)] == [2, 0]
        rejudged = "UPDATE reading r SET quality = 1, reasons = 4 FROM register g WHERE g.id = r.register_id"
        assert (await conn.execute(rejudged.encode())).rowcount == 2
        moved = (
            "UPDATE reading SET value = 9000, received_at = '2026-11-20T12:00Z' WHERE taken_at = '2026-11-20T11:00Z'"
        )
        assert (await conn.execute(moved.encode())).rowcount == 1
    assert await rows(metered, "SELECT value, step, quality, reasons FROM stored_reading ORDER BY taken_at") == [
        (5, 1000, 1, 4), (9, 1000, 1, 4)
    ]  # fmt: skip


_AS_BEFORE = (
    "SELECT public.create_hypertable('reading', public.by_range('taken_at', interval '30 days'),"
    " create_default_indexes => false)",
    "ALTER TABLE reading SET (timescaledb.enable_columnstore, timescaledb.segmentby = 'register_id, source',"
    " timescaledb.orderby = 'taken_at')",
    "CALL public.add_columnstore_policy('reading', after => interval '45 days',"
    " initial_start => now() + interval '1 hour')",
    "INSERT INTO reading SELECT r, 2, '2026-01-01Z'::timestamptz + h * interval '1 hour', now(), h * 1000000::bigint"
    " + r % 2, 0, 0 FROM generate_series(1, 4) r, generate_series(0, 24 * 100) h",
)


async def test_readings_in_the_columnstore_stay_where_they_are(
    found: Extension, database_settings: DatabaseSettings
) -> None:
    """A hypertable of the version before, most of it compressed, becomes the new one without being opened."""
    async with open_database(database_settings) as database:
        await apply(database, [migration for migration in shipped() if migration.number <= 203])
        async with database.own_connection() as conn:
            for statement in _AS_BEFORE:
                await conn.execute(statement.encode())
        assert await compress(database, "reading") >= 3
        everything = "SELECT * FROM reading ORDER BY register_id, taken_at"
        chunks = (
            "SELECT chunk_name, is_compressed FROM timescaledb_information.chunks"
            " WHERE hypertable_schema = current_schema() ORDER BY 1"
        )
        before, lay = await rows(database, everything), await rows(database, chunks)
        await migrate(database)
        assert await rows(database, everything) == before
        assert await rows(database, chunks) == lay
        async with database.own_connection() as conn:
            assert await arrange(conn, found, StoragePolicy()) == []
        await install(database, "m", [RegisterSpec("1.8.0")])
        await store(database, *readings([(datetime(2026, 1, 1, 0, 30, tzinfo=UTC), "0.5")]))
        await rows(
            database,
            "UPDATE stored_reading SET quality = 1 WHERE register_id = 1 AND taken_at = '2026-01-02Z' RETURNING 1",
        )
        assert await rows(database, "SELECT count(*), sum(quality) FROM reading") == [(len(before) + 1, 1)]
