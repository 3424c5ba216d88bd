"""Which points a token sees, in lists and one by one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from api.schemas import PointCard, PointsPage
from ingest.delivery import Contact
from tests.api.conftest import House


async def test_a_consumer_lists_the_points_of_their_contracts_only(house: House) -> None:
    answer = await house.get("/points", "boris")
    assert answer.status_code == 200
    page = PointsPage.model_validate_json(answer.content)
    assert [(item.code, item.meter) for item in page.items] == [("empty", None), ("flat-1", "M-1-NEW")]
    assert page.next is None
    assert page.items[0].contact is None
    assert page.items[1].contact is not None
    assert page.items[1].contact.state == "waiting"


async def test_staff_list_everything_in_pages(house: House) -> None:
    codes: list[str] = []
    cursor = None
    for _ in range(4):
        parameters = {"limit": 3} | ({"cursor": cursor} if cursor else {})
        page = PointsPage.model_validate_json((await house.get("/points", "olga", **parameters)).content)
        codes += [item.code for item in page.items]
        cursor = page.next
        if cursor is None:
            break
    assert codes == ["empty", "flat-1", "flat-2", "flat-3"]


async def test_a_contract_that_is_over_shows_the_meter_of_its_time(house: House) -> None:
    page = PointsPage.model_validate_json((await house.get("/points", "anna")).content)
    assert [item.meter for item in page.items] == ["M-1"]
    card = PointCard.model_validate_json((await house.get("/points/flat-1", "anna")).content)
    assert card.installation is not None
    assert card.installation.meter == "M-1"
    assert card.installation.until is None, "the exchange came after their time and is not theirs to know"
    assert card.contact is None


async def test_a_card_shows_the_meter_its_channels_and_its_ratio(house: House) -> None:
    answer = await house.get("/points/flat-3", "egor")
    card = PointCard.model_validate_json(answer.content)
    assert card.visible is None
    assert card.installation is not None
    assert (card.installation.meter, card.installation.ratio, card.installation.ct) == ("M-3", "20", "20")
    assert [(c.channel, c.unit, c.digits, c.decimals) for c in card.installation.channels] == [
        ("1.8.1", "kWh", 5, 1),
        ("1.8.2", "kWh", 5, 1),
    ]
    assert answer.json()["installation"]["since"] == "2023-01-01T03:00:00+03:00"


async def test_a_point_without_a_meter_says_so(house: House) -> None:
    card = PointCard.model_validate_json((await house.get("/points/empty", "boris")).content)
    assert card.installation is None
    assert card.contact is None


async def test_silence_says_since_when_and_why(house: House) -> None:
    answered = datetime(2023, 5, 1, 12, tzinfo=UTC)
    tried = answered + timedelta(hours=1)
    await house.store(contacts=[Contact("M-1-NEW", answered), Contact("M-1-NEW", tried, "timeout", "bus 2: 1 s")])
    card = PointCard.model_validate_json((await house.get("/points/flat-1", "boris")).content)
    assert card.contact is not None
    assert (card.contact.state, card.contact.failure, card.contact.failed_turns) == ("silent", "timeout", 1)
    assert card.contact.answered_at == answered
    assert card.contact.tried_at == tried
    assert card.contact.detail is None, "wires are the staff's business"
    seen_by_staff = PointCard.model_validate_json((await house.get("/points/flat-1", "egor")).content)
    assert seen_by_staff.contact is not None
    assert seen_by_staff.contact.detail == "bus 2: 1 s"


async def test_other_peoples_points_do_not_exist(house: House) -> None:
    for who, code in (("anna", "flat-2"), ("stranger", "flat-1"), ("future", "flat-2"), ("root", "nowhere")):
        answer = await house.get(f"/points/{code}", who)
        assert answer.status_code == 404
        problem = answer.json()
        assert problem["code"] == "point_not_found"
    existing = (await house.get("/points/flat-2", "anna")).json()
    invented = (await house.get("/points/flat-9", "anna")).json()
    assert {**existing, "detail": ""} == {**invented, "detail": ""}


async def test_tricks_in_the_code_of_a_point_find_nothing(house: House) -> None:
    for code in ("%00", "'%20OR%201=1--", "..%2f..%2fetc", "%ff%fe", "x" * 300, "%F0%9F%98%80", "%0a"):
        answer = await house.get(f"/points/{code}", "root")
        assert answer.status_code == 404, code
        assert answer.headers["content-type"] == "application/problem+json"


async def test_a_cursor_that_is_not_ours_is_named(house: House) -> None:
    for cursor in ("", "???", "AAAA", "zz", "%00", "💡"):
        answer = await house.get("/points", "root", cursor=cursor)
        assert answer.status_code == 422, cursor
        [error] = answer.json()["errors"]
        assert (error["field"], error["code"]) == ("cursor", "bad_cursor")


async def test_limits_are_whole_numbers_within_bounds(house: House) -> None:
    for limit in ("0", "-1", "5001", "1e3", "ten", "1.5", "9" * 40, "٣", ""):
        answer = await house.get("/points", "root", limit=limit)
        assert answer.status_code == 422, limit
        [error] = answer.json()["errors"]
        assert (error["field"], error["value"], error["code"]) == ("limit", limit, "out_of_range")


async def test_an_unknown_parameter_is_not_ignored(house: House) -> None:
    answer = await house.get("/points", "root", limitt=3)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "limitt"
