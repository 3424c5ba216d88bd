"""Events of the cabinet: numbered in the order of their commits, told at the commit, kept for a while."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from storage import cabinet_events, requests, service_requests
from storage.cabinet_events import READING, SERVICE, CabinetEvent
from storage.database import Database
from storage.request_states import finish
from tests.storage.fleet_rig import STREET, put

PATIENCE = 30.0


@pytest.fixture
async def street(database: Database) -> Database:
    """A street: a polled meter at p-1, a pushed one at p-2."""
    await put(database, STREET)
    return database


async def events(database: Database, after: int = 0, consumer: str | None = None) -> list[CabinetEvent]:
    async with database.connection() as conn:
        return await cabinet_events.after(conn, after, consumer=consumer)


async def waiting_for_the_lock(database: Database) -> bool:
    async with database.connection() as conn:
        row = await (
            await conn.execute(
                "SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid) "
                "WHERE l.locktype = 'advisory' AND NOT l.granted AND a.query LIKE '%service_request%'"
            )
        ).fetchone()
    return row is not None and row[0] > 0


async def test_who_began_later_and_wants_to_commit_earlier_waits(street: Database) -> None:
    async def late() -> None:
        async with street.connection() as conn:
            await service_requests.submit(conn, "p-2", "admission", consumer="petrov", by="petrov", note=None)

    async with street.connection() as conn:
        await service_requests.submit(conn, "p-1", "admission", consumer="ivanova", by="ivanova", note=None)
        task = asyncio.create_task(late())
        async with asyncio.timeout(PATIENCE):
            while not await waiting_for_the_lock(street):
                assert not task.done()
                await asyncio.sleep(0.01)
        assert await events(street) == [], "nothing is seen before it is certain"
    await task
    found = await events(street)
    assert [event.point for event in found] == ["p-1", "p-2"]
    assert await events(street, after=found[0].id) == found[1:]


async def test_every_state_is_told_once_and_to_its_consumer(street: Database) -> None:
    async with contextlib.aclosing(cabinet_events.told(street, every=60)) as told:
        assert await anext(told) is None
        async with street.connection() as conn:
            asked = await requests.ask(conn, "consumer:ivanova", point="p-1")
            by_staff = await requests.ask(conn, "staff:olga", meter="0042")
        async with street.connection() as conn:
            await finish(conn, [asked.id, by_staff.id], failure="timeout")
            await finish(conn, [asked.id], failure="again")
        async with asyncio.timeout(PATIENCE):
            numbers = [await anext(told) for _ in range(4)]
    found = await events(street)
    assert [event.id for event in found] == numbers
    assert [(event.kind, event.number, event.state, event.reason) for event in found if event.point] == [
        (READING, asked.id, "queued", None),
        (READING, asked.id, "failed", "timeout"),
    ]
    assert {event.consumer for event in found} == {"ivanova", None}
    assert [event.number for event in await events(street, consumer="ivanova")] == [asked.id] * 2
    async with street.connection() as conn:
        assert [event.state for event in await cabinet_events.of_request(conn, READING, by_staff.id)] == [
            "manual",
            "failed",
        ]
        assert await cabinet_events.of_request(conn, SERVICE, asked.id) == []
