"""A page of the cabinet reads a handful of rows, however long the history: counted by PostgreSQL itself."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest

from ingest.calendar_cuts import Step, cuts
from storage import history, points
from storage.database import Database
from storage.plans import keep_plans
from storage.stretches import stretches

ROWS = 30_000
START = datetime(2023, 1, 1, tzinfo=UTC)
UTC_ZONE = ZoneInfo("UTC")

_FLEET = """
INSERT INTO point (code, zone) VALUES ('p', 'UTC');
INSERT INTO meter (serial, model) VALUES ('m', 'x');
INSERT INTO register (meter_id, channel, decimals) SELECT id, unnest(ARRAY['1.8.1', '1.8.2']), 3 FROM meter;
INSERT INTO installation (point_id, meter_id, since) SELECT p.id, m.id, '2023-01-01Z' FROM point p, meter m;
"""
_HISTORY = """
INSERT INTO stored_reading (register_id, source, taken_at, received_at, value, quality, reasons)
SELECT r.id, 2, timestamptz '2023-01-01Z' + n * interval '30 minutes', now(), n * 1000, 0, 0
FROM register r, generate_series(1, %s) n
"""
_PROFILE = """
INSERT INTO interval_reading (register_id, source, start, seconds, received_at, energy, quality)
SELECT id + 1000, 2, timestamptz '2023-01-01Z' + n * interval '30 minutes', 1800, now(), 1, 0
FROM register, generate_series(1, %s) n
"""
_READ = """
SELECT coalesce(sum(seq_tup_read), 0), coalesce(sum(idx_tup_fetch), 0)
FROM pg_stat_xact_user_tables WHERE schemaname = current_schema() AND relname IN ('stored_reading', 'interval_reading')
"""


@pytest.fixture
async def long_history(database: Database) -> Database:
    """One point with two zones, read half-hourly for 20 months; nobody else has interval readings but strangers."""
    async with database.connection() as conn:
        await conn.execute(_FLEET)
        await conn.execute(_HISTORY, (ROWS,))
        await conn.execute(_PROFILE, (ROWS,))
    async with database.own_connection() as conn:
        await conn.execute("ANALYZE stored_reading, interval_reading")
    return database


async def rows_read(conn: psycopg.AsyncConnection[Any]) -> tuple[int, int]:
    """Rows of the history this transaction has read so far: in passing, and by an index."""
    row = await (await conn.execute(_READ)).fetchone()
    assert row
    return int(row[0]), int(row[1])


@pytest.mark.parametrize("kept", [True, False])
async def test_the_latest_readings_are_found_by_the_key(long_history: Database, kept: bool) -> None:
    async with long_history.connection() as conn:
        if kept:
            await keep_plans(conn)
        found = await history.latest(conn, "p")
        assert [counted.reading.taken_at for counted in found] == [START + ROWS * timedelta(minutes=30)] * 2
        passed, fetched = await rows_read(conn)
    assert passed == 0
    assert fetched < 20


@pytest.mark.parametrize("kept", [True, False])
async def test_months_are_cut_from_the_readings_around_them(long_history: Database, kept: bool) -> None:
    months = cuts(START, START + timedelta(days=600), Step.MONTH, UTC_ZONE)
    async with long_history.connection() as conn:
        if kept:
            await keep_plans(conn)
        found = await stretches(conn, "p", ["1.8.0"], months)
        assert len(found["1.8.0"][0].counters) == 2
        passed, fetched = await rows_read(conn)
    assert passed == 0
    assert fetched < 10 * len(months)


@pytest.mark.parametrize("kept", [True, False])
async def test_a_page_reads_what_it_shows(long_history: Database, kept: bool) -> None:
    async with long_history.connection() as conn:
        if kept:
            await keep_plans(conn)
        readings, following = await history.page(
            conn, "p", channel="1.8.1", since=START, until=START + timedelta(days=600), limit=100, after=None
        )
        passed, fetched = await rows_read(conn)
        assert (len(readings), passed) == (100, 0)
        assert fetched < 400
        assert following
        await history.page(
            conn, "p", channel="1.8.1", since=START, until=START + timedelta(days=600), limit=100, after=following
        )
        assert (await rows_read(conn))[1] < 800


async def test_the_list_of_points_reads_no_history(long_history: Database) -> None:
    async with long_history.connection() as conn:
        listed, more = await points.page(conn, None, after="", limit=10)
        assert ([item.point.code for item in listed], more) == (["p"], False)
        assert await points.channels(conn, "p", START, START + timedelta(days=1)) == ["1.8.1", "1.8.2"]
        assert await rows_read(conn) == (0, 0)
