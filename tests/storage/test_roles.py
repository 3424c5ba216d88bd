"""Least privilege: what each role may do in the database, tried by the database itself."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from psycopg import errors

from ingest.delivery import Contact, Delivery, Reject
from ingest.intake import Intake
from ingest.model import Reading, RegisterSpec, Source
from storage.database import Database, DatabaseSettings, open_database
from storage.migrate import migrate, unapplied
from storage.policy import StoragePolicy
from storage.readings import PostgresStore
from storage.retention import retain
from storage.roles import API, COLLECTOR, grant
from tests.storage.as_role import as_role
from tests.storage.rows import install

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


@asynccontextmanager
async def opened_as(settings: DatabaseSettings, role: str) -> AsyncIterator[Database]:
    async with open_database(as_role(settings, role)) as database:
        yield database


@pytest.mark.parametrize(
    ("role", "statement"),
    [
        (API, "CREATE TABLE mine (n int)"),
        (API, "DROP TABLE stored_reading"),
        (API, "UPDATE audit SET actor = 'somebody else'"),
        (API, "DELETE FROM audit"),
        (API, "INSERT INTO token (name, digest, role) VALUES ('mine', '1', 'admin')"),
        (API, "DELETE FROM migration"),
        (COLLECTOR, "SELECT * FROM token"),
        (COLLECTOR, "SELECT * FROM contract"),
        (COLLECTOR, "SELECT * FROM photo"),
        (COLLECTOR, "SELECT * FROM audit"),
        (COLLECTOR, "UPDATE meter SET gateway = 'mine'"),
        (COLLECTOR, "INSERT INTO point (code, zone) VALUES ('mine', 'UTC')"),
        (COLLECTOR, "DELETE FROM installation"),
        (COLLECTOR, "TRUNCATE stored_reading"),
        (COLLECTOR, "ALTER TABLE stored_reading ADD COLUMN mine int"),
    ],
)
async def test_what_a_role_may_not_do(
    database: Database, database_settings: DatabaseSettings, role: str, statement: str
) -> None:
    async with opened_as(database_settings, role) as theirs, theirs.own_connection() as conn:
        with pytest.raises(errors.InsufficientPrivilege):
            await conn.execute(statement.encode())


@pytest.mark.parametrize("role", [API, COLLECTOR])
async def test_both_judge_and_store(database: Database, database_settings: DatabaseSettings, role: str) -> None:
    await install(database, "m1", [RegisterSpec("1.8.0")])
    async with opened_as(database_settings, role) as theirs:
        intake = Intake(PostgresStore(theirs), now=lambda: NOW)
        readings = [
            Reading("m1", "1.8.0", NOW - timedelta(hours=3 - n), Decimal(100) + value)
            for n, value in enumerate((0, 99_000, 1))
        ]
        typed = Reading("m1", "1.8.0", NOW, Decimal(105), Source.CONSUMER, author="c")
        reject = Reject("malformed", "no JSON", b"{")
        outcome = await intake.accept(Delivery("t", [*readings, typed], [reject], [Contact("m1", NOW)]))
        assert len(outcome.verdicts) == 4
        if role == COLLECTOR:
            await retain(theirs, StoragePolicy(keep=timedelta(days=1)), NOW)
        else:
            assert await unapplied(theirs) == []


async def test_every_table_there_is_has_an_answer_for_both(database: Database) -> None:
    """A new table is writable for both unless somebody decided otherwise: this list makes them decide."""
    async with database.connection() as conn:
        rows = await (
            await conn.execute(
                "SELECT tablename FROM pg_tables WHERE schemaname = current_schema()"
                " AND NOT has_table_privilege(%s, format('%%I.%%I', schemaname, tablename), 'INSERT') ORDER BY 1",
                (COLLECTOR,),
            )
        ).fetchall()
    closed = {row[0] for row in rows}
    assert {"token", "contract", "audit", "photo", "point", "meter", "migration"} <= closed
    assert not closed & {"stored_reading", "newest", "quarantine", "last_contact", "process", "missed_poll", "gap"}


async def test_a_user_who_may_not_make_roles_migrates_all_the_same(
    database_settings: DatabaseSettings, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    async with database.connection() as conn:
        await conn.execute(f"SET LOCAL ROLE {COLLECTOR}".encode())
        assert not await grant(conn)
    assert "are not made" in caplog.text
    assert await migrate(database) == []
