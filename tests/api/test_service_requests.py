"""Service requests: submitted once, moved on by staff alone, and a finished replacement is an exchange of meters."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import httpx

from api.service_request_schemas import ServiceRequestOut, ServiceRequestsPage
from tests.api.conftest import House, bearer, daily
from tests.api.test_audit import acts
from tests.api.test_reading_requests import following

AT = "2023-02-20T12:00:00+03:00"
EXCHANGE = {
    "at": AT,
    "meter": "M-9",
    "closing": {"1.8.1": "500", "1.8.2": "300"},
    "opening": {"1.8.1": "1", "1.8.2": "2"},
}


async def submit(house: House, who: str = "vera", kind: str = "replacement", **more: Any) -> httpx.Response:
    return await house.post("/points/flat-2/service-requests", who, {"kind": kind, **more})


async def move(house: House, number: int, who: str, to: str, **more: Any) -> httpx.Response:
    return await house.post(f"/service-requests/{number}/state", who, {"to": to, **more})


async def test_a_request_is_submitted_once_and_seen_by_its_consumer(house: House) -> None:
    first = await submit(house, note="экран погас")
    assert first.status_code == 201, first.text
    request = ServiceRequestOut.model_validate_json(first.content)
    assert (request.state, request.note, request.consumer, request.opened_by) == (
        "submitted",
        "экран погас",
        "vera",
        None,
    )
    again = await submit(house, note="ещё раз")
    assert (again.status_code, again.json()) == (200, first.json())
    other = await submit(house, kind="maintenance")
    assert other.status_code == 201
    page = ServiceRequestsPage.model_validate_json((await house.get("/service-requests", "vera", limit=1)).content)
    rest = ServiceRequestsPage.model_validate_json(
        (await house.get("/service-requests", "vera", limit=1, cursor=page.next)).content
    )
    assert [one.number for one in (*page.items, *rest.items)] == [other.json()["number"], request.number]
    assert rest.next is None
    headers = {**bearer("vera"), "Accept-Language": "ru"}
    russian = (await house.client.get(f"/api/v1/service-requests/{request.number}", headers=headers)).json()
    assert (russian["kind_text"], russian["text"]) == ("замена прибора учёта", "подана")


async def test_two_at_the_same_moment_are_one(house: House) -> None:
    answers = await asyncio.gather(*(submit(house) for _ in range(6)))
    assert sorted(answer.status_code for answer in answers) == [200] * 5 + [201]
    assert len({answer.json()["number"] for answer in answers}) == 1


async def test_it_is_nobody_elses(house: House) -> None:
    number = (await submit(house)).json()["number"]
    assert (await house.get(f"/service-requests/{number}", "boris")).status_code == 404
    assert (await house.get("/service-requests", "boris")).json()["items"] == []
    assert (await house.get("/service-requests", "boris", point="flat-2")).status_code == 404
    assert (await submit(house, "boris")).status_code == 404
    over = await house.post("/points/flat-1/service-requests", "anna", {"kind": "admission"})
    assert (over.status_code, over.json()["code"]) == (409, "contract_over")
    assert (await submit(house, kind="heating")).status_code == 422
    assert (await move(house, number, "vera", "done")).status_code == 403
    assert (await house.get(f"/service-requests/{number}", "olga")).json()["opened_by"] == "vera"
    assert ("getServiceRequest", "flat-2", 200) in [(a.operation, a.point, a.status) for a in await acts(house, "olga")]


async def test_operators_write_for_a_consumer_of_the_point(house: House) -> None:
    stranger = await submit(house, "olga", consumer="boris")
    assert (stranger.status_code, stranger.json()["errors"][0]["code"]) == (422, "no_contract")
    asked = await submit(house, "olga", consumer="vera")
    assert (asked.status_code, asked.json()["opened_by"]) == (201, "olga")
    assert (await house.get(f"/service-requests/{asked.json()['number']}", "vera")).json()["consumer"] == "vera"
    own = await submit(house, "olga")
    assert (own.status_code, own.json()["consumer"]) == (201, None)
    assert (await submit(house, "vera", consumer="olga")).status_code == 422


async def test_it_moves_forward_only_and_a_refusal_says_why(house: House) -> None:
    number = (await submit(house, kind="admission")).json()["number"]
    assert (await move(house, number, "olga", "refused")).json()["errors"][0]["code"] == "reason_of_refusal"
    assert (await move(house, number, "olga", "in_progress", reason="x")).status_code == 422
    assert (await move(house, number, "olga", "done", exchange=EXCHANGE)).status_code == 422
    started = await move(house, number, "olga", "in_progress")
    assert (started.status_code, started.json()["moved_by"]) == (200, "olga")
    assert started.json()["started_at"]
    again = await move(house, number, "olga", "in_progress")
    assert (again.status_code, again.json()["code"]) == (409, "wrong_state")
    refused = await move(house, number, "olga", "refused", reason="прибор не наш")
    assert refused.status_code == 200, refused.text
    shown = (await house.get(f"/service-requests/{number}", "vera")).json()
    assert (shown["state"], shown["reason"], shown["moved_by"]) == ("refused", "прибор не наш", None)
    assert shown["finished_at"]
    assert (await move(house, number, "root", "done")).json()["code"] == "wrong_state"
    assert (await submit(house, kind="admission")).status_code == 201, "a refused one is no longer open"


async def standing(house: House) -> tuple[Any, Any]:
    card = (await house.get("/points/flat-2", "root")).json()
    return card["installation"]["meter"], card["installation"]["since"]


async def test_a_finished_replacement_is_an_exchange_and_both_happen_or_neither(house: House) -> None:
    await house.store(*daily("M-2", "1.8.1", "400", "1", 30), *daily("M-2", "1.8.2", "200", "1", 30))
    async with house.database.connection() as conn:
        await conn.execute("INSERT INTO meter (serial, model) VALUES ('M-9', 'two-zone')")
        await conn.execute(
            "INSERT INTO register (meter_id, channel, digits, decimals) "
            "SELECT id, channel, 5, 1 FROM meter, unnest(ARRAY['1.8.1', '1.8.2']) AS channel WHERE serial = 'M-9'"
        )
    number = (await submit(house)).json()["number"]
    assert (await move(house, number, "egor", "done")).json()["errors"][0]["code"] == "exchange_of_replacement"
    assert (await move(house, number, "olga", "done", exchange=EXCHANGE)).json()["code"] == "forbidden"
    unknown = {**EXCHANGE, "model": "nothing"}
    assert (await move(house, number, "egor", "done", exchange=unknown)).status_code == 422
    falling = {**EXCHANGE, "closing": {"1.8.1": "100", "1.8.2": "300"}}
    contradicted = await move(house, number, "egor", "done", exchange=falling)
    assert (contradicted.status_code, contradicted.json()["code"]) == (409, "conflict"), contradicted.text
    lacking = await move(house, number, "egor", "done", exchange={**EXCHANGE, "closing": {"1.8.1": "500"}})
    assert (lacking.status_code, lacking.json()["code"]) == (422, "invalid_request")
    assert (await house.get(f"/service-requests/{number}", "vera")).json()["state"] == "submitted"
    assert (await standing(house))[0] == "M-2"
    done = await move(house, number, "egor", "done", exchange=EXCHANGE)
    assert (done.status_code, done.json()["state"]) == (200, "done"), done.text
    assert await standing(house) == ("M-9", "2023-02-20T13:00:00+04:00")
    amounts = (
        await house.get(
            "/points/flat-2/consumption", "root", **{"from": "2023-01-01", "to": "2023-03-01", "channel": "1.8.1"}
        )
    ).json()
    assert amounts["total"]["amount"] is not None
    assert Decimal(amounts["total"]["amount"]) >= 29


async def test_its_states_are_events_of_the_cabinet(house: House) -> None:
    async with following(house, "/cabinet/events/stream", "vera") as events:
        await anext(events)
        number = (await submit(house, kind="maintenance")).json()["number"]
        await move(house, number, "olga", "refused", reason="не наш прибор")
        told = [(await anext(events))["data"] for _ in range(2)]
    assert [(one["kind"], one["number"], one["state"]) for one in told] == [
        ("service_request", number, "submitted"),
        ("service_request", number, "refused"),
    ]
    assert (told[1]["reason"], told[1]["failure"], told[1]["final"]) == ("не наш прибор", None, True)
    listed = (await house.get("/cabinet/events", "vera", kind="service_request")).json()["items"]
    assert listed == told[::-1]


async def test_a_retry_under_its_key_is_answered_and_not_done_again(house: House) -> None:
    number = (await submit(house, kind="maintenance")).json()["number"]
    headers = {**bearer("olga"), "Idempotency-Key": "k-1"}
    path = f"/api/v1/service-requests/{number}/state"
    answers = [await house.client.post(path, json={"to": "in_progress"}, headers=headers) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[1].headers["idempotency-replayed"] == "true"
