"""One collector on a line: locks that die with their session, a standby that waits, an owner that falls silent."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Collection
from dataclasses import replace

import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from ingest.errors import Busy, NotFound
from simulators.proxy import Proxy
from storage.database import Database, DatabaseSettings, open_database
from storage.ownership import Ownership, release

LINES = frozenset({"north", "south"})


class Watched:
    """An ownership being followed, and what it holds now."""

    def __init__(self, ownership: Ownership) -> None:
        self.ownership = ownership
        self.lines: frozenset[str] | None = None
        self._changed = asyncio.Event()

    async def follow(self) -> None:
        async for held in self.ownership.held():
            self.lines = held
            self._changed.set()

    async def comes_to(self, lines: Collection[str]) -> None:
        wanted = frozenset(lines)
        async with asyncio.timeout(20):
            while self.lines != wanted:
                self._changed.clear()
                await self._changed.wait()


@contextlib.asynccontextmanager
async def collector(
    database: Database,
    name: str,
    *,
    speak_after: float = 0.3,
    offline: float = 0.0,
    lines: Collection[str] = LINES,
    lease: float = 0.0,
) -> AsyncIterator[Watched]:
    ownership = Ownership(database, name=name, tick=0.05, silent_after=0.2, speak_after=speak_after, offline=offline)
    ownership.want(lines)
    ownership.resume(lines, lease)
    watched = Watched(ownership)
    task = asyncio.create_task(watched.follow())
    try:
        yield watched
        assert not task.done(), task.exception()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def kill_sessions(database: Database, application: str) -> None:
    async with database.connection() as conn:
        await conn.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s", (application,)
        )


async def test_a_lone_collector_speaks_at_once(database: Database) -> None:
    async with collector(database, "one", speak_after=3600) as one:
        await one.comes_to(LINES)


async def test_a_second_collector_waits_and_takes_over_when_the_first_is_gone(database: Database) -> None:
    async with collector(database, "two") as two:
        await two.comes_to(LINES)  # alone until now
        async with collector(database, "one") as one:
            await one.comes_to(set())
            async with collector(database, "three") as three:
                await three.comes_to(set())
        assert two.lines == LINES
    async with collector(database, "late") as late:
        await late.comes_to(LINES)


async def test_lines_are_shared_out_as_they_come_and_go(database: Database) -> None:
    async with collector(database, "one") as one:
        await one.comes_to(LINES)
        async with collector(database, "two") as two:
            one.ownership.want({"north"})
            await two.comes_to({"south"})
            assert one.lines == frozenset({"north"})


async def test_an_owner_with_a_standby_falls_silent_before_the_standby_speaks(
    database: Database, database_settings: DatabaseSettings
) -> None:
    heard: list[tuple[str, frozenset[str]]] = []

    async def note(watched: Watched, name: str) -> None:
        async for held in watched.ownership.held():
            heard.append((name, held))

    settings = replace(database_settings, application_name="doomed")
    async with open_database(settings) as doomed:
        owner = Ownership(doomed, name="owner", tick=0.05, silent_after=0.2, speak_after=1.0)
        standby = Ownership(database, name="standby", tick=0.05, silent_after=0.2, speak_after=1.0)
        for ownership in (owner, standby):
            ownership.want(LINES)
        tasks = [asyncio.create_task(note(Watched(owner), "owner"))]
        await until(lambda: ("owner", frozenset(LINES)) in heard)
        tasks.append(asyncio.create_task(note(Watched(standby), "standby")))
        await until(lambda: ("standby", frozenset()) in heard)
        await asyncio.sleep(0.2)
        for _ in range(60):  # the owner's database is out of reach: each of its sessions dies at once
            await kill_sessions(database, "doomed")
            await asyncio.sleep(0.02)
            if ("owner", frozenset()) in heard:
                break
        await until(lambda: ("standby", frozenset(LINES)) in heard)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    assert heard.index(("owner", frozenset())) < heard.index(("standby", frozenset(LINES)))


async def until(true: object) -> None:
    assert callable(true)
    async with asyncio.timeout(20):
        while True:
            if true():
                return
            await asyncio.sleep(0.02)


async def test_two_collectors_of_one_name_are_told_apart(database: Database) -> None:
    async with collector(database, "same") as one:
        await one.comes_to(LINES)
        async with collector(database, "same") as two:
            await two.comes_to(set())
            assert one.ownership.name != two.ownership.name


@contextlib.asynccontextmanager
async def cut_off(database_settings: DatabaseSettings) -> AsyncIterator[tuple[Database, Proxy]]:
    """A way to the database that can be cut."""
    given = conninfo_to_dict(database_settings.url or "")
    host, port = str(given["host"]), given.get("port", 5432)
    target = (f"{host}/.s.PGSQL.{port}", None) if host.startswith("/") else (host, int(port or 5432))
    async with Proxy(*target) as proxy:
        url = make_conninfo(database_settings.url or "", host="127.0.0.1", port=proxy.port)
        async with open_database(replace(database_settings, url=url), absent=True) as far:
            yield far, proxy


async def test_an_owner_alone_goes_on_without_the_database_and_nobody_takes_its_lines(
    database: Database, database_settings: DatabaseSettings
) -> None:
    async with cut_off(database_settings) as (far, proxy), collector(far, "owner", offline=3600) as owner:
        await owner.comes_to(LINES)
        proxy.cut()
        async with collector(database, "newcomer") as newcomer:
            await newcomer.comes_to(set())
            await asyncio.sleep(1.0)  # many times what silence and a takeover need
            assert (owner.lines, newcomer.lines) == (LINES, frozenset())
            assert 3000 < owner.ownership.lease <= 3600
            proxy.mend()
            await until(lambda: owner.ownership.lease == 0)  # it has seen the newcomer
            assert (owner.lines, newcomer.lines) == (LINES, frozenset())


async def test_a_lease_ends(database: Database, database_settings: DatabaseSettings) -> None:
    async with cut_off(database_settings) as (far, proxy), collector(far, "owner", offline=1.5) as owner:
        await owner.comes_to(LINES)
        proxy.cut()
        await owner.comes_to(set())
        proxy.mend()
        await owner.comes_to(LINES)


async def test_a_process_of_the_same_name_goes_on_with_the_lease_of_the_last(
    database: Database,
    database_settings: DatabaseSettings,
) -> None:
    async with cut_off(database_settings) as (far, proxy):
        proxy.cut()
        async with collector(far, "owner", offline=3600, lease=60) as owner:
            await owner.comes_to(LINES)
            assert owner.ownership.lease <= 60
            proxy.mend()
            await until(lambda: owner.ownership.lease > 60)
            assert owner.lines == LINES


async def test_without_a_lease_nothing_is_spoken_on_before_the_database_says_so(
    database: Database,
    database_settings: DatabaseSettings,
) -> None:
    async with cut_off(database_settings) as (far, proxy):
        proxy.cut()
        async with collector(far, "owner", offline=3600) as owner:
            await owner.comes_to(set())
            proxy.mend()
            await owner.comes_to(LINES)


async def test_lines_of_a_collector_that_is_gone_are_released_by_hand(database: Database) -> None:
    async with collector(database, "gone", offline=3600) as gone:
        await gone.comes_to(LINES)
        await until(lambda: gone.ownership.lease > 3599)
        await asyncio.sleep(0.2)  # its row tells of the lines now
    async with collector(database, "next") as following:
        await following.comes_to(set())
        with pytest.raises(Busy, match="if it is gone, repeat this"):
            async with database.connection() as conn:
                await release(conn, "gone")
        await following.comes_to(set())
        async with database.connection() as conn:
            await conn.execute("UPDATE collector SET seen_at = now() - interval '1 minute' WHERE name = 'gone'")
            assert await release(conn, "gone") == sorted(LINES)
        await following.comes_to(LINES)
    with pytest.raises(NotFound, match="nobody"):
        async with database.connection() as conn:
            await release(conn, "nobody")


async def test_a_collector_of_other_lines_is_no_standby(database: Database) -> None:
    async with collector(database, "one", offline=3600) as one, collector(database, "worker", lines=()) as worker:
        await one.comes_to(LINES)
        await worker.comes_to(set())
        await asyncio.sleep(0.3)
        assert one.ownership.lease > 3000
