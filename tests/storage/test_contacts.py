"""When a meter was last heard: a polled one by its last try, a pushed one by what its gateway brought."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from ingest.delivery import Contact, Delivery
from ingest.intake import Intake
from ingest.model import Reading, RegisterSpec
from storage import fleet, points
from storage.database import Database
from storage.overview import overview
from storage.points import Contacted
from storage.readings import PostgresStore
from tests.storage.rows import install

REGISTERS = [RegisterSpec("1.8.0"), RegisterSpec("32.7.0", decimals=1)]
HOUR = timedelta(hours=1)


async def deliver(
    database: Database, serial: str, *, at: datetime, now: datetime, gateway: str | None = "gw-1"
) -> None:
    """Two channels of a meter taken at an instant, received at another."""
    intake = Intake(PostgresStore(database), now=lambda: now)
    readings = [
        Reading(serial, "1.8.0", at - timedelta(seconds=1), Decimal(5)),
        Reading(serial, "32.7.0", at, Decimal(230)),
    ]
    await intake.accept(Delivery("mqtt:t", readings, gateway=gateway))


async def contact(database: Database, serial: str) -> Contacted | None:
    """The same in the card of a point, in the list, at a glance and in the fleet."""
    async with database.connection() as conn:
        found = await points.standing(conn, f"MP-{serial}", datetime.now(UTC))
        listed = {one.meter: one.contact for one in (await points.page(conn, None, after="", limit=10))[0]}
        glances = {one.meter: (one.answered_at, one.failure) for one in await overview(conn)}
        shown = {one.meter: (one.answered_at, one.failure) for one in await fleet.show(conn)}
    assert found
    assert listed[serial] == found.contact
    heard = (None, None) if found.contact is None else (found.contact.answered_at, found.contact.failure)
    assert glances[serial] == heard
    assert shown[serial] == heard
    return found.contact


async def test_a_pushed_meter_was_heard_when_its_newest_reading_came_in(database: Database) -> None:
    await install(database, "m1", REGISTERS, gateway="gw-1")
    await install(database, "m2", REGISTERS, gateway="gw-1")
    now = datetime.now(UTC)
    assert await contact(database, "m1") is None
    await deliver(database, "m1", at=now - 2 * HOUR, now=now - HOUR)
    await deliver(database, "m1", at=now - 9 * HOUR, now=now)
    assert await contact(database, "m1") == Contacted(now - HOUR, now - HOUR, None, None, 0)
    assert await contact(database, "m2") is None


async def test_a_pushed_meter_that_fell_silent_is_overdue(database: Database) -> None:
    await install(database, "m1", REGISTERS, gateway="gw-1")
    long_ago = datetime.now(UTC) - timedelta(days=2)
    await deliver(database, "m1", at=long_ago, now=long_ago)
    found = await contact(database, "m1")
    assert found
    assert (found.answered_at, found.failure) == (long_ago, "overdue")
    assert "gw-1" in (found.detail or "")
    async with database.connection() as conn:
        await conn.execute("UPDATE meter SET period = '1 day'")
    found = await contact(database, "m1")
    assert found
    assert found.failure is None


async def test_a_forwarding_gateway_tells_of_its_own_tries_until_it_falls_silent_itself(database: Database) -> None:
    await install(database, "m1", REGISTERS, gateway="gw-1")
    now = datetime.now(UTC)
    await deliver(database, "m1", at=now - 2 * HOUR, now=now - 2 * HOUR)
    silent = [
        Contact("m1", now - HOUR, "timeout", "no answer", gateway="gw-1"),
        Contact("m1", now, gateway="gw-2"),
    ]
    await Intake(PostgresStore(database)).accept(Delivery("mqtt:t", contacts=silent))
    found = await contact(database, "m1")
    assert found
    assert (found.tried_at, found.failure) == (now - HOUR, "timeout")
    long_ago = now - timedelta(days=2)
    async with database.connection() as conn:
        await conn.execute("UPDATE last_contact SET tried_at = %s", (long_ago,))
        await conn.execute("UPDATE reading SET received_at = %s", (long_ago,))
    found = await contact(database, "m1")
    assert found
    assert found.failure == "overdue"


async def test_a_polled_meter_keeps_its_last_try(database: Database) -> None:
    await install(database, "m1", REGISTERS)
    now = datetime.now(UTC)
    await deliver(database, "m1", at=now, now=now, gateway=None)
    assert await contact(database, "m1") is None
    tried = now - HOUR
    await Intake(PostgresStore(database)).accept(
        Delivery("modbus:a/1", contacts=[Contact("m1", tried, "timeout", "no answer")])
    )
    assert await contact(database, "m1") == Contacted(tried, None, "timeout", "no answer", 1)


async def test_a_meter_that_moved_to_a_gateway_is_heard_through_it(database: Database) -> None:
    await install(database, "m1", REGISTERS)
    now = datetime.now(UTC)
    await Intake(PostgresStore(database)).accept(
        Delivery("modbus:a/1", contacts=[Contact("m1", now - HOUR, "timeout")])
    )
    async with database.connection() as conn:
        await conn.execute("UPDATE meter SET gateway = 'gw-1'")
    assert await contact(database, "m1") is None
    await deliver(database, "m1", at=now, now=now)
    assert await contact(database, "m1") == Contacted(now, now, None, None, 0)


async def test_many_attempts_of_one_batch_are_noted_in_their_order(database: Database) -> None:
    await install(database, "m1", REGISTERS)
    await install(database, "m2", REGISTERS)
    now = datetime.now(UTC)
    attempts = [
        Contact("m1", now - 3 * HOUR),
        Contact("m2", now - 2 * HOUR, "timeout", "silent"),
        Contact("m1", now - HOUR, "line_down", "gone"),
        Contact("m1", now, "timeout", "silent"),
        Contact("unknown", now),
    ]
    await Intake(PostgresStore(database)).accept(Delivery("line:l", contacts=tuple(reversed(attempts))))
    assert await contact(database, "m1") == Contacted(now, now - 3 * HOUR, "timeout", "silent", 2)
    assert await contact(database, "m2") == Contacted(now - 2 * HOUR, None, "timeout", "silent", 1)


async def test_answers_beside_failures_are_noted_too_and_an_old_one_changes_nothing(database: Database) -> None:
    for serial in ("m1", "m2", "m3"):
        await install(database, serial, REGISTERS)
    now = datetime.now(UTC)
    intake = Intake(PostgresStore(database))
    await intake.accept(Delivery("l", contacts=[Contact("m1", now - 2 * HOUR, "timeout"), Contact("m2", now)]))
    # One that failed before answers, one tells an hour's old answer, one is silent; then one that is new answers.
    await intake.accept(
        Delivery("l", contacts=[Contact("m1", now), Contact("m2", now - HOUR), Contact("m3", now - HOUR, "timeout")])
    )
    assert await contact(database, "m1") == Contacted(now, now, None, None, 0)
    assert await contact(database, "m2") == Contacted(now, now, None, None, 0)
    assert await contact(database, "m3") == Contacted(now - HOUR, None, "timeout", None, 1)
    await intake.accept(Delivery("l", contacts=[Contact("m1", now + HOUR), Contact("m2", now, "timeout")]))
    assert await contact(database, "m1") == Contacted(now + HOUR, now + HOUR, None, None, 0)
    assert await contact(database, "m2") == Contacted(now, now, "timeout", None, 1)


async def test_a_swapped_meter_is_an_event_once_for_each_stranger(database: Database) -> None:
    await install(database, "m1", REGISTERS)
    intake, now = Intake(PostgresStore(database)), datetime.now(UTC)

    async def tell(minutes: int, failure: str | None, detail: str | None = None) -> list[tuple[str, str, str]]:
        at = now + timedelta(minutes=minutes)
        await intake.accept(Delivery("modbus:l/1", contacts=[Contact("m1", at, failure, detail)]))
        return await events(database)

    first = ("m1", "MP-m1", "it says it is 7")
    assert await tell(0, "swapped_meter", "it says it is 7") == [first]
    assert await tell(1, "timeout", "silent") == [first]
    assert await tell(2, "swapped_meter", "it says it is 7") == [first]
    assert len(await tell(3, "swapped_meter", "it says it is 8")) == 2
    assert len(await tell(4, None)) == 2
    assert len(await tell(5, "swapped_meter", "it says it is 7")) == 3


async def events(database: Database) -> list[tuple[str, str, str]]:
    """(meter, point, detail) of every swapped meter told of, oldest first."""
    async with database.connection() as conn:
        found = await conn.execute(
            "SELECT m.serial, p.code, e.detail ->> 'detail' FROM event e JOIN meter m ON m.id = e.meter_id"
            " JOIN point p ON p.id = e.point_id WHERE e.kind = 'swapped_meter' ORDER BY e.id"
        )
        return [(meter, point, detail) for meter, point, detail in await found.fetchall()]
