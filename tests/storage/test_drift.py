"""How far a meter's clock was off when it last told it, kept over contacts that told nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from ingest.delivery import Contact, Delivery
from ingest.intake import Intake
from storage.database import Database
from storage.fleet import show
from storage.readings import PostgresStore
from tests.storage.rows import install
from tests.storage.test_shelf import SPECS

NOW = datetime(2026, 11, 20, 9, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


async def drift(database: Database) -> tuple[object, object]:
    async with database.connection() as conn:
        (row,) = await show(conn)
        found = await (await conn.execute("SELECT drift, drift_at FROM last_contact")).fetchone()
    assert found is not None
    assert row.drift == found[0]
    return tuple(found)


async def test_the_last_known_drift_stays(database: Database) -> None:
    await install(database, "m1", SPECS)
    intake = Intake(PostgresStore(database))
    for minutes, contact in (
        (0, {}),
        (1, {"drift": timedelta(seconds=-42)}),
        (2, {"failure": "timeout"}),
    ):
        at = NOW + minutes * MINUTE
        await intake.accept(Delivery("test", contacts=[Contact("m1", at, **contact)]))
    assert await drift(database) == (timedelta(seconds=-42), NOW + MINUTE)
    later = Contact("m1", NOW + 3 * MINUTE, drift=timedelta(seconds=5))
    await intake.accept(Delivery("test", contacts=[later, Contact("m1", NOW, drift=timedelta(hours=1))]))
    assert await drift(database) == (timedelta(seconds=5), NOW + 3 * MINUTE)
