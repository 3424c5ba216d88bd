"""TimescaleDB: what a migration makes of the tables, that nothing is lost on the way, and that late rows arrive."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from ingest.delivery import Delivery, Fate
from ingest.intake import Intake
from ingest.model import Quality, Reading, RegisterSpec, Source
from storage import timescale
from storage.database import Database, DatabaseSettings, open_database
from storage.migrate import migrate
from storage.policy import StoragePolicy
from storage.readings import PostgresStore
from storage.timescale import Extension, chunks
from storage.timescale_layout import adapt, arrange
from tests.storage.columnstore import compress
from tests.storage.rows import install

START = datetime(2026, 1, 5, tzinfo=UTC)
TOTAL = RegisterSpec("1.8.0", digits=6, decimals=3, max_rate=Decimal(10))
PLAIN = StoragePolicy(timescale=False)


async def rows(database: Database, statement: str) -> list[Any]:
    async with database.connection() as conn:
        return await (await conn.execute(statement.encode())).fetchall()


def reading(register: int, hour: int, value: Decimal | None = None) -> Reading:
    return Reading(f"r{register}", "1.8.0", START + timedelta(hours=hour), Decimal(hour) if value is None else value)


async def fill(database: Database, registers: int, readings: int, first: int = 0) -> None:
    """Hourly readings of r0, r1, …: a unit an hour."""
    hours = range(first, first + readings)
    batch = [
        Reading(f"r{n}", "1.8.0", START + timedelta(hours=hour), Decimal(hour))
        for n in range(registers)
        for hour in hours
    ]
    outcome = await Intake(PostgresStore(database)).accept(Delivery("test", batch))
    assert outcome.counts() == {Fate.STORED: len(batch)}


async def history(database: Database) -> list[Any]:
    return await rows(database, "SELECT * FROM reading ORDER BY register_id, source, taken_at")


@contextlib.asynccontextmanager
async def plain_database(settings: DatabaseSettings, registers: int) -> AsyncIterator[Database]:
    async with open_database(settings) as database:
        await migrate(database, PLAIN)
        for n in range(registers):
            await install(database, f"r{n}", [TOTAL])
        yield database


async def test_a_migration_states_chunks_columnstore_and_policy(hypertables: Database) -> None:
    assert await rows(
        hypertables,
        "SELECT hypertable_name, time_interval, column_name FROM timescaledb_information.dimensions"
        " WHERE hypertable_schema = current_schema() ORDER BY 1",
    ) == [
        ("interval_reading", timedelta(days=30), "start"),
        ("midnight", timedelta(days=90), "cut"),
        ("stored_reading", timedelta(days=30), "taken_at"),
    ]
    assert await rows(
        hypertables,
        "SELECT hypertable::text, segmentby, orderby FROM timescaledb_information.hypertable_columnstore_settings"
        " WHERE hypertable IN ('stored_reading'::regclass, 'interval_reading'::regclass, 'midnight'::regclass)"
        " ORDER BY 1",
    ) == [
        ("interval_reading", "register_id,source", "start"),
        ("midnight", "register_id,source", "cut"),
        ("stored_reading", "register_id,source", "taken_at"),
    ]
    assert await rows(
        hypertables,
        "SELECT hypertable_name, config->>'compress_after' FROM timescaledb_information.jobs"
        " WHERE hypertable_schema = current_schema() ORDER BY 1",
    ) == [(table, "45 days") for table in ("interval_reading", "midnight", "stored_reading")]


async def test_a_second_migration_changes_nothing_and_a_new_policy_only_what_differs(hypertables: Database) -> None:
    assert await adapt(hypertables, StoragePolicy()) == []
    said = await adapt(hypertables, StoragePolicy(compress_after=timedelta(days=10), chunk=timedelta(days=7)))
    assert said == [
        "new chunks of stored_reading cover 7 days",
        "stored_reading is compressed after 10 days",
        "new chunks of interval_reading cover 7 days",
        "interval_reading is compressed after 10 days",
        "new chunks of midnight cover 21 days",
        "midnight is compressed after 10 days",
    ]


async def test_a_plain_database_moves_with_everything_in_it(
    found: Extension, database_settings: DatabaseSettings
) -> None:
    async with plain_database(database_settings, 3) as database:
        await fill(database, 3, 24 * 70)
        before = await history(database)
        async with database.connection() as conn:
            assert await chunks(conn, "stored_reading") is None
        await migrate(database)
        assert await history(database) == before
        async with database.connection() as conn:
            assert len(await chunks(conn, "stored_reading") or ()) >= 3
        await fill(database, 3, 24, first=24 * 70)
        assert await compress(database) >= 3
        assert len(await history(database)) == len(before) + 3 * 24


async def test_writers_lose_nothing_while_the_table_moves(
    found: Extension, database_settings: DatabaseSettings
) -> None:
    async with plain_database(database_settings, 20) as database:
        await fill(database, 20, 24 * 30)
        moving = asyncio.create_task(adapt(database, StoragePolicy()))
        for hour in range(24 * 30, 24 * 30 + 15):
            await fill(database, 20, 1, first=hour)
        assert await moving
        assert await rows(database, "SELECT count(*), count(DISTINCT taken_at) FROM reading") == [(20 * 735, 735)]


async def test_two_processes_at_once_agree(found: Extension, database_settings: DatabaseSettings) -> None:
    async with plain_database(database_settings, 1) as database:
        said = await asyncio.gather(*(adapt(database, StoragePolicy()) for _ in range(3)))
        assert sorted(map(len, said)) == [0, 0, 6]


async def test_a_large_table_waits_to_be_told(found: Extension, database_settings: DatabaseSettings) -> None:
    async with plain_database(database_settings, 1) as database:
        await fill(database, 1, 500)
        said = await adapt(database, StoragePolicy(), largest=8192)
        assert "amr storage adopt-timescale" in said[0]
        async with database.connection() as conn:
            assert await chunks(conn, "stored_reading") is None
        assert "stored_reading is a hypertable with chunks of 30 days" in await adapt(database, StoragePolicy())


async def test_an_apache_build_has_chunks_only_and_that_is_said(
    found: Extension, database_settings: DatabaseSettings
) -> None:
    async with plain_database(database_settings, 1) as database:
        async with database.own_connection() as conn:
            said = await arrange(conn, replace(found, license="apache"), StoragePolicy())
        assert "no columnstore" in said[-1]
        assert await rows(
            database,
            "SELECT hypertable_name, compression_enabled FROM timescaledb_information.hypertables"
            " WHERE hypertable_schema = current_schema() ORDER BY 1",
        ) == [("interval_reading", False), ("midnight", False), ("stored_reading", False)]


async def test_late_rows_in_compressed_chunks_are_stored_repeated_and_refused_as_ever(hypertables: Database) -> None:
    """More registers than TimescaleDB would open for one statement by itself (100 000 rows)."""
    registers = 250
    await many_compressed(hypertables, registers)
    intake = Intake(PostgresStore(hypertables))
    late = [reading(n, hour) for n in range(registers) for hour in (1, 101, 201)]
    assert (await intake.accept(Delivery("test", late))).counts() == {Fate.STORED: len(late)}
    assert (await intake.accept(Delivery("test", late))).counts() == {Fate.REPEATED: len(late)}
    other = Delivery("test", [reading(7, 100, Decimal("99.5"))], raw=b"x")
    assert (await intake.accept(other)).counts() == {Fate.QUARANTINED: 1}
    assert await rows(hypertables, "SELECT count(*), sum(quality) FROM reading") == [(registers * 483, 0)]


async def many_compressed(database: Database, registers: int) -> None:
    """Registers with 40 days of every second hour, all of it in the columnstore."""
    async with database.connection() as conn:
        await conn.execute(
            "INSERT INTO meter (serial, model) SELECT 'r' || n, 'x' FROM generate_series(0, %s) n", (registers - 1,)
        )
        await conn.execute(
            "INSERT INTO register (meter_id, channel, digits, decimals) SELECT id, '1.8.0', 6, 3 FROM meter"
        )
        await conn.execute(
            "INSERT INTO stored_reading SELECT r.id, 2, %(start)s::timestamptz + h * interval '1 hour', %(start)s,"
            " h * 1000000, 0, 0 FROM register r, generate_series(0, 959, 2) h",
            {"start": START},
        )
    assert await compress(database) >= 1


async def test_a_correction_opens_the_pieces_it_touches_and_no_others(
    found: Extension, database_settings: DatabaseSettings
) -> None:
    """A judgement changed and a value superseded where opening everything (19 200 rows) is not allowed."""
    limit = "-ctimescaledb.max_tuples_decompressed_per_dml_transaction=3000"
    options = f"{conninfo_to_dict(database_settings.url or '')['options']} {limit}"
    limited = replace(database_settings, url=make_conninfo(database_settings.url or "", options=options))
    async with open_database(limited) as database:
        await migrate(database)
        await many_compressed(database, 40)
        intake = Intake(PostgresStore(database))
        wild = reading(3, 301, Decimal(9000))
        assert (await intake.accept(Delivery("test", [wild]))).verdicts[0].quality == Quality.SUSPECT
        for n in range(1, 6):
            again = Reading("r3", "1.8.0", wild.taken_at + n * timedelta(minutes=1), Decimal(9000))
            await intake.accept(Delivery("test", [again]))
        assert await rows(database, "SELECT count(*) FROM rejudgement") != [(0,)]
        for value in range(500, 508):
            typed = Reading("r5", "1.8.0", wild.taken_at, Decimal(value), Source.CONSUMER)
            await intake.accept(Delivery("test", [typed]))
            await compress(database)
        assert await rows(database, "SELECT value FROM reading WHERE source = 5") == [(507_000_000,)]


async def test_a_chunk_is_dropped_by_its_bounds(hypertables: Database) -> None:
    await install(hypertables, "r0", [TOTAL])
    await fill(hypertables, 1, 24 * 70)
    async with hypertables.connection() as conn:
        before = await chunks(conn, "stored_reading") or []
        first = before[0]
        await timescale.drop_chunk(conn, "stored_reading", first)
        assert await chunks(conn, "stored_reading") == before[1:]
    assert await rows(hypertables, "SELECT min(taken_at) FROM reading") == [(first.end,)]


async def test_a_server_that_offers_it_is_used_without_being_asked(found: Extension, server_dsn: str) -> None:
    name = f"amr_t_{secrets.token_hex(4)}"
    async with await psycopg.AsyncConnection.connect(server_dsn, autocommit=True) as conn:
        await conn.execute(f"CREATE DATABASE {name} TEMPLATE template0".encode())
        try:
            settings = DatabaseSettings(make_conninfo(server_dsn, dbname=name), Path("/nonexistent"))
            async with open_database(settings) as database:
                await migrate(database)
                async with database.connection() as inside:
                    assert await chunks(inside, "stored_reading") == []
        finally:
            await conn.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


async def test_without_timescaledb_or_against_the_policy_tables_stay_plain(
    database_settings: DatabaseSettings,
) -> None:
    async with plain_database(database_settings, 0) as database:
        assert await adapt(database, PLAIN) == []
        async with database.connection() as conn:
            assert await chunks(conn, "stored_reading") is None


@pytest.mark.parametrize(("registers", "days"), [(0, 30), (50_000, 30), (100_000, 15), (1_000_000, 1), (40_000_000, 1)])
def test_chunks_shorten_with_the_number_of_registers(registers: int, days: int) -> None:
    assert StoragePolicy().chunk_for(registers) == timedelta(days=days)
    assert StoragePolicy(chunk=timedelta(days=3)).chunk_for(registers) == timedelta(days=3)


def test_a_policy_counts_in_days() -> None:
    with pytest.raises(ValueError, match="compress_after 1:00:00 is shorter than a day"):
        StoragePolicy(compress_after=timedelta(hours=1))
    with pytest.raises(ValueError, match="keep 12:00:00 is shorter than a day"):
        StoragePolicy(keep=timedelta(hours=12))
