"""The queue in front of the store: bounded, batched, patient, and no hostage of one bad delivery."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal

import pytest

from ingest import intake as door
from ingest.delivery import Contact, Delivery, Fate, Outcome, Reject
from ingest.errors import Misconfigured, StoreRejected, StoreUnavailable
from ingest.intake import Intake
from ingest.model import NO_REASON, IntervalReading, Quality, Reading, Reason, Source
from tests.ingest.memory_store import MemoryStore, MemoryWork, spec
from tests.ingest.point import LATER, START, reading


@pytest.fixture
def store() -> MemoryStore:
    store = MemoryStore()
    store.install("m1", [spec()])
    return store


@contextlib.asynccontextmanager
async def running(intake: Intake) -> AsyncIterator[Intake]:
    task = asyncio.create_task(intake.run())
    try:
        yield intake
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def opened(store: MemoryStore, *, capacity: int = 1000, batch: int = 100, max_wait: float = 0.01) -> Intake:
    return Intake(store, capacity=capacity, batch=batch, max_wait=max_wait, now=lambda: LATER)


def delivery(*values: float, first: int = 0, origin: str = "test") -> Delivery:
    return Delivery(origin, tuple(reading(first + n, value) for n, value in enumerate(values)))


async def settled() -> None:
    """Let every task that can go on do so."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_the_future_is_done_after_the_commit(store: MemoryStore) -> None:
    async with running(opened(store)) as intake:
        done = await intake.put(delivery(100, 101))
        outcome = await done
    assert outcome.counts() == {Fate.STORED: 2}
    assert len(store.tables.rows) == 2


async def test_a_batch_is_closed_by_size(store: MemoryStore) -> None:
    async with running(opened(store, batch=3, max_wait=3600)) as intake:
        futures = [await intake.put(delivery(100 + n, first=n)) for n in range(3)]
        await asyncio.gather(*futures)
    assert store.transactions == 1


async def test_a_batch_is_closed_by_age(store: MemoryStore) -> None:
    async with running(opened(store, batch=1000, max_wait=0.01)) as intake:
        await (await intake.put(delivery(100)))
    assert store.transactions == 1


async def test_deliveries_that_wait_together_are_stored_together_and_no_batch_is_larger_than_asked(
    store: MemoryStore,
) -> None:
    intake = opened(store, batch=4, max_wait=3600)
    futures = [await intake.put(delivery(100 + n, 100 + n, first=2 * n)) for n in range(4)]
    async with running(intake):
        await asyncio.gather(*futures)
    assert store.transactions == 2


async def test_a_delivery_larger_than_a_batch_goes_alone_and_whole(store: MemoryStore) -> None:
    async with running(opened(store, batch=3)) as intake:
        outcome = await (await intake.put(delivery(*range(100, 120))))
    assert outcome.counts() == {Fate.STORED: 20}


async def test_the_queue_is_bounded_by_rows_and_put_waits_for_room(store: MemoryStore) -> None:
    intake = opened(store, capacity=5, batch=100)
    await intake.put(delivery(100, 101, 102, 103))
    waiting = asyncio.create_task(intake.put(delivery(104, 105, first=4)))
    await settled()
    assert not waiting.done()
    assert (intake.depth.rows, intake.depth.capacity) == (4, 5)
    async with running(intake):
        await (await waiting)
    assert len(store.tables.rows) == 6


async def test_a_delivery_larger_than_the_queue_is_taken_when_the_queue_is_empty(store: MemoryStore) -> None:
    async with running(opened(store, capacity=3)) as intake:
        await (await intake.put(delivery(*range(100, 110))))
    assert len(store.tables.rows) == 10


async def test_depth_tells_how_old_the_oldest_delivery_is(store: MemoryStore) -> None:
    intake = opened(store)
    assert (intake.depth.rows, intake.depth.oldest) == (0, 0)
    await intake.put(delivery(100))
    await asyncio.sleep(0.01)
    assert intake.depth.oldest >= 0.01


async def test_what_is_no_row_counts_too(store: MemoryStore) -> None:
    intake = opened(store)
    await intake.put(Delivery("test", contacts=(Contact("m1", START), Contact("m1", START))))
    await intake.put(Delivery("test"))
    assert intake.depth.rows == 3


async def test_while_the_store_is_away_everything_waits_and_nothing_is_lost(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door, "FIRST_PAUSE", 0.001)
    store.fail = [StoreUnavailable("away")] * 4
    async with running(opened(store, capacity=4)) as intake:
        first = await intake.put(delivery(100, 101))
        second = await intake.put(delivery(102, 103, first=2))
        outcomes = await asyncio.gather(first, second)
    assert [outcome.counts() for outcome in outcomes] == [{Fate.STORED: 2}] * 2
    assert not store.fail
    assert not store.tables.quarantine


class Refusing(MemoryStore):
    """Fails whenever a certain value is among what it should commit."""

    def __init__(self, cursed: float, error: Exception) -> None:
        super().__init__()
        self.cursed = cursed * 10**6
        self.error = error
        self.install("m1", [spec()])

    @contextlib.asynccontextmanager
    async def batch(self) -> AsyncIterator[MemoryWork]:
        async with super().batch() as work:
            yield work
            if any(row.value == self.cursed for row in work.tables.rows.values()):
                raise self.error


@pytest.mark.parametrize("error", [StoreRejected("value is cursed"), ZeroDivisionError("a mistake of ours")])
async def test_one_delivery_that_fails_is_quarantined_and_all_others_are_stored(error: Exception) -> None:
    store = Refusing(5000, error)
    intake = opened(store, batch=1000)
    futures = [await intake.put(delivery(100 + n, first=n)) for n in range(7)]
    cursed = await intake.put(delivery(5000, first=50, origin="bad"))
    futures += [await intake.put(delivery(100 + n, first=n)) for n in range(7, 10)]
    async with running(intake):
        outcomes = await asyncio.gather(*futures)
        refused = await cursed
    assert [outcome.counts() for outcome in outcomes] == [{Fate.STORED: 1}] * 10
    assert [(v.fate, v.code) for v in refused.verdicts] == [(Fate.QUARANTINED, "unstorable")]
    [(origin, reason, raw, _, _)] = store.tables.quarantine
    assert (origin, reason) == ("bad", "unstorable")
    assert b"5000" in raw


@pytest.mark.parametrize("size", [2, 3, 100])
@pytest.mark.parametrize("raw", [b"", b"x" * 100_000])
async def test_one_reading_that_fails_leaves_its_delivery_alone(size: int, raw: bytes) -> None:
    store = Refusing(500, StoreRejected("value is cursed"))
    values = [100 + n / 8 for n in range(size)]
    values[size // 3] = 500
    whole = delivery(*values)._replace(raw=raw, rejects=[Reject("malformed", "?", b"!")])
    async with running(opened(store, batch=1000)) as intake:
        outcome = await (await intake.put(whole))
    assert [verdict.fate for verdict in outcome.verdicts].index(Fate.QUARANTINED) == size // 3
    assert outcome.counts() == {Fate.STORED: size - 1, Fate.QUARANTINED: 1}
    assert outcome.rejected == 1
    kept = sorted((reason, raw[:6]) for _, reason, raw, _, _ in store.tables.quarantine)
    assert kept == [("malformed", b"!"), ("unstorable", b"meter=")]
    assert len(store.tables.rows) == size - 1


async def test_a_store_that_refuses_everything_alike_gets_the_delivery_whole(store: MemoryStore) -> None:
    store.fail = [Misconfigured("no such table")]
    async with running(opened(store)) as intake:
        outcome = await (await intake.put(delivery(100, 101, 102)))
    assert outcome.counts() == {Fate.QUARANTINED: 3}
    assert len(store.tables.quarantine) == 1


async def test_a_refusal_of_the_quarantine_itself_is_told_to_whoever_brought_it(store: MemoryStore) -> None:
    store.fail = [StoreRejected("no"), StoreRejected("no")]
    async with running(opened(store)) as intake:
        done = await intake.put(delivery(100))
        with pytest.raises(StoreRejected):
            await done
        assert (await (await intake.put(delivery(101)))).counts() == {Fate.STORED: 1}


async def test_a_stop_leaves_what_is_in_hand_unacknowledged(store: MemoryStore) -> None:
    store.fail = [StoreUnavailable("away")] * 100
    intake = opened(store)
    task = asyncio.create_task(intake.run())
    done = await intake.put(delivery(100))
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert done.cancelled()
    assert not store.tables.rows


async def test_drain_waits_for_everything_put_so_far(store: MemoryStore) -> None:
    async with running(opened(store, batch=2)) as intake:
        for number in range(10):
            await intake.put(delivery(100 + number, first=number))
        await intake.drain()
        assert len(store.tables.rows) == 10


async def test_whoever_no_longer_waits_disturbs_nobody(store: MemoryStore) -> None:
    async with running(opened(store)) as intake:
        gone = await intake.put(delivery(100))
        gone.cancel()
        assert (await (await intake.put(delivery(101, first=1)))).counts() == {Fate.STORED: 1}
    assert len(store.tables.rows) == 2


async def test_a_person_is_asked_before_a_doubtful_value_is_kept(store: MemoryStore) -> None:
    intake = opened(store)
    consumer = [
        Reading("m1", "1.8.0", START + n * timedelta(days=1), Decimal(v), Source.CONSUMER)
        for n, v in enumerate((100, 90))
    ]
    await intake.accept(Delivery("api", consumer[:1]))
    asked = Delivery("api", consumer[1:])
    doubt = await intake.accept(asked, doubtful=False)
    assert (doubt.stored, doubt.verdicts[0].quality, doubt.verdicts[0].reasons) == (
        False,
        Quality.SUSPECT,
        Reason.BELOW_PREVIOUS,
    )
    assert len(store.tables.rows) == 1
    assert (await intake.accept(asked)).stored
    assert len(store.tables.rows) == 2


async def test_an_undone_submission_leaves_no_memory_of_its_values(store: MemoryStore) -> None:
    """What was rolled back must not be what the next reading is judged beside."""
    intake = opened(store)
    await intake.accept(delivery(100, 101, 102))
    store.install("m2", [spec()])
    mixed = Delivery("api", (reading(3, 103), reading(0, 10**6 + 1, serial="m2")))
    assert not (await intake.accept(mixed, doubtful=False)).stored
    assert (await intake.accept(delivery("102.5", first=3))).counts() == {Fate.STORED: 1}  # type: ignore[arg-type]
    assert [row.quality for row in store.history("m1", "1.8.0")] == [Quality.GOOD] * 4


async def test_rejects_contacts_and_profiles_travel_with_the_readings(store: MemoryStore) -> None:
    profile = IntervalReading("m1", "1.8.0", START, timedelta(minutes=30), Decimal("0.25"))
    foreign = IntervalReading("m9", "1.8.0", START, timedelta(minutes=30), Decimal("0.25"))
    whole = Delivery(
        "test",
        (reading(0, 100),),
        (Reject("malformed", "no meter", b"\x00"),),
        (Contact("m1", START),),
        (profile, foreign),
    )
    outcome: Outcome = await opened(store).accept(whole)
    assert (outcome.counts(), outcome.rejected) == ({Fate.STORED: 1}, 1)
    assert len(store.tables.intervals) == 1
    assert {key[1] for key in store.tables.quarantine} == {"malformed", "unknown_register"}
    assert store.tables.contacts["m1"][0] == START


async def test_another_writer_makes_the_batch_be_judged_thoroughly(store: MemoryStore) -> None:
    """Two processes share a store: neither trusts what it remembers when the other has moved the series."""
    one, other = opened(store), opened(store)
    for number in range(12):
        await one.accept(delivery(100 + number, first=number))
    await other.accept(delivery(9000, first=12))
    await other.accept(delivery(112.5, first=13))
    await one.accept(delivery(113, first=14))
    assert [row.quality for row in store.history("m1", "1.8.0")] == [Quality.GOOD] * 12 + [Quality.SUSPECT] + [
        Quality.GOOD
    ] * 2


async def test_a_meter_that_is_not_put_up_yet_is_not_believed_however_regular_it_is() -> None:
    store = MemoryStore()
    store.install("m1", [spec()], since=START + timedelta(hours=20))
    intake = opened(store)
    for number in range(22):
        await intake.accept(delivery(100 + number, first=number))
    reasons = [row.reasons for row in store.history("m1", "1.8.0")]
    assert reasons == [Reason.BEFORE_INSTALLATION] * 20 + [NO_REASON] * 2


def test_a_queue_without_room_is_refused_by_name() -> None:
    with pytest.raises(Misconfigured, match="batch 0"):
        Intake(MemoryStore(), batch=0)
