"""A look at the whole: processes, faults, dues; and who is told of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from ingest.alert_words import Message
from ingest.alerts import URGENT, Condition, Rules
from ingest.delivery import Contact, Delivery
from ingest.errors import Unreachable
from ingest.intake import Intake
from ingest.model import Reading, RegisterSpec
from ingest.silence import Level
from storage.alerting import watch_over
from storage.database import Database, DatabaseSettings, open_database
from storage.health import Drift, Due, Health, conditions, look
from storage.health_words import health_json
from storage.processes import report
from storage.readings import PostgresStore
from tests.storage.rows import install

AT_ONCE = Rules(after={}, after_else=timedelta(0), over=timedelta(0), digest=timedelta(0))


async def health(database: Database) -> Health:
    async with database.connection() as conn:
        return await look(conn, datetime.now(UTC))


async def on_line(database: Database, serial: str, address: int, line: str = "tp-1") -> None:
    """One polled meter; it was never asked yet."""
    await install(database, serial, [RegisterSpec("1.8.0")], since=datetime.now(UTC) - timedelta(days=9))
    async with database.connection() as conn:
        await conn.execute(
            "INSERT INTO line (name, kind, address) VALUES (%s, 'modbus-tcp', 'x:502') ON CONFLICT DO NOTHING", (line,)
        )
        await conn.execute(
            "UPDATE meter SET line_id = line.id, address = %s FROM line WHERE line.name = %s AND serial = %s",
            (str(address), line, serial),
        )


async def tried(database: Database, serial: str, failure: str | None = None, drift: timedelta | None = None) -> None:
    attempt = Contact(serial, datetime.now(UTC), failure, drift=drift)
    await Intake(PostgresStore(database)).accept(Delivery("modbus:tp-1/1", contacts=[attempt]))


async def running(database: Database, role: str, state: dict[str, object] | None = None) -> asyncio.Task[None]:
    """A process that reports; gives the task once its row is there."""
    said = asyncio.Event()

    def saying() -> dict[str, object]:
        if asked:
            said.set()  # the row of the first report is there
        asked.append(role)
        return state or {}

    asked: list[str] = []
    task = asyncio.create_task(report(database, role, lambda: "box", saying, every=0.05))
    async with asyncio.timeout(60):
        await said.wait()
    return task


async def stopped(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_process_reports_and_takes_its_leave(database: Database) -> None:
    task = await running(database, "collector", {"intake": {"rows": 3}})
    (found,) = (await health(database)).processes
    assert (found.role, found.name, found.alive, found.state) == ("collector", "box", True, {"intake": {"rows": 3}})
    await stopped(task)
    assert (await health(database)).processes == ()


async def test_a_process_that_fell_silent_is_seen(database: Database) -> None:
    async with database.connection() as conn:
        await conn.execute(
            "INSERT INTO process (role, name, started_at, seen_at)"
            " VALUES ('collector', 'x', now(), now() - interval '1 min')"
        )
    (found,) = (await health(database)).processes
    assert not found.alive


async def test_a_meter_nobody_asks_is_our_fault_until_a_collector_lives(database: Database) -> None:
    await on_line(database, "m1", 1)
    (fault,) = (await health(database)).faults
    assert (fault.level, fault.cause, fault.meters) == (Level.US, "no_collector", ("m1",))
    task = await running(database, "collector")
    (fault,) = (await health(database)).faults
    assert (fault.place, fault.cause) == ("tp-1", "line_unowned")
    await tried(database, "m1")
    assert (await health(database)).faults == ()
    await stopped(task)


async def test_faults_come_from_what_the_collectors_noted(database: Database) -> None:
    for address, serial in enumerate(("m1", "m2", "m3"), 1):
        await on_line(database, serial, address)
    await tried(database, "m1")
    await tried(database, "m2", "timeout")
    await tried(database, "m3", "line_down")
    found = await health(database)
    assert [(one.level, one.place, one.cause) for one in found.faults] == [
        (Level.LINE, "tp-1", "line_down"),
        (Level.METER, "m2", "timeout"),
    ]
    assert (found.meters, found.silent) == (3, 2)


async def test_a_gateway_is_heard_by_what_came_last(database: Database) -> None:
    await install(database, "g1", [RegisterSpec("1.8.0")], gateway="gw-1")
    now = datetime.now(UTC)
    for at, silent in ((now - timedelta(hours=2), 1), (now, 0)):
        intake = Intake(PostgresStore(database), now=lambda at=at: at)  # type: ignore[misc]
        await intake.accept(Delivery("mqtt:t", [Reading("g1", "1.8.0", at, Decimal(5))], gateway="gw-1"))
        task = await running(database, "subscriber", {"broker": "b", "connected": True, "since": "", "detail": ""})
        found = await health(database)
        await stopped(task)
        assert found.silent == silent
        assert [one.level for one in found.faults] == [Level.GATEWAY] * silent


async def test_a_lost_broker_is_named(database: Database) -> None:
    await install(database, "g1", [RegisterSpec("1.8.0")], gateway="gw-1")
    lost = {"broker": "b:1883", "connected": False, "since": "2026-11-20T10:00:00+00:00", "detail": "refused"}
    task = await running(database, "subscriber", lost)
    (fault,) = (await health(database)).faults
    await stopped(task)
    assert (fault.level, fault.place, fault.detail) == (Level.BROKER, "b:1883", "refused")
    assert fault.since == datetime(2026, 11, 20, 10, tzinfo=UTC)


async def test_dates_and_clocks_that_want_somebody(database: Database) -> None:
    for serial in ("m1", "m2", "m3"):
        await on_line(database, serial, int(serial[1]))
    await tried(database, "m1", drift=timedelta(seconds=-95))
    await tried(database, "m2", drift=timedelta(seconds=3))
    soon = datetime.now(UTC).date() + timedelta(days=9)
    async with database.connection() as conn:
        await conn.execute("UPDATE meter SET verified_until = %s WHERE serial = 'm2'", (soon,))
        await conn.execute("UPDATE meter SET verified_until = %s WHERE serial = 'm3'", (soon + timedelta(days=300),))
    found = await health(database)
    assert found.due == (Due("m2", "MP-m2", soon),)
    (drift,) = found.drifts
    assert replace(drift, noticed_at=found.at) == Drift("m1", "MP-m1", timedelta(seconds=-95), found.at)
    keys = {one.key: one.detail for one in conditions(found)}
    assert keys["clock:m1"] == "MP-m1: 95 s behind"
    assert keys["verification:m2"] == f"MP-m2: until {soon}"
    written = health_json(found)
    assert written["clock_drifts"] == [{"meter": "m1", "point": "MP-m1", "seconds": -95.0}]


async def conditions_while(database: Database, role: str, state: dict[str, object]) -> list[Condition]:
    """What people should be told of while a process says this of itself."""
    task = await running(database, role, state)
    found = conditions(await health(database))
    await stopped(task)
    return found


@pytest.mark.parametrize(("level", "told"), [(None, None), ("filling", "spool"), ("full", "spool_full")])
async def test_a_spool_that_fills_is_told_of(database: Database, level: str | None, told: str | None) -> None:
    found = await conditions_while(database, "collector", {"spool": {"rows": 70_000, "level": level}})
    wanted = [Condition("spool:box", told, told, "70000 batches wait on the disk of box")] if told else []
    assert found == wanted
    assert told != "spool_full" or told in URGENT


async def test_a_certificate_that_ends_is_told_of_in_time(database: Database) -> None:
    now = datetime.now(UTC)
    soon, later = ((now + timedelta(days=days)).isoformat() for days in (29, 31))
    ends = [{"file": "/etc/amr/client.pem", "until": soon}, {"file": "/etc/amr/ca.pem", "until": later}]
    listening = {"broker": "b:8883", "connected": True, "since": "", "detail": ""}
    (found,) = await conditions_while(database, "subscriber", listening | {"certificates": ends})
    assert (found.key, found.level) == ("certificate:/etc/amr/client.pem", "certificate")
    assert (found.cause, found.detail) == ("certificate_due", f"/etc/amr/client.pem ends {soon}")
    assert await conditions_while(database, "subscriber", listening | {"certificates": ends[1:]}) == []


class Told:
    """Takes messages; refuses them while `full`."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.full = False
        self.refused = asyncio.Event()
        self._came = asyncio.Condition()

    async def __call__(self, said: Message) -> None:
        if self.full:
            self.refused.set()
            raise Unreachable("mailbox is full")
        async with self._came:
            self.messages.append(said)
            self._came.notify_all()

    async def wait(self, count: int) -> None:
        async with asyncio.timeout(60), self._came:
            await self._came.wait_for(lambda: len(self.messages) >= count)


@pytest.fixture
async def second(database_settings: DatabaseSettings, database: Database) -> AsyncIterator[Database]:
    """The same database seen by another process."""
    async with open_database(database_settings) as opened:
        yield opened


async def test_people_are_told_once_whoever_restarts_and_when_it_is_over(database: Database, second: Database) -> None:
    await on_line(database, "m1", 1)
    people = Told()
    first = asyncio.create_task(watch_over(database, AT_ONCE, [people], every=0.05))
    await people.wait(1)
    assert "us:collector" in people.messages[0].text
    standby = asyncio.create_task(watch_over(second, AT_ONCE, [people], every=0.05))
    await asyncio.sleep(0.3)
    assert len(people.messages) == 1
    await stopped(first)
    await tried(database, "m1")
    await people.wait(2)
    await stopped(standby)
    assert [one["key"] for one in people.messages[1].facts["cleared"]] == ["us:collector"]


async def test_what_could_not_be_told_is_told_later(database: Database) -> None:
    await on_line(database, "m1", 1)
    people = Told()
    people.full = True
    task = asyncio.create_task(watch_over(database, AT_ONCE, [people], every=0.05))
    async with asyncio.timeout(60):
        await people.refused.wait()
    people.full = False
    await people.wait(1)
    await stopped(task)
    assert len(people.messages) == 1
