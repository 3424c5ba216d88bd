"""A batch is sorted while the one before it is being written, and sorted again when that one was given up."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import datetime, timedelta

import pytest

from ingest import intake as door
from ingest.delivery import Delivery, Fate, Outcome
from ingest.errors import StoreRejected, StoreUnavailable
from ingest.intake import Intake
from ingest.model import Reason
from ingest.refuge import SparedIntake
from ingest.tracks import Ahead, Tracks
from tests.ingest.memory_store import MemoryStore, MemoryWork, spec
from tests.ingest.point import LATER, reading

Deed = Callable[[], Awaitable[None]]


class Gated(MemoryStore):
    """A store whose transactions do a deed of the test before they commit, each one its own."""

    def __init__(self) -> None:
        super().__init__()
        self.deeds: list[Deed] = []

    @contextlib.asynccontextmanager
    async def batch(self) -> AsyncIterator[MemoryWork]:
        deed = self.deeds.pop(0) if self.deeds else None
        async with super().batch() as work:
            yield work
            if deed is not None:
                await deed()


class Nowhere:
    """A refuge that keeps nothing for later, for a store that is away when the test says so."""

    away = False

    async def keep(self, deliveries: Sequence[Delivery]) -> None:
        """Forgotten."""


@pytest.fixture(autouse=True)
def no_head_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """`settled` waits for no clock."""
    monkeypatch.setattr(door, "HEAD_START", 0)


@pytest.fixture
def store() -> Gated:
    store = Gated()
    store.install("m1", [spec()])
    return store


@pytest.fixture
def sorted_ahead(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Of each batch whether it was sorted before its transaction began."""
    tried: list[bool] = []
    original = Tracks.sort_ahead

    def counting(self: Tracks, deliveries: Sequence[Delivery], received_at: datetime) -> Ahead | None:
        ahead = original(self, deliveries, received_at)
        tried.append(ahead is not None)
        return ahead

    monkeypatch.setattr(Tracks, "sort_ahead", counting)
    return tried


def poll(place: float, value: float) -> Delivery:
    return Delivery("test", (reading(place, value),))


async def settled() -> None:
    for _ in range(30):
        await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def known(intake: Intake) -> AsyncIterator[Intake]:
    """Running, with a series whose end (101 at the first hour) is remembered; its batches have one reading each."""
    for place in range(2):
        await intake.accept(poll(place, 100 + place))
    task = asyncio.create_task(intake.run())
    try:
        await (await intake.put(poll(2, 102)))
        yield intake
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def opened(store: MemoryStore) -> Intake:
    return Intake(store, batch=1, max_wait=0.0, now=lambda: LATER)


async def told(future: asyncio.Future[Outcome]) -> Outcome:
    async with asyncio.timeout(30):
        return await future


async def test_the_next_batch_is_sorted_while_one_is_written(store: Gated, sorted_ahead: list[bool]) -> None:
    gate = asyncio.Event()
    async with known(opened(store)) as intake:
        del sorted_ahead[:]
        before = store.transactions
        store.deeds = [gate_of(gate)]
        futures = [await intake.put(poll(place, 100 + place)) for place in range(3, 6)]
        await settled()
        assert sorted_ahead == [True, True]  # the third waits for its turn
        assert not any(future.done() for future in futures)
        gate.set()
        assert [(await told(future)).counts() for future in futures] == [{Fate.STORED: 1}] * 3
        assert store.transactions - before == 3  # none of them twice
    assert [row.value // 1_000_000 for row in store.history("m1", "1.8.0")] == list(range(100, 106))


def gate_of(gate: asyncio.Event) -> Deed:
    async def wait() -> None:
        await gate.wait()

    return wait


def refusing(error: Exception, first: Deed | None = None) -> Deed:
    async def refuse() -> None:
        if first is not None:
            await first()
        await settled()  # the next batch is sorted meanwhile
        raise error

    return refuse


async def test_what_was_sorted_behind_a_refused_batch_is_sorted_again(store: Gated, sorted_ahead: list[bool]) -> None:
    async with known(opened(store)) as intake:
        del sorted_ahead[:]
        store.deeds = [refusing(StoreRejected("no"))]
        futures = [await intake.put(poll(place, 100 + place)) for place in (3, 4)]
        assert [(await told(future)).counts() for future in futures] == [{Fate.QUARANTINED: 1}, {Fate.STORED: 1}]
        assert sorted_ahead == [True, True]
    assert [row.value // 1_000_000 for row in store.history("m1", "1.8.0")] == [100, 101, 102, 104]


async def test_another_writer_in_the_place_of_a_refused_batch_is_noticed(store: Gated) -> None:
    """He leaves the very version behind that the refused batch would have left."""
    other = opened(store)
    await other.accept(poll(0, 100))

    async def meanwhile() -> None:
        await other.accept(poll(3, 110))

    async with known(opened(store)) as intake:
        store.deeds = [refusing(StoreRejected("no"), meanwhile)]
        first, second = await intake.put(poll(2.5, 102.5)), await intake.put(poll(3.5, 103.5))
        assert (await told(first)).verdicts[0].code == "unstorable"
        assert (await told(second)).verdicts[0].reasons == Reason.BELOW_PREVIOUS


async def test_a_store_that_was_away_for_a_moment_gets_both_in_order(store: Gated) -> None:
    async with known(opened(store)) as intake:
        store.deeds = [refusing(StoreUnavailable("gone"))]
        futures = [await intake.put(poll(place, 100 + place)) for place in (3, 4)]
        assert [(await told(future)).counts() for future in futures] == [{Fate.STORED: 1}] * 2
    assert [row.value // 1_000_000 for row in store.history("m1", "1.8.0")] == list(range(100, 105))


async def test_a_cancellation_tells_whoever_waits_for_either_batch(store: Gated) -> None:
    async with known(opened(store)) as intake:
        store.deeds = [gate_of(asyncio.Event())]
        futures = [await intake.put(poll(place, 100 + place)) for place in (3, 4)]
        await settled()
    assert all(future.cancelled() for future in futures)
    assert len(store.tables.rows) == 3
    async with asyncio.timeout(30):
        await intake.drain()  # nothing is in hand


async def test_drained_means_the_batch_that_was_sorted_ahead_too(store: Gated) -> None:
    gate = asyncio.Event()
    async with known(opened(store)) as intake:
        store.deeds = [gate_of(gate)] * 2
        futures = [await intake.put(poll(place, 100 + place)) for place in (3, 4)]
        await settled()
        drained = asyncio.create_task(intake.drain())
        await settled()
        assert not drained.done()
        gate.set()
        async with asyncio.timeout(30):
            await drained
        assert all(future.done() for future in futures)


async def test_what_is_kept_elsewhere_moved_no_series(store: Gated) -> None:
    refuge, other = Nowhere(), opened(store)
    intake = SparedIntake(store, refuge, patience=timedelta(seconds=30), batch=1, max_wait=0.0, now=lambda: LATER)
    async with known(intake):
        refuge.away = True
        assert (await told(await intake.put(poll(2.5, 102.5)))).kept
        refuge.away = False
        await other.accept(poll(3, 110))
        assert (await told(await intake.put(poll(3.5, 103.5)))).verdicts[0].reasons == Reason.BELOW_PREVIOUS


async def test_a_delivery_that_breaks_the_sorting_is_found_when_it_is_written(
    store: Gated, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: Tracks, deliveries: Sequence[Delivery], received_at: datetime) -> Ahead | None:
        raise ArithmeticError("broken")

    async with known(opened(store)) as intake:
        monkeypatch.setattr(Tracks, "sort_ahead", broken)
        futures = [await intake.put(poll(place, 100 + place)) for place in (3, 4)]
        assert [(await told(future)).counts() for future in futures] == [{Fate.STORED: 1}] * 2
