"""Reading requests in the database: asked, taken once, finished, given back, and never waiting for ever."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Collection
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from collectors.link import Silent
from ingest.delivery import Fate, Outcome, Verdict
from ingest.errors import Elsewhere, FleetConflict, Misconfigured, NotFound
from storage import requests
from storage.database import Database
from storage.request_service import Poll, RequestService
from storage.request_states import Request, answer_manual, expire, finish, give_back, take
from tests.storage.fleet_rig import STREET, put, read, rows

AT = datetime(2026, 3, 1, tzinfo=UTC)
PATIENCE = 10.0
LINE = "tp-101"


@pytest.fixture
async def street(database: Database) -> Database:
    """A street: 10000001 on a line at p-1, 10000002 by a gateway at p-2, 0042 nowhere, nobody at p-3."""
    await put(database, STREET)
    return database


async def ask(database: Database, by: str = "ivanova", **what: str) -> Request:
    async with database.connection() as conn:
        return await requests.ask(conn, by, **what)


async def status(database: Database, request: Request) -> Request:
    async with database.connection() as conn:
        return await requests.status(conn, request.id)


async def taken(database: Database, *lines: str, by: str = "a", limit: int = 100) -> list[Request]:
    async with database.connection() as conn:
        return await take(conn, lines or (LINE,), by, limit=limit)


async def test_a_meter_on_a_line_is_queued_taken_once_and_done(street: Database) -> None:
    request = await ask(street, point="p-1")
    assert (request.meter, request.point, request.line, request.state) == ("10000001", "p-1", LINE, "queued")
    assert await taken(street, "tp-999") == []
    both = await asyncio.gather(taken(street, by="a"), taken(street, by="b"))
    assert sorted(len(one) for one in both) == [0, 1]
    assert (await status(street, request)).state == "polling"
    await read(street, "10000001", "1.8.0", AT, "12.5")
    async with street.connection() as conn:
        assert await finish(conn, [request.id], read_at=AT) == [request.id]
        assert await finish(conn, [request.id], failure="timeout") == []
        done = await requests.status(conn, request.id)
        assert await requests.values(conn, done) == {"1.8.0": Decimal("12.5")}
    assert (done.state, done.read_at, done.open) == ("done", AT, False)
    assert done.finished_at


async def test_a_meter_that_cannot_be_asked_is_left_to_staff(street: Database) -> None:
    pushed, paper = await ask(street, point="p-2"), await ask(street, meter="0042")
    now = datetime.now(UTC) + timedelta(minutes=1)
    assert (pushed.state, paper.state) == ("manual", "manual")
    assert "gateway gw-1" in (pushed.detail or "")
    assert await taken(street) == []
    async with street.connection() as conn:
        assert {one.id for one in await requests.find(conn, states=["manual"])} == {pushed.id, paper.id}
        assert await answer_manual(conn, "p-2", AT, "petrova") == [], "read before it was asked for"
        assert await answer_manual(conn, "p-2", now, "petrova") == [pushed.id]
        assert await finish(conn, [paper.id], failure="no_access", by="petrova") == [paper.id]
    assert (await status(street, pushed)).read_at == now
    assert (await status(street, paper)).failure == "no_access"


async def test_who_asks_again_gets_the_same_request_until_it_is_finished(street: Database) -> None:
    first = await ask(street, point="p-1")
    assert (await ask(street, point="p-1")).id == first.id
    other = await ask(street, "petrov", point="p-1")
    assert other.id != first.id
    async with street.connection() as conn:
        await finish(conn, [first.id], failure="timeout")
    assert (await ask(street, point="p-1")).id not in (first.id, other.id)


@pytest.mark.parametrize(
    ("what", "error", "said"),
    [
        ({"point": "p-9"}, NotFound, "no point 'p-9'"),
        ({"meter": "9"}, NotFound, "no meter '9'"),
        ({"point": "p-3"}, FleetConflict, "no meter stands at point p-3"),
        ({}, Misconfigured, "one of them"),
        ({"point": "p-1", "meter": "0042"}, Misconfigured, "one of them"),
    ],
)
async def test_mistakes(street: Database, what: dict[str, str], error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        await ask(street, **what)
    async with street.connection() as conn:
        assert await requests.find(conn) == []
        with pytest.raises(NotFound, match="no reading request 7"):
            await requests.status(conn, 7)


async def test_what_nobody_takes_and_what_nobody_finishes_fails_with_a_reason(street: Database) -> None:
    first = await ask(street, point="p-1")
    assert len(await taken(street)) == 1
    second = await ask(street, "petrov", point="p-1")
    async with street.connection() as conn:
        assert await expire(conn) == []
        await conn.execute("UPDATE reading_request SET asked_at = asked_at - interval '6 minutes'")
        await conn.execute("UPDATE reading_request SET taken_at = taken_at - interval '4 minutes'")
    ended = [await status(street, one) for one in (first, second)]
    assert [(one.state, one.failure) for one in ended] == [("failed", "abandoned"), ("failed", "not_taken")]
    assert "collector a took it" in (ended[0].detail or "")
    assert "no collector took it for line tp-101 within 00:05:00" in (ended[1].detail or "")
    assert await taken(street) == []


async def test_what_is_given_back_is_taken_by_the_next_and_only_by_who_has_it(street: Database) -> None:
    request = await ask(street, point="p-1")
    await taken(street, by="a")
    async with street.connection() as conn:
        await give_back(conn, [request.id], "b")
    assert await taken(street, by="b") == []
    async with street.connection() as conn:
        await give_back(conn, [request.id], "a")
    assert [one.id for one in await taken(street, by="b")] == [request.id]


async def test_lists_are_paged_and_chosen(street: Database) -> None:
    made = [await ask(street, by, point="p-1") for by in ("a", "b", "c")]
    async with street.connection() as conn:
        page = await requests.find(conn, limit=2)
        rest = await requests.find(conn, limit=2, before=page[-1].id)
        assert [one.id for one in (*page, *rest)] == [one.id for one in reversed(made)]
        assert [one.asked_by for one in await requests.find(conn, asked_by="b", point="p-1")] == ["b"]
        assert await requests.find(conn, states=["done"]) == []


async def test_who_follows_hears_of_new_requests_and_of_their_moves(street: Database) -> None:
    async with contextlib.aclosing(requests.asked(street, every=60)) as new:
        assert await anext(new) is None
        async with contextlib.aclosing(requests.moved(street, every=60)) as moves:
            assert await anext(moves) is None
            request = await ask(street, point="p-1")
            async with asyncio.timeout(PATIENCE):
                assert await anext(new) == request.id
            await taken(street)
            async with asyncio.timeout(PATIENCE):
                assert await anext(moves) == request.id


@contextlib.asynccontextmanager
async def served(database: Database, poll: Poll, lines: Collection[str] = (LINE,)) -> AsyncIterator[None]:
    task = asyncio.create_task(RequestService(database, "host", lambda: lines, poll).run(every=0.2))
    try:
        yield
        assert not task.done(), task.exception()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def end_of(database: Database, request: Request) -> Request:
    async with asyncio.timeout(PATIENCE):
        while (now := await status(database, request)).open:  # noqa: ASYNC110 - the state is in the database
            await asyncio.sleep(0.02)
    return now


async def test_one_poll_answers_all_who_asked_for_the_meter(street: Database) -> None:
    polls: list[tuple[str, str]] = []

    async def poll(line: str, serial: str) -> tuple[datetime, Outcome]:
        polls.append((line, serial))
        return AT, Outcome([Verdict(Fate.STORED)])

    waiting = [await ask(street, by, point="p-1") for by in ("a", "b", "c")]
    async with served(street, poll):
        ends = [await end_of(street, one) for one in waiting]
    assert {(one.state, one.read_at, one.detail) for one in ends} == {("done", AT, None)}
    assert polls == [(LINE, "10000001")]


@pytest.mark.parametrize(
    ("outcome", "failure", "said"),
    [
        (Silent("unit 5 did not answer"), "timeout", "unit 5 did not answer"),
        (Outcome(), "no_reading", "without a value"),
        (Outcome([Verdict(Fate.QUARANTINED, detail="another value")]), "no_reading", "another value"),
        (Outcome([Verdict(Fate.STORED), Verdict(Fate.QUARANTINED, detail="no register")]), None, "1 of 2 values"),
    ],
)
async def test_what_a_poll_comes_to(street: Database, outcome: object, failure: str | None, said: str) -> None:
    async def poll(line: str, serial: str) -> tuple[datetime, Outcome]:
        if isinstance(outcome, Exception):
            raise outcome
        assert isinstance(outcome, Outcome)
        return AT, outcome

    async with served(street, poll):
        end = await end_of(street, await ask(street, point="p-1"))
    assert end.failure == failure
    assert said in (end.detail or "")


async def test_a_line_that_changes_hands_is_asked_again(street: Database) -> None:
    tries = 0

    async def poll(line: str, serial: str) -> tuple[datetime, Outcome]:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise Elsewhere("not here")
        if tries == 2:
            stopped: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            stopped.cancel()
            await stopped  # as when the owner of the line stops
        return AT, Outcome([Verdict(Fate.REPEATED)])

    async with served(street, poll):
        assert (await end_of(street, await ask(street, point="p-1"))).state == "done"
    assert tries == 3


async def test_a_collector_that_stops_gives_back_what_it_has_in_hand(street: Database) -> None:
    asked = asyncio.Event()

    async def poll(line: str, serial: str) -> tuple[datetime, Outcome]:
        asked.set()
        await asyncio.Event().wait()
        raise AssertionError("never")

    request = await ask(street, point="p-1")
    async with served(street, poll):
        async with asyncio.timeout(PATIENCE):
            await asked.wait()
        assert (await status(street, request)).state == "polling"
    assert (await status(street, request)).state == "queued"


async def test_a_fault_of_ours_stops_no_other_request(street: Database, caplog: pytest.LogCaptureFixture) -> None:
    await put(street, '[[meter]]\nserial = "7"\nmodel = "sdm120"\nline = "tp-101"\naddress = 7\n')

    async def poll(line: str, serial: str) -> tuple[datetime, Outcome]:
        if serial == "7":
            raise ZeroDivisionError("a fault")
        return AT, Outcome([Verdict(Fate.STORED)])

    broken = await ask(street, meter="7")
    async with served(street, poll):
        assert (await end_of(street, await ask(street, point="p-1"))).state == "done"
        assert (await status(street, broken)).state == "polling"
    assert "a fault of ours" in caplog.text


async def test_requests_for_other_lines_are_left_alone(street: Database) -> None:
    async def poll(line: str, serial: str) -> tuple[datetime, Outcome]:
        raise AssertionError("never")

    request = await ask(street, point="p-1")
    async with served(street, poll, lines=("tp-1", "tp-2")), served(street, poll, lines=()):
        await asyncio.sleep(timedelta(milliseconds=500).total_seconds())
    assert (await status(street, request)).state == "queued"
    assert await rows(street, "SELECT count(*) FROM reading_request") == [(1,)]
