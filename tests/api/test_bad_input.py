"""What people and attackers send: a documented 4xx each time, nothing leaks, nobody else waits."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import re
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest

from api import patience, route
from api.app import create_app
from api.cli import serving
from api.context import ApiSettings
from api.problem_examples import ROLES
from ingest.intake import Intake
from storage.database import Database, DatabaseSettings, open_database
from storage.readings import PostgresStore
from tests.api.conftest import House, bearer, furnish
from tests.api.document import operations, served

TRICKS = ["'; DROP TABLE reading; --", "%s %(point)s {0} $1", "../..%2fetc/passwd", "\x00", "\ud800", "x" * 5_000]
LEAKS = ("psycopg", "Traceback", "SELECT", "syntax error", "/storage/", "root:")


@pytest.mark.parametrize("settings", [ApiSettings(token_ttl=timedelta(seconds=0), rate=0)])
async def test_tricks_in_every_parameter_find_nothing(house: House) -> None:
    """One parameter of one operation at a time; what it needs besides is right."""
    right = {"from": "2023-01-01", "to": "2023-02-01", "point": "flat-1", "month": "2023-01", "day": "2023-01-01"}
    asked = 0
    for method, path, operation in operations(await served(house)):
        if method != "get" or not path.startswith("/api/") or "text/event-stream" in str(operation):
            continue
        who = "egor" if ROLES in operation else "boris"
        parameters = operation.get("parameters", [])
        needed: dict[str, str | bytes] = {
            one["name"]: right[one["name"]] for one in parameters if one["in"] == "query" and one["required"]
        }
        names = {one["name"] for one in parameters if one["in"] == "query"}
        places = {one["name"] for one in parameters if one["in"] == "path"}
        for trick in TRICKS:
            text = trick.encode("utf-8", "surrogatepass")
            for name in sorted(names | places):
                here = {place: "1" if place == "number" else "flat-1" for place in places}
                query: Any = {**needed, **({name: text} if name in names else {})}
                address = path.format(**here)
                if name in places:
                    address = path.format(**{**here, name: "".join(f"%{byte:02X}" for byte in text)})
                answer = await house.client.get(address, params=query, headers=bearer(who))
                assert answer.status_code in (200, 404, 422), (method, path, name, trick, answer.text)
                assert not any(leak in answer.text for leak in LEAKS), (path, name, trick)
                asked += 1
    assert asked > 300
    async with house.database.connection() as conn:
        assert await (await conn.execute("SELECT count(*) FROM reading")).fetchone() == (0,)


@pytest.mark.parametrize(
    ("query", "field", "code"),
    [
        ({"from": "1970-01-01", "to": "2100-01-01"}, "to", "range_too_long"),
        ({"from": "2023-02-01", "to": "2023-01-01"}, "from", "not_before"),
        ({"from": "2023-01-01", "to": "2023-01-01"}, "from", "not_before"),
        ({"from": "2023-01-01", "to": "2023-02-01", "channel": "9.8.0"}, "channel", "unknown_channel"),
        ({"from": "2023-01-01", "to": "2023-02-01", "channel": "99.8.99"}, "channel", "unknown_channel"),
        ({"from": "2023-01-01", "to": "2023-02-01", "channel": "1.8.0.255"}, "channel", "not_a_channel"),
        ({"from": "2023-01-01", "to": "2023-01-20", "step": "month"}, "step", "step_too_long"),
        ({"from": "1990-01-01", "to": "2023-01-01", "step": "half-hour"}, "step", "too_many_intervals"),
        ({"from": "2023-01-01", "to": "2023-01-20", "step": "week"}, "step", "not_a_choice"),
    ],
)
async def test_ranges_that_cannot_be_are_named(house: House, query: dict[str, str], field: str, code: str) -> None:
    answer = await house.get("/points/flat-1/consumption", "root", **query)
    assert answer.status_code == 422
    assert [(one["field"], one["code"]) for one in answer.json()["errors"]] == [(field, code)]


async def test_bodies_are_bounded_whatever_they_are(house: House) -> None:
    at = "2023-03-20T19:30:00+04:00"
    many = {"taken_at": at, "values": {f"1.8.{n}": "1" for n in range(10_000)}}
    large = await house.post("/points/flat-1/readings", "boris", many)
    assert (large.status_code, large.json()["code"]) == (413, "too_large")
    fewer = {"taken_at": at, "values": {f"1.8.{n}": "1" for n in range(100)}}
    some = await house.post("/points/flat-1/readings", "boris", fewer)
    assert (some.status_code, some.json()["errors"][0]["code"]) == (422, "too_long")
    bomb = gzip.compress(b"0" * 10_000_000)
    headers = {**bearer("boris"), "Content-Type": "application/json", "Content-Encoding": "gzip"}
    packed = await house.client.post("/api/v1/points/flat-1/readings", content=bomb, headers=headers)
    assert (packed.status_code, packed.json()["code"]) == (400, "malformed_json"), "it is not unpacked"
    deep = await house.post("/points/flat-1/readings", "boris", b"[" * 60_000)
    assert (deep.status_code, deep.json()["code"]) == (400, "malformed_json")


async def test_no_depth_of_a_body_is_a_fault_of_ours(house: House) -> None:
    """What can be read, but is too deep to be said back."""
    for depth in (51, 700, 900, 920, 940, 950, 960, 970, 980, 5_000):
        inner = b"[" * depth + b"]" * depth
        answer = await house.post("/points/flat-1/readings", "boris", b'{"confirm": ' + inner + b"}")
        assert (answer.status_code, answer.json()["code"]) == (400, "malformed_json"), depth
    shallow = await house.post("/points/flat-1/readings", "boris", b'{"confirm": [' + b"[]," * 60 + b"[]]}")
    assert (shallow.status_code, shallow.json()["code"]) == (422, "invalid_request")


async def test_a_head_that_does_not_end_is_not_waited_for(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "HEAD", 0.3)
    host, port = house.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: ")
    async with asyncio.timeout(60):
        assert await reader.read() == b"", "the connection is closed"
    writer.close()
    assert (await house.client.get("/healthz")).status_code == 200


async def test_a_head_without_end_is_not_kept(house: House) -> None:
    host, port = house.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n")
    sent = 0
    with contextlib.suppress(ConnectionError):
        while sent < 64 << 20:
            writer.write(b"X-Long: " + b"x" * 65_000 + b"\r\n")
            await writer.drain()
            sent += 65_000
        assert await reader.read() == b""
    assert sent < 64 << 20, "the connection is closed before all of it came"
    writer.close()
    long = {"X-Long": "x" * 60_000}
    assert (await house.client.get("/healthz", headers=long)).status_code == 200


async def test_a_body_that_does_not_come_is_not_waited_for(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(route, "BODY", 0.3)
    host, port = house.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    token = bearer("boris")["Authorization"]
    writer.write(
        f"POST /api/v1/points/flat-1/readings HTTP/1.1\r\nHost: x\r\nAuthorization: {token}\r\n"
        "Content-Type: application/json\r\nContent-Length: 60000\r\n\r\n{".encode()
    )
    async with asyncio.timeout(60):
        head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    writer.close()


async def test_when_all_connections_are_taken_clients_are_told_to_come_back(
    database: Database, database_settings: DatabaseSettings
) -> None:
    await furnish(database)
    small = replace(
        database_settings,
        pool_size=1,
        pool_timeout=timedelta(milliseconds=200),
        statement_timeout=timedelta(seconds=2),
    )
    async with open_database(small) as crowded, database.own_connection() as rival:
        app = create_app(crowded, Intake(PostgresStore(crowded)))
        async with serving(app, "127.0.0.1", 0) as url, httpx.AsyncClient(base_url=url, timeout=60) as client:

            async def ask() -> httpx.Response:
                return await client.get("/api/v1/points/flat-2/readings", headers=bearer("vera"))

            assert (await ask()).status_code == 200
            async with rival.transaction():
                await rival.execute("LOCK TABLE reading IN ACCESS EXCLUSIVE MODE")
                crowd = await asyncio.gather(*(ask() for _ in range(4)))
            assert (await ask()).status_code == 200
    assert {one.status_code for one in crowd} == {503}
    assert {one.json()["code"] for one in crowd} == {"unavailable", "too_slow"}, "one waited, nobody else could"
    for one in crowd:
        assert int(one.headers["retry-after"]) > 0
        assert not any(leak in one.text for leak in ("pool", *LEAKS))


async def test_what_is_sent_never_comes_back_as_markup(house: House) -> None:
    answer: Any = await house.get("/points/<script>alert(1)<%2Fscript>", "root")
    assert answer.headers["content-type"] == "application/problem+json"


async def test_parameters_of_operations_that_have_none_are_refused(house: House) -> None:
    """`?confirm=true` in the address would otherwise be a confirmation that is silently lost."""
    body = {"taken_at": "2023-03-20T19:30:00+04:00", "values": {"1.8.0": "1"}}
    for answer in (
        await house.post("/points/flat-1/readings?confirm=true", "boris", body),
        await house.get("/points/flat-1/readings/latest", confirm="true"),
        await house.get("/points/flat-1", confirm="true"),
        await house.get("/points/flat-1/history", "egor", confirm="true"),
    ):
        assert answer.status_code == 422, answer.text
        [error] = answer.json()["errors"]
        assert (error["field"], error["value"], error["code"]) == ("confirm", "true", "unknown_field")
    assert (await house.get("/points/flat-1", "boris", **{"": ""})).status_code == 422
    assert (await house.client.get("/api/v1/points/flat-1?&", headers=bearer("boris"))).status_code == 200
    assert (await house.client.get("/api/v1/points/flat-1?x=1")).status_code == 401, "who asks comes first"
    assert (await house.get("/points/flat-1/readings", limit=1)).status_code == 200


async def test_the_remedy_of_a_time_is_one_that_is_taken(house: House, subtests: pytest.Subtests) -> None:
    """Where only an instant will do, nobody is told to write a date."""
    values = {"values": {"1.8.0": "1"}}
    for taken_at in ("2023-03-20", "2023-03-20T19:30:00", "20.03.2023 19:30", 1679329800):
        with subtests.test(taken_at=taken_at):
            answer = await house.post("/points/flat-1/readings", "boris", {"taken_at": taken_at, **values})
            [error] = answer.json()["errors"]
            assert "a time with its offset, 2026-03-01T00:00:00+04:00" in error["remedy"]
            assert "a date" not in error["remedy"]
    ranged = await house.get("/points/flat-1/consumption", **{"from": "2023-03-01T00:00", "to": "2023-03-02"})
    assert "write a date, 2026-03-01, or a time" in ranged.json()["errors"][0]["remedy"]
    old = await house.get("/points/flat-1/consumption", **{"from": "1900-01-01", "to": "2023-03-02"})
    assert "from 1970-01-01 to 2199-12-31" in old.json()["errors"][0]["remedy"]


RUSSIAN: list[tuple[dict[str, Any], str]] = [
    ({"values": {"1.8.0": "1,5"}}, "пишите цифрами, с точкой и без пробелов, например 1234.5"),
    ({"note": "x" * 501}, "не больше 500 знаков"),
    ({"note": "a\x00"}, "исправьте значение"),
    ({"values": {}}, "пришлите хотя бы одно значение"),
    ({"values": [1]}, "пришлите объект"),
    ({"taken_at": "2023-03-20"}, "пишите время со смещением: 2026-03-01T00:00:00+04:00; в адресе '+' пишется %2B"),
    ({"taken_at": "2022-12-30T12:00:00Z"}, "укажите время в пределах договора: с 2023-02-01T03:00:00+03:00"),
]


async def test_a_consumers_page_hears_one_language(house: House, subtests: pytest.Subtests) -> None:
    headers = {**bearer("boris"), "Accept-Language": "ru"}
    right = {"taken_at": "2023-03-20T19:30:00+04:00", "values": {"1.8.0": "1"}}
    for wrong, remedy in RUSSIAN:
        with subtests.test(wrong=str(wrong)[:40]):
            answer = await house.client.post("/api/v1/points/flat-1/readings", json={**right, **wrong}, headers=headers)
            [error] = answer.json()["errors"]
            assert error["remedy"] == remedy
            assert not re.search("[a-z]{3}", error["message"]), "no English in it"
    choice = await house.client.get(
        "/api/v1/points/flat-1/consumption?from=2023-03-01&to=2023-03-09&step=week", headers=headers
    )
    assert choice.json()["errors"][0]["remedy"] == "допустимы: half-hour, hour, day, month, year"


async def test_what_came_is_said_back_as_it_came(house: House) -> None:
    body = {"taken_at": "2022-12-30T15:00:00+03:00", "values": {"1.8.0": 1}, "confirm": {"ну": [True, None, 1]}}
    answer = await house.post("/points/flat-1/readings", "boris", body)
    assert answer.json()["errors"][0]["value"] == '{"ну": [true, null, 1]}'
    del body["confirm"]
    outside = await house.post("/points/flat-1/readings", "boris", body)
    assert outside.json()["errors"][0]["value"] == "2022-12-30T15:00:00+03:00"
