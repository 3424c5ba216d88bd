"""A reading on request over HTTP: by the collector or by staff, within limits, followed to its end."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest

from api.app import create_app
from api.cli import serving
from api.context import ApiSettings
from api.request_schemas import RequestOut, RequestsPage
from ingest.intake import Intake
from ingest.model import Reading
from storage import cabinet_events
from storage.database import Database
from storage.readings import PostgresStore
from storage.request_states import finish, take
from tests.api.conftest import House, bearer, furnish
from tests.api.test_audit import acts

PATIENCE = 30.0


async def ask(house: House, point: str = "flat-1", who: str = "boris") -> httpx.Response:
    return await house.client.post(f"/api/v1/points/{point}/reading-requests", headers=bearer(who))


async def poll(house: House, value: str = "77.5") -> datetime:
    """What a collector does: take everything, read, write down."""
    at = datetime.now(UTC).replace(microsecond=0)
    await house.store(Reading("M-1-NEW", "1.8.0", at, Decimal(value)))
    async with house.database.connection() as conn:
        taken = await take(conn, ["bus"], "a-collector")
    async with house.database.connection() as conn:
        await finish(conn, [one.id for one in taken], read_at=at, detail="host/a1 asked over bus")
    return at


async def test_a_remote_meter_is_read_and_the_values_are_in_the_answer(house: House) -> None:
    asked = await ask(house)
    assert asked.status_code == 202, asked.text
    request = RequestOut.model_validate_json(asked.content)
    assert (request.state, request.meter, request.asked_by, request.detail) == ("queued", "M-1-NEW", None, None)
    assert asked.headers["location"] == f"/api/v1/reading-requests/{request.number}"
    again = await ask(house)
    assert (again.status_code, again.json()["number"]) == (200, request.number)
    at = await poll(house)
    done = RequestOut.model_validate_json((await house.get(f"/reading-requests/{request.number}")).content)
    assert (done.state, done.text, done.read_at, done.detail) == ("done", "the meter was read", at, None)
    assert [(value.channel, value.value, value.unit) for value in done.values] == [("1.8.0", "77.5", "kWh")]
    staff = (await house.get(f"/reading-requests/{request.number}", "olga")).json()
    assert (staff["asked_by"], staff["detail"]) == ("consumer:boris", "host/a1 asked over bus")
    assert ("getReadingRequest", "flat-1", 200) in [(a.operation, a.point, a.status) for a in await acts(house, "olga")]
    assert [a.operation for a in await acts(house, "boris")] == ["askForReading"] * 2


async def test_others_see_nothing_of_it(house: House) -> None:
    number = (await ask(house)).json()["number"]
    for who in ("vera", "anna"):
        assert (await house.get(f"/reading-requests/{number}", who)).status_code == 404
        assert (await house.get(f"/reading-requests/{number}/events", who)).status_code == 404
        assert (await house.get("/reading-requests", who)).json()["items"] == []
        assert (await house.get("/cabinet/events", who)).json()["items"] == []
    assert (await ask(house, who="vera")).status_code == 404
    assert (await ask(house, "nowhere")).json()["code"] == "point_not_found"
    over = await ask(house, who="anna")
    assert (over.status_code, over.json()["code"]) == (409, "contract_over")
    empty = await ask(house, "empty")
    assert (empty.status_code, empty.json()["code"]) == (409, "no_meter")
    assert (await house.get("/reading-requests/999999")).json()["code"] == "not_found"
    assert (await house.get("/reading-requests/x")).status_code == 422


async def test_values_of_another_consumers_time_stay_hidden(house: House) -> None:
    number = (await ask(house)).json()["number"]
    async with house.database.connection() as conn:
        await conn.execute("UPDATE contract SET until = now() - interval '1 hour' WHERE consumer = 'boris'")
    await poll(house)
    shown = (await house.get(f"/reading-requests/{number}")).json()
    assert (shown["state"], shown["values"]) == ("done", [])
    assert (await house.get(f"/reading-requests/{number}", "root")).json()["values"]


async def test_what_staff_type_in_answers_who_waits_for_them(house: House) -> None:
    request = (await ask(house, "flat-2", "vera")).json()
    assert request["state"] == "manual"
    listed = RequestsPage.model_validate_json((await house.get("/reading-requests", "olga", state="manual")).content)
    assert [(one.number, one.point, one.asked_by) for one in listed.items] == [
        (request["number"], "flat-2", "consumer:vera")
    ]
    early = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    before = await house.post("/points/flat-2/readings", "olga", {"taken_at": early, "values": {"1.8.1": 5}})
    assert before.json()["answered_requests"] == [], "taken before it was asked for"
    at = datetime.now(UTC).isoformat()
    body = {"taken_at": at, "values": {"1.8.1": 6, "1.8.2": 7}}
    own = await house.post("/points/flat-2/readings", "vera", body)
    assert (own.status_code, own.json()["answered_requests"]) == (201, [])
    entered = await house.post("/points/flat-2/readings", "olga", body)
    assert entered.json()["answered_requests"] == [request["number"]], entered.text
    done = (await house.get(f"/reading-requests/{request['number']}", "vera")).json()
    assert (done["state"], [value["value"] for value in done["values"]]) == ("done", ["6", "7"])


async def test_staff_say_why_they_could_not_read(house: House) -> None:
    number = (await ask(house, "flat-2", "vera")).json()["number"]
    path = f"/reading-requests/{number}/refusal"
    body = {"failure": "no_access", "note": "a dog"}
    assert (await house.post(path, "vera", body)).status_code == 403
    assert (await house.post(path, "olga", {"failure": "lazy"})).status_code == 422
    assert (await house.post(path, "olga", body)).status_code == 200
    headers = {**bearer("vera"), "Accept-Language": "ru"}
    shown = (await house.client.get(f"/api/v1/reading-requests/{number}", headers=headers)).json()
    assert shown["failure"] == {"code": "no_access", "text": "нет доступа к прибору"}
    assert (shown["state"], shown["detail"]) == ("failed", None)
    late = await house.post(path, "olga", body)
    assert (late.status_code, late.json()["code"]) == (409, "wrong_state")


class TestLimits:
    """What one consumer may ask for."""

    @pytest.fixture
    def settings(self, settings: ApiSettings) -> ApiSettings:
        return replace(settings, asked_a_day=3, asked_at_once=1)

    async def test_open_ones_and_those_of_a_day_are_counted(self, house: House) -> None:
        async with house.database.connection() as conn:
            await conn.execute(
                "INSERT INTO contract SELECT 'boris', id, '2023-01-01', NULL FROM point WHERE code = 'flat-2'"
            )
        answers = await asyncio.gather(*(ask(house, point) for point in ("flat-1", "flat-2") * 4))
        counts = [answer.status_code for answer in answers]
        assert (counts.count(202), counts.count(429)) == (1, 4), "one was open, the others of that point are the same"
        refused = next(answer for answer in answers if answer.status_code == 429)
        assert refused.json()["code"] == "asked_too_much"
        assert int(refused.headers["retry-after"]) > 0
        for _ in range(3):
            async with house.database.connection() as conn:
                await conn.execute("UPDATE reading_request SET state = 'failed', failure = 'x', finished_at = now()")
            await ask(house)
        async with house.database.connection() as conn:
            await conn.execute("UPDATE reading_request SET state = 'failed', failure = 'x', finished_at = now()")
            count = await (await conn.execute("SELECT count(*) FROM reading_request")).fetchone()
        assert count == (3,)
        often = await ask(house)
        assert (often.status_code, often.json()["code"]) == (429, "asked_too_often")
        assert 23 * 3600 < int(often.headers["retry-after"]) <= 24 * 3600
        assert (await ask(house, who="olga")).status_code == 202, "staff are limited by their token's rate alone"
        async with house.database.connection() as conn:
            await conn.execute("UPDATE reading_request SET asked_at = asked_at - interval '1 day'")
        assert (await ask(house)).status_code == 202


@contextlib.asynccontextmanager
async def following(
    house: House, path: str, who: str = "boris", last: int | None = None
) -> AsyncIterator[AsyncIterator[dict[str, Any]]]:
    """Follow a stream; gives its events as dicts of id, event and data, and comments as {"comment": …}."""
    headers = bearer(who) | ({} if last is None else {"Last-Event-ID": str(last)})
    async with house.client.stream("GET", f"/api/v1{path}", headers=headers) as answer:
        assert answer.status_code == 200, await answer.aread()
        assert answer.headers["content-type"].startswith("text/event-stream")

        async def events() -> AsyncIterator[dict[str, Any]]:
            found: dict[str, Any] = {}
            async for line in answer.aiter_lines():
                name, _, value = line.partition(": ")
                if line:
                    found[name or "comment"] = json.loads(value) if name == "data" else value
                else:
                    yield found
                    found = {}

        async with asyncio.timeout(PATIENCE):
            yield events()


async def test_a_request_is_followed_to_its_end(house: House) -> None:
    number = (await ask(house)).json()["number"]
    async with following(house, f"/reading-requests/{number}/events") as events:
        assert await anext(events) == {"comment": "following", "retry": "3000"}
        now = await anext(events)
        assert (now["event"], now["data"]["state"], now["data"]["final"]) == ("reading_request", "queued", False)
        await poll(house)
        rest = [event async for event in events]
    assert [event["data"]["state"] for event in rest] == ["polling", "done"], "and the stream has ended"
    assert rest[-1]["data"]["point"] == "flat-1"
    async with following(house, f"/reading-requests/{number}/events", last=int(now["id"])) as events:
        missed = [event async for event in events][1:]
    assert missed == rest, "resumed behind the last event that came"
    async with following(house, f"/reading-requests/{number}/events", last=int(rest[-1]["id"])) as events:
        assert [event async for event in events][1:] == rest[-1:], "the end is told again rather than nothing"


async def test_a_cabinet_follows_all_its_requests_and_resumes(house: House) -> None:
    async with (
        following(house, "/cabinet/events/stream") as events,
        following(house, "/cabinet/events/stream", "olga") as everything,
    ):
        await anext(events)
        await anext(everything)
        await ask(house, "flat-2", "vera")
        number = (await ask(house)).json()["number"]
        first = await anext(events)
        assert (first["data"]["number"], first["data"]["state"]) == (number, "queued")
        theirs = [await anext(everything), await anext(everything)]
        assert [event["data"]["point"] for event in theirs] == ["flat-2", "flat-1"]
    await poll(house)
    async with following(house, "/cabinet/events/stream", last=int(first["id"])) as events:
        await anext(events)
        assert [(await anext(events))["data"]["state"] for _ in range(2)] == ["polling", "done"]
    listed = (await house.get("/cabinet/events", limit=2)).json()
    rest = (await house.get("/cabinet/events", limit=2, cursor=listed["next"])).json()
    assert [item["state"] for item in listed["items"] + rest["items"]] == ["done", "polling", "queued"]
    assert rest["next"] is None


async def test_a_stream_ends_with_its_token(house: House) -> None:
    async with following(house, "/cabinet/events/stream") as events:
        await anext(events)
        async with house.database.connection() as conn:
            await conn.execute("UPDATE token SET revoked_at = now() WHERE name = 'boris'")
        await ask(house, who="olga")
        async with house.database.connection() as conn:
            await conn.execute("UPDATE reading_request SET asked_by = 'consumer:boris'")
            await conn.execute("UPDATE reading_request SET state = 'polling'")
        assert [event async for event in events] == []


async def test_a_fault_of_ours_ends_the_streams_and_the_next_one_hears_again(
    house: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError

    async with following(house, "/cabinet/events/stream") as events:
        await anext(events)
        with monkeypatch.context() as broken:
            broken.setattr(cabinet_events, "after", fail)
            await ask(house)
            assert [event async for event in events] == [], "it ends, instead of being silent"
    assert "events cannot be followed" in caplog.text
    async with following(house, "/cabinet/events/stream") as events:
        await anext(events)
        await poll(house)
        assert (await anext(events))["data"]["state"] == "polling"


async def test_a_request_nobody_takes_ends_for_who_follows_it(house: House) -> None:
    number = (await ask(house)).json()["number"]
    async with house.database.connection() as conn:
        await conn.execute("UPDATE reading_request SET asked_at = asked_at - interval '1 hour'")
    async with following(house, f"/reading-requests/{number}/events") as events:
        states = [event["data"]["state"] async for event in events if "data" in event]
    assert states[-1] == "failed"


async def test_a_service_that_stops_ends_its_streams_as_streams_end(database: Database, settings: ApiSettings) -> None:
    await furnish(database)
    app = create_app(database, Intake(PostgresStore(database)), settings=settings)
    async with httpx.AsyncClient(timeout=30) as client:
        async with serving(app, "127.0.0.1", 0) as url:
            asked = client.build_request("GET", f"{url}/api/v1/cabinet/events/stream", headers=bearer("boris"))
            answer = await client.send(asked, stream=True)
            lines = answer.aiter_lines()
            assert await anext(lines) == ": following"
        assert [line async for line in lines] == ["retry: 3000", ""], "not broken off, which would raise"
        await answer.aclose()


class TestStreams:
    """Streams are bounded, and hold no connection of the pool."""

    @pytest.fixture
    def settings(self, settings: ApiSettings) -> ApiSettings:
        return replace(settings, streams=8, streams_each=7)

    async def test_more_streams_than_connections_and_then_no_more(self, house: House) -> None:
        async with contextlib.AsyncExitStack() as stack:
            streams = [await stack.enter_async_context(following(house, "/cabinet/events/stream")) for _ in range(7)]
            for events in streams:
                await anext(events)
            refused = await house.get("/cabinet/events/stream")
            assert (refused.status_code, refused.json()["code"]) == (429, "too_many_streams")
            await ask(house)
            for events in streams:
                assert (await anext(events))["data"]["state"] == "queued"
            streams.append(await stack.enter_async_context(following(house, "/cabinet/events/stream", "vera")))
            assert (await house.get("/cabinet/events/stream", "olga")).status_code == 429
        async with asyncio.timeout(PATIENCE):
            while await listening(house):  # noqa: ASYNC110 - the session is the database's
                await asyncio.sleep(0.02)
        async with following(house, "/cabinet/events/stream") as events:
            await anext(events)

    async def test_an_idle_stream_shows_that_it_lives(self, house: House, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("fastapi.routing._PING_INTERVAL", 0.05)
        async with following(house, "/cabinet/events/stream") as events:
            await anext(events)
            assert await anext(events) == {"comment": "ping"}


async def listening(house: House) -> int:
    """How many sessions of the database wait for cabinet events."""
    async with house.database.connection() as conn:
        row = await (
            await conn.execute("SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'LISTEN amr_cabinet%'")
        ).fetchone()
    return int(row[0]) if row else 0


async def test_a_wrong_last_id_is_named(house: House) -> None:
    answer = await house.client.get("/api/v1/cabinet/events/stream", headers={**bearer("boris"), "Last-Event-ID": "x"})
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "out_of_range")
