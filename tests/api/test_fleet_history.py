"""Exchanges, ratios and test reads over HTTP."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from storage import requests
from storage.request_states import finish, take
from tests.api.conftest import House, bearer, daily

AT = "2023-06-01T12:00:00+03:00"
EXCHANGE = {
    "at": AT,
    "meter": "M-NEW",
    "model": "sdm630",
    "closing": {"1.8.0": "1900.5", "3.8.0": "0"},
    "opening": {"1.8.0": "0.02", "3.8.0": "0"},
}


async def test_a_meter_is_exchanged_and_amounts_go_on(house: House) -> None:
    await house.store(*daily("M-1-NEW", "1.8.0", "1000", "10", 90, datetime(2023, 3, 1, tzinfo=UTC)))
    answer = await house.post("/points/flat-1/exchange", "egor", EXCHANGE)
    assert answer.status_code == 201, answer.text
    said = answer.json()
    assert (said["ended"]["meter"], said["ended"]["until"], said["ended"]["closing"]["1.8.0"]) == (
        "M-1-NEW",
        AT,
        "1900.5",
    )
    assert (said["begun"]["meter"], said["begun"]["since"], said["begun"]["opening"]["1.8.0"]) == ("M-NEW", AT, "0.02")
    await house.store(*daily("M-NEW", "1.8.0", "10.02", "10", 2, datetime(2023, 6, 2, 9, tzinfo=UTC)))
    amounts = (
        await house.get(
            "/points/flat-1/consumption", "boris", **{"from": AT, "to": "2023-06-02T12:00:00+03:00", "step": "day"}
        )
    ).json()
    assert amounts["total"]["amount"] == "10"
    async with house.database.connection() as conn:
        [[detail]] = await (await conn.execute("SELECT detail FROM event WHERE kind = 'exchange'")).fetchall()
        acts = await (await conn.execute("SELECT operation, point, status FROM audit WHERE actor = 'egor'")).fetchall()
    assert detail["author"] == "egor"
    assert acts == [("exchangeMeter", "flat-1", 201)]


async def test_a_retried_exchange_is_answered_not_done_again(house: House) -> None:
    headers = {**bearer("egor"), "Idempotency-Key": "4711"}
    first, second = [
        await house.client.post("/api/v1/points/flat-1/exchange", json=EXCHANGE, headers=headers) for _ in range(2)
    ]
    assert (first.status_code, second.status_code, second.headers["idempotency-replayed"]) == (201, 201, "true")
    assert first.json() == second.json()


@pytest.mark.parametrize(
    ("change", "status", "code", "said"),
    [
        ({"closing": {}}, 422, "invalid_request", "closing of meter M-1-NEW lacks 1.8.0"),
        ({"closing": {"1.8.0": "5", "9.8.0": "1"}}, 422, "invalid_request", "has no such register"),
        ({"meter": "M-2", "model": None, "opening": {}}, 409, "conflict", "meter M-2 is stored at point flat-2"),
        ({"meter": "M-1-NEW"}, 422, "invalid_request", "stands at flat-1 already"),
        ({"model": "nothing"}, 422, "invalid_request", "not in the catalogue; known are sdm630"),
        ({"at": "2023-02-01"}, 409, "conflict", "is not after meter M-1-NEW was put up"),
        ({"at": "2190-01-01"}, 422, "invalid_request", "is in the future"),
        ({"at": "2023-03-05", "closing": {"1.8.0": "1025"}}, 409, "conflict", "is below the automatic reading"),
        ({"closing": {"1.8.0": "-1"}}, 422, "invalid_request", "less than zero"),
        ({"ct": "0"}, 422, "invalid_request", "ct"),
    ],
)
async def test_an_exchange_that_cannot_be_is_refused_by_name(
    house: House, change: dict[str, Any], status: int, code: str, said: str
) -> None:
    await house.store(*daily("M-1-NEW", "1.8.0", "1000", "10", 30, datetime(2023, 3, 1, tzinfo=UTC)))
    wanted = {**EXCHANGE, **change}
    answer = await house.post("/points/flat-1/exchange", "egor", {k: v for k, v in wanted.items() if v is not None})
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert said in answer.json()["detail"]
    assert len((await house.get("/points/flat-1/history", "egor")).json()["installations"]) == 2


async def test_ratios_change_and_amounts_with_them(house: House) -> None:
    await house.store(*daily("M-3", "1.8.1", "100", "1", 10), *daily("M-3", "1.8.2", "50", "1", 10))
    wanted = {"at": "2023-01-05T03:00:00+03:00", "ct": 40, "readings": {"1.8.1": "104", "1.8.2": "54"}}
    answer = await house.post("/points/flat-3/ratio", "root", wanted)
    assert answer.status_code == 201, answer.text
    assert (answer.json()["ended"]["ratio"], answer.json()["begun"]["ratio"]) == ("20", "40")
    span = {"from": "2023-01-01T03:00:00+03:00", "to": "2023-01-09T03:00:00+03:00", "step": "day"}
    assert (await house.get("/points/flat-3/consumption", "root", **span)).json()["total"]["amount"] == str(
        (4 * 20 + 4 * 40) * 2
    )
    same = await house.post("/points/flat-3/ratio", "root", {**wanted, "at": "2023-01-06"})
    assert (same.status_code, "already" in same.json()["detail"]) == (422, True)
    nowhere = await house.post("/points/nowhere/ratio", "root", wanted)
    assert (nowhere.status_code, nowhere.json()["code"]) == (404, "point_not_found")


async def test_a_test_read_waits_for_the_collector_of_its_line(house: House) -> None:
    asked = await house.post("/meters/M-1-NEW/test-reads", "egor", {})
    assert (asked.status_code, asked.json()["state"], asked.json()["line"]) == (202, "queued", "bus")
    path = f"/meters/M-1-NEW/test-reads/{asked.json()['id']}"
    assert (await house.post("/meters/M-1-NEW/test-reads", "egor", {})).json()["id"] == asked.json()["id"]
    at = datetime(2024, 1, 1, tzinfo=UTC)
    await house.store(*daily("M-1-NEW", "1.8.0", "1234.5", "0", 1, at))
    async with house.database.connection() as conn:
        [taken] = await take(conn, ["bus"], "collector-1")
        await finish(conn, [taken.id], read_at=at)
    done = (await house.get(path, "egor")).json()
    assert (done["state"], done["values"]) == ("done", [{"channel": "1.8.0", "value": "1234.5", "unit": "kWh"}])
    manual = await house.post("/meters/M-2/test-reads", "egor", {})
    assert (manual.json()["state"], "on no line" in manual.json()["detail"]) == ("manual", True)
    for missing in ("/meters/M-2/test-reads/" + str(done["id"]), "/meters/M-2/test-reads/999999"):
        assert (await house.get(missing, "egor")).status_code == 404
    nobody = await house.post("/meters/nobody/test-reads", "egor", {})
    assert (nobody.status_code, nobody.json()["code"]) == (404, "no_such_thing")
    async with house.database.connection() as conn:
        assert len(await requests.find(conn, asked_by="egor")) == 2
