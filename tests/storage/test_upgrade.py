"""A database written by each earlier version comes up to this one with everything in it, and goes on."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from ingest.channel import to_micro
from ingest.delivery import Delivery, Fate
from ingest.intake import Intake
from ingest.model import Quality, Reading, Source
from storage import history, quarantine_room, tokens
from storage.database import Database, DatabaseSettings, open_database
from storage.migrate import apply, migrate, shipped
from storage.readings import PostgresStore

START = datetime(2026, 11, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
HOURS = 48

BASE = """
INSERT INTO line (name, kind, address) VALUES ('tp-1', 'modbus-tcp', '10.0.0.7:502');
INSERT INTO point (code, zone) VALUES ('MP-1', 'Europe/Moscow'), ('MP-2', 'Europe/Moscow');
INSERT INTO meter (serial, model, line_id, address) SELECT 'm1', 'eastron-sdm120', id, '1' FROM line;
INSERT INTO meter (serial, model) VALUES ('m2', 'other');
INSERT INTO register (meter_id, channel, digits, decimals, max_rate)
    SELECT id, '1.8.0', 6, 2, 15 FROM meter ORDER BY serial;
INSERT INTO installation (point_id, meter_id, since) SELECT p.id, m.id, '2026-01-01Z'
    FROM point p JOIN meter m ON right(m.serial, 1) = right(p.code, 1);
INSERT INTO contract (consumer, point_id, since) SELECT 'c-7', id, '2026-01-01Z' FROM point;
INSERT INTO last_contact (meter_id, tried_at, answered_at) SELECT id, '2026-11-02Z', '2026-11-02Z' FROM meter;
INSERT INTO quarantine (digest, origin, reason, detail, raw) VALUES ('\\x01', 'mqtt:t', 'malformed', 'no JSON', '{');
INSERT INTO event (kind, detail) VALUES ('zone_sum', '{"a": 1}');
INSERT INTO entry (register_id, source, taken_at, author, entered_at)
    SELECT r.id, %(person)s, '2026-11-02Z', 'consumer-7', '2026-11-02Z' FROM register r JOIN meter m ON m.id = meter_id
    WHERE serial = 'm2';
INSERT INTO interval_reading (register_id, source, start, seconds, received_at, energy, quality)
    SELECT min(id), %(machine)s, '2026-11-01Z', 1800, '2026-11-01Z', 500000, 0 FROM register;
"""

_READING = """
INSERT INTO reading (register_id, source, taken_at, received_at, value, quality, reasons)
SELECT r.id, %s, %s, %s, %s, 0, 0 FROM register r JOIN meter m ON m.id = meter_id WHERE serial = %s
"""

KEPT_BY_CODE: Mapping[int, str] = {
    2: """INSERT INTO newest (register_id, source, taken_at, value, calm)
          SELECT DISTINCT ON (register_id) register_id, source, taken_at, value, true FROM reading
          WHERE source = %(machine)s ORDER BY register_id, taken_at DESC""",
    201: "INSERT INTO series (register_id, source) SELECT DISTINCT register_id, source FROM reading",
}
"""What a version with this migration wrote beside the readings themselves."""

VERSIONS = [migration.number for migration in shipped()]


async def write_as(database: Database, version: int) -> None:
    """What the fleet of a version had, with two days of hours and one reading typed in."""
    values = {"machine": int(Source.AUTOMATIC), "person": int(Source.CONSUMER)}
    async with database.connection() as conn:
        for statement in BASE.split(";\n"):
            if statement.strip():
                await conn.execute(statement.encode(), values)
        for n in range(HOURS):
            at = START + n * HOUR
            await conn.execute(_READING, (int(Source.AUTOMATIC), at, at, to_micro(Decimal(100) + n), "m1"))
        at = datetime(2026, 11, 2, tzinfo=UTC)
        await conn.execute(_READING, (int(Source.CONSUMER), at, at, to_micro(Decimal(7)), "m2"))
        for number, statement in KEPT_BY_CODE.items():
            if number <= version:
                await conn.execute(statement.encode(), values)


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_database_of_that_version_comes_up_with_all_it_had(
    database_settings: DatabaseSettings, version: int
) -> None:
    async with open_database(database_settings) as database:
        await apply(database, [migration for migration in shipped() if migration.number <= version])
        await write_as(database, version)
        await migrate(database)
        async with database.connection() as conn:
            await check_kept(conn)
        await check_it_goes_on(database)


async def check_kept(conn: psycopg.AsyncConnection[Any]) -> None:
    """Every row is there, and what is derived from them is right."""
    latest = await history.latest(conn, "MP-1", since=START, until=START + 9 * HOURS * HOUR)
    assert [(one.reading.value, one.reading.taken_at) for one in latest] == [(Decimal(147), START + 47 * HOUR)]
    typed = await history.latest(conn, "MP-2", since=START, until=START + 9 * HOURS * HOUR)
    assert [(one.reading.value, one.reading.source) for one in typed] == [(Decimal(7), Source.CONSUMER)]
    room = await quarantine_room.look(conn)
    assert room.rows == 1


async def check_it_goes_on(database: Database) -> None:
    """The next reading is judged beside the old ones; a token can be made."""
    intake = Intake(PostgresStore(database))
    following = Reading("m1", "1.8.0", START + 48 * HOUR, Decimal(148))
    wild = Reading("m1", "1.8.0", START + 49 * HOUR, Decimal(99_000))
    outcome = await intake.accept(Delivery("modbus:tp-1/1", [following, wild]))
    assert [verdict.fate for verdict in outcome.verdicts] == [Fate.STORED, Fate.STORED]
    assert [verdict.quality for verdict in outcome.verdicts] == [Quality.GOOD, Quality.SUSPECT]
    async with database.connection() as conn:
        assert await tokens.create(conn, "after", "engineer")
