"""Polls on disk come to the store: whole, in order, beside fresh ones; what had to be dropped is told as missed."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path

import pytest

from collectors.spool import Item, Spool, SpoolFull
from collectors.spooled import item_of, meter_of, read, utc_day, write
from collectors.spooling import Spooling, drain_orphans
from ingest.delivery import Contact, Delivery, Outcome, Reject
from ingest.errors import Malformed, StoreRejected, StoreUnavailable
from ingest.model import IntervalReading, Reading, Source

AT = datetime(2026, 3, 1, 21, 30, tzinfo=UTC)
WHOLE = Delivery(
    "modbus:tp-1/5",
    [
        Reading("m1", "1.8.0", AT, Decimal("12.50")),
        Reading(
            "m1", "1.8.0", AT, Decimal("13"), Source.OPERATOR, AT + timedelta(microseconds=7), "anna", "по телефону"
        ),
    ],
    [Reject("impossible_value", "too large", b"\xff\x00", "m1", "2.8.0")],
    [Contact("m1", AT, "timeout", "nobody", timedelta(seconds=-2), "gw", AT - timedelta(hours=1)), Contact("m2", AT)],
    [IntervalReading("m1", "1.8.0", AT, timedelta(minutes=30), Decimal("0.250"))],
    b"raw \xfe",
    "gw",
    "batch-7",
)


def poll(number: int) -> Delivery:
    return Delivery("test", [Reading("m1", "1.8.0", AT + timedelta(minutes=number), Decimal(number))], contacts=[])


class Store:
    """Takes deliveries in order, while it is there."""

    def __init__(self) -> None:
        self.there = asyncio.Event()
        self.taken: list[Delivery] = []
        self.refuses: set[int] = set()
        self.looks = 0

    async def accept(self, delivery: Delivery) -> Outcome:
        self.looks += 1
        if not self.there.is_set():
            raise StoreUnavailable("away")
        if self.refuses & {int(reading.value) for reading in delivery.readings}:
            raise StoreRejected("no")
        self.taken.append(delivery)
        return Outcome()

    async def put(self, delivery: Delivery) -> asyncio.Future[Outcome]:
        done: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self.taken.append(delivery)
        done.set_result(Outcome())
        return done

    def numbers(self) -> list[int]:
        return [int(reading.value) for delivery in self.taken for reading in delivery.readings]


@contextlib.asynccontextmanager
async def draining(spool: Spool, store: Store, rate: float = 1e9) -> AsyncIterator[Spooling]:
    spooling = Spooling(spool, store, rate=rate)
    task = asyncio.create_task(spooling.run())
    try:
        yield spooling
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while True:
            if true():
                return
            await asyncio.sleep(0.01)


async def emptied(spool: Spool) -> None:
    await until(lambda: not spool.depth())


@pytest.fixture
async def spool(tmp_path: Path) -> AsyncIterator[Spool]:
    async with Spool(tmp_path / "1" / "spool.sqlite", 1 << 20) as opened:
        yield opened


def test_a_delivery_comes_back_whole() -> None:
    assert read(write(WHOLE)) == WHOLE
    assert read(write(Delivery("line:x"))) == Delivery("line:x", [], [], [], [])


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"origin":"x","readings":[["m"]]}', b"\xff\x00", b"null"])
def test_bytes_that_are_no_delivery_say_so(body: bytes) -> None:
    with pytest.raises(Malformed):
        read(body)


def test_only_polls_may_be_thinned_and_the_day_is_the_meters_own() -> None:
    def volgograd(meter: str, at: datetime) -> date:
        return at.astimezone(timezone(timedelta(hours=3))).date()

    item = item_of(poll(0), AT, volgograd)
    assert (item.series, item.at, item.day) == ("m1 1.8.0", AT, date(2026, 3, 2))
    assert meter_of(item.series or "") == "m1"
    assert item_of(WHOLE, AT, utc_day).series is None
    silence = item_of(Delivery("test", contacts=[Contact("m1", AT, "timeout")]), AT, utc_day)
    assert meter_of(silence.series or "") == "m1"
    assert silence.series != item.series


async def test_a_backlog_is_brought_in_order_once_the_store_is_back(spool: Spool) -> None:
    store = Store()
    async with draining(spool, store) as spooling:
        for number in range(500):
            await spooling.keep([poll(number)])
        assert (spooling.away, spool.depth()) == (True, 500)
        store.there.set()
        await emptied(spool)
        assert (spooling.away, spool.depth()) == (False, 0)
    assert list(dict.fromkeys(store.numbers())) == list(range(500))


async def test_what_an_earlier_process_left_is_brought_too(tmp_path: Path) -> None:
    path, store = tmp_path / "spool.sqlite", Store()
    async with Spool(path) as spool:
        await Spooling(spool, store).keep([poll(n) for n in range(5)])
    store.there.set()
    async with Spool(path) as spool, draining(spool, store):
        await emptied(spool)
    assert set(store.numbers()) == set(range(5))


async def test_nothing_is_deleted_before_the_store_has_it(spool: Spool) -> None:
    class Slow(Store):
        async def put(self, delivery: Delivery) -> asyncio.Future[Outcome]:
            self.taken.append(delivery)
            return asyncio.get_running_loop().create_future()

    store = Slow()
    store.there.set()
    async with draining(spool, store) as spooling:
        await spooling.keep([poll(1)])
        await until(lambda: len(store.taken) >= 2)
        assert spool.depth() == 1


async def test_a_backlog_is_brought_no_faster_than_it_may_be(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    sleep = asyncio.sleep

    async def noted(seconds: float) -> None:
        pauses.append(seconds)
        await sleep(0)

    store = Store()
    store.there.set()
    await Spooling(spool, store).keep([poll(n) for n in range(400)])
    monkeypatch.setattr("collectors.spooling.asyncio.sleep", noted)
    await Spooling(spool, store, rate=100.0).drain()
    assert len(pauses) == 2
    assert all(1.0 < pause <= 2.0 for pause in pauses), "200 rows at 100 a second take two seconds"


async def test_one_that_the_store_refuses_for_good_holds_up_nobody(spool: Spool) -> None:
    store = Store()
    store.refuses = {0}
    store.there.set()
    async with draining(spool, store) as spooling:
        await spooling.keep([poll(n) for n in range(3)])
        await emptied(spool)
    assert store.numbers()[-1] == 2


async def test_a_body_that_cannot_be_read_goes_to_quarantine_raw(spool: Spool) -> None:
    store = Store()
    store.there.set()
    await spool.put([Item(b"garbage")])
    async with draining(spool, store):
        await emptied(spool)
    [reject] = store.taken[-1].rejects
    assert (reject.reason, reject.raw) == ("spool_unreadable", b"garbage")


async def test_what_a_full_spool_dropped_is_told_as_missed(spool: Spool) -> None:
    store = Store()
    async with draining(spool, store) as spooling:
        filler = "." * 9000
        for number in range(150):
            one = Reading("m1", "1.8.0", AT.replace(hour=1) + timedelta(minutes=number), Decimal(number), note=filler)
            await spooling.keep([Delivery("test", [one])])
        lost = sum(one.items for one in await spool.lost())
        assert lost > 10
        store.there.set()
        await emptied(spool)
        await until(lambda: bool(store.taken) and bool(store.taken[-1].contacts))
    [contact] = [contact for delivery in store.taken for contact in delivery.contacts]
    assert (contact.meter, contact.failure) == ("m1", "spool_full")
    assert contact.since is not None
    assert contact.since < contact.tried_at


async def test_a_poll_the_disk_refuses_raises_and_is_told_when_the_store_is_back(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(items: object) -> list[int]:
        raise SpoolFull("no room")

    store = Store()
    store.there.set()
    async with draining(spool, store) as spooling:
        with monkeypatch.context() as patched:
            patched.setattr(spool, "put", full)
            for number in (1, 4):
                with pytest.raises(SpoolFull):
                    await spooling.keep([poll(number)])
        assert spooling.counts.refused == 2
        await until(lambda: bool(store.taken))
    told = [contact for delivery in store.taken for contact in delivery.contacts]
    assert {contact.failure for contact in told} == {"spool_full"}
    assert max(contact.tried_at for contact in told) == poll(4).readings[0].taken_at


async def test_spools_of_processes_that_never_came_back_are_brought_in(tmp_path: Path) -> None:
    store = Store()
    store.there.set()
    async with Spool(tmp_path / "7" / "spool.sqlite") as left:
        await left.put([Item(write(poll(5)))])
    await drain_orphans(tmp_path, store)
    assert set(store.numbers()) == {5}
    async with Spool(tmp_path / "7" / "spool.sqlite") as left:
        assert left.depth() == 0


async def test_what_is_refused_while_refusals_are_told_is_told_too(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(items: object) -> list[int]:
        raise SpoolFull("no room")

    class Slow(Store):
        """Answers when told to."""

        def __init__(self) -> None:
            super().__init__()
            self.answers: list[asyncio.Future[Outcome]] = []

        async def put(self, delivery: Delivery) -> asyncio.Future[Outcome]:
            await super().put(delivery)
            self.answers.append(asyncio.get_running_loop().create_future())
            return self.answers[-1]

    store = Slow()
    store.there.set()
    monkeypatch.setattr(spool, "put", full)
    async with draining(spool, store) as spooling:
        for number in (1, 2):
            with pytest.raises(SpoolFull):
                await spooling.keep([poll(number)])
            await until(lambda: bool(store.answers))
        store.answers[0].set_result(Outcome())
        await until(lambda: len(store.answers) == 2)
    [again] = store.taken[1].contacts
    assert again.tried_at == poll(2).readings[0].taken_at
