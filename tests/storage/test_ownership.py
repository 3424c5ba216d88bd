"""One collector on a line: locks that die with their session, a standby that waits, an owner that falls silent."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Collection
from dataclasses import replace

from storage.database import Database, DatabaseSettings, open_database
from storage.ownership import Ownership

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
async def collector(database: Database, name: str, *, speak_after: float = 0.3) -> AsyncIterator[Watched]:
    ownership = Ownership(database, name=name, tick=0.05, silent_after=0.2, speak_after=speak_after)
    ownership.want(LINES)
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
