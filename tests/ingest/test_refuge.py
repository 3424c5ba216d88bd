"""The door for polls: committed, or on disk, or refused; it waits for no store."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta

import pytest

from ingest.delivery import Delivery, Fate, Outcome
from ingest.errors import AmrError, StoreRejected, StoreUnavailable
from ingest.refuge import SparedIntake
from tests.ingest.memory_store import MemoryStore, MemoryWork, spec
from tests.ingest.point import LATER, reading


class Kept:
    """A refuge in memory."""

    def __init__(self) -> None:
        self.away = False
        self.full = False
        self.kept: list[Delivery] = []

    async def keep(self, deliveries: Sequence[Delivery]) -> None:
        if self.full:
            raise AmrError("the disk is full")
        self.kept += deliveries


class Hanging(MemoryStore):
    """A store whose transactions wait for leave."""

    def __init__(self) -> None:
        super().__init__()
        self.leave, self.left = asyncio.Event(), asyncio.Event()
        self.waiting = 0

    @contextlib.asynccontextmanager
    async def batch(self) -> AsyncIterator[MemoryWork]:
        self.waiting += 1
        await self.leave.wait()
        async with super().batch() as work:
            yield work
        self.left.set()


@pytest.fixture
def store() -> MemoryStore:
    store = MemoryStore()
    store.install("m1", [spec()])
    return store


@contextlib.asynccontextmanager
async def door(store: MemoryStore, kept: Kept, patience: float = 30) -> AsyncIterator[SparedIntake]:
    intake = SparedIntake(
        store, kept, patience=timedelta(seconds=patience), batch=100, max_wait=0.001, now=lambda: LATER
    )
    task = asyncio.create_task(intake.run())
    try:
        yield intake
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def put(intake: SparedIntake, place: int) -> Outcome:
    async with asyncio.timeout(30):
        return await (await intake.put(poll(place)))


def poll(place: int) -> Delivery:
    return Delivery("test", (reading(place, 100 + place),))


async def test_with_a_store_nothing_is_kept(store: MemoryStore) -> None:
    kept = Kept()
    async with door(store, kept) as intake:
        outcome = await put(intake, 0)
    assert (outcome.counts(), outcome.kept) == ({Fate.STORED: 1}, False)
    assert kept.kept == []


async def test_without_a_store_it_is_kept_before_it_counts_as_done(store: MemoryStore) -> None:
    kept = Kept()
    store.fail = [StoreUnavailable("gone")]
    async with door(store, kept) as intake:
        outcome = await put(intake, 0)
        assert (outcome.stored, outcome.kept) == (False, True)
        assert kept.kept == [poll(0)]
        assert (await put(intake, 1)).counts() == {Fate.STORED: 1}, "tried again with the next"


async def test_a_store_known_to_be_away_is_not_tried(store: MemoryStore) -> None:
    kept = Kept()
    kept.away = True
    async with door(store, kept) as intake:
        assert (await put(intake, 0)).kept
    assert store.transactions == 0


async def test_a_store_that_hangs_is_waited_for_once_and_its_late_commit_does_no_harm() -> None:
    store, kept = Hanging(), Kept()
    store.install("m1", [spec()])
    async with door(store, kept, patience=0.05) as intake:
        assert (await put(intake, 0)).kept
        assert (await put(intake, 1)).kept
        assert store.waiting == 1, "nobody is sent after the one who hangs"
        store.leave.set()
        async with asyncio.timeout(30):
            await store.left.wait()
        assert (await put(intake, 2)).counts() == {Fate.STORED: 1}
    assert kept.kept == [poll(0), poll(1)]
    async with door(store, kept) as intake:
        assert (await put(intake, 0)).counts() == {Fate.REPEATED: 1}


async def test_what_neither_store_nor_disk_takes_is_told_and_does_not_count_as_done(
    store: MemoryStore, caplog: pytest.LogCaptureFixture
) -> None:
    kept = Kept()
    kept.full = True
    store.fail = [StoreUnavailable("gone")]
    async with door(store, kept) as intake:
        with pytest.raises(AmrError, match="disk is full"):
            await put(intake, 0)
        store.fail = [StoreUnavailable("gone")]
        assert intake.offer(poll(1))
        async with asyncio.timeout(30):
            await intake.drain()
    assert "what test brought is lost: the disk is full" in caplog.text


async def test_what_the_store_refuses_for_good_goes_to_quarantine_as_ever(store: MemoryStore) -> None:
    kept = Kept()
    store.fail = [StoreRejected("no")]
    async with door(store, kept) as intake:
        outcome = await put(intake, 0)
    assert outcome.counts() == {Fate.QUARANTINED: 1}
    assert kept.kept == []
