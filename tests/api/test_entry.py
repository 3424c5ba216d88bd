"""Readings typed in: all zones at once, exact numbers, doubts answered before they are stored."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from api.context import ApiSettings
from api.correction_schemas import CorrectionsPage
from api.entry_schemas import Submitted
from api.schemas import ReadingsPage
from api.service_schemas import ProblemOut
from ingest.consumption import Policy
from ingest.model import Source
from tests.api.conftest import START, House, bearer, daily

WHEN = "2023-01-20T12:00:00+04:00"


async def stored(house: House, point: str = "flat-2") -> list[tuple[str, str, str, str]]:
    """Everything stored at a point: channel, value, source, quality."""
    page = ReadingsPage.model_validate_json((await house.get(f"/points/{point}/readings", "root")).content)
    return [(item.channel, item.value, item.source, item.quality) for item in page.items]


def zones(first: Any, second: Any, **more: Any) -> dict[str, Any]:
    """A submission of both zones."""
    return {"taken_at": WHEN, "values": {"1.8.1": first, "1.8.2": second}, **more}


async def test_all_zones_go_in_one_request(house: House) -> None:
    answer = await house.post("/points/flat-2/readings", "vera", zones("123", "45.5", note="with a photo"))
    assert answer.status_code == 201, answer.text
    said = Submitted.model_validate_json(answer.content)
    assert (said.source, said.author, said.meter) == ("consumer", "vera", "M-2")
    assert [(v.channel, v.value, v.fate, v.quality) for v in said.values] == [
        ("1.8.1", "123", "stored", "good"),
        ("1.8.2", "45.5", "stored", "good"),
    ]
    assert await stored(house) == [("1.8.1", "123", "consumer", "good"), ("1.8.2", "45.5", "consumer", "good")]


@pytest.mark.parametrize("who", ["olga", "egor", "root"])
async def test_staff_enter_as_operators_with_their_name(house: House, who: str) -> None:
    answer = await house.post("/points/flat-2/readings", who, zones("1", "2"))
    said = Submitted.model_validate_json(answer.content)
    assert (answer.status_code, said.source, said.author) == (201, "operator", who)


async def test_the_same_again_changes_nothing(house: House) -> None:
    first = await house.post("/points/flat-2/readings", "vera", zones("123", "45"))
    again = await house.post("/points/flat-2/readings", "vera", zones("123.0", 45))
    assert (first.status_code, again.status_code) == (201, 200)
    assert [value["fate"] for value in again.json()["values"]] == ["repeated", "repeated"]
    assert len(await stored(house)) == 2


async def test_a_correction_supersedes(house: House) -> None:
    await house.post("/points/flat-2/readings", "vera", zones("123", "45"))
    answer = await house.post("/points/flat-2/readings", "vera", zones("124", "45"))
    assert answer.status_code == 201, answer.text
    assert [value["fate"] for value in answer.json()["values"]] == ["superseded", "repeated"]
    assert ("1.8.1", "124", "consumer", "good") in await stored(house)
    async with house.database.connection() as conn:
        rows = await (await conn.execute("SELECT value, author, superseded_by FROM superseded_reading")).fetchall()
    assert rows == [(123_000_000, "vera", "vera")]


async def test_a_doubtful_value_is_asked_about_then_taken(house: House) -> None:
    await house.store(*daily("M-2", "1.8.1", "1000", "1", 10), *daily("M-2", "1.8.2", "10", "1", 10))
    before = await stored(house)
    doubted = await house.post("/points/flat-2/readings", "vera", zones("500", "25"))
    assert doubted.status_code == 409
    problem = doubted.json()
    assert problem["code"] == "doubtful"
    [doubt] = problem["values"]
    assert (doubt["channel"], doubt["value"], doubt["unit"]) == ("1.8.1", "500", "kWh")
    assert {reason["code"] for reason in doubt["reasons"]} & {"below_previous", "disputed"}
    assert all(reason["text"] for reason in doubt["reasons"])
    assert doubt["previous"] == {"value": "1009", "taken_at": "2023-01-10T04:00:00+04:00", "source": "automatic"}
    assert await stored(house) == before, "nothing was stored, not even the good zone"
    confirmed = await house.post("/points/flat-2/readings", "vera", zones("500", "25", confirm=True))
    assert confirmed.status_code == 201
    by_channel = {value["channel"]: value for value in confirmed.json()["values"]}
    assert by_channel["1.8.1"]["quality"] == "suspect"
    assert by_channel["1.8.1"]["reasons"] == doubt["reasons"]
    assert by_channel["1.8.2"]["quality"] == "good"


async def test_what_was_imported_is_a_reading_before_too(house: House) -> None:
    """A cabinet that goes live begins with years from files: what is typed in first is held against them."""
    imported = [replace(one, source=Source.IMPORT) for one in daily("M-2", "1.8.1", "1000", "1", 10)]
    await house.store(*imported)
    for wrong, right in ((500, 1020), (90_000, 1021)):
        doubted = await house.post("/points/flat-2/readings", "vera", {"taken_at": WHEN, "values": {"1.8.1": wrong}})
        assert (doubted.status_code, doubted.json()["code"]) == (409, "doubtful")
        [doubt] = doubted.json()["values"]
        assert (doubt["reasons"][0]["code"], doubt["previous"]["source"]) == ("disputed", "import")
        taken = await house.post("/points/flat-2/readings", "vera", {"taken_at": WHEN, "values": {"1.8.1": right}})
        assert (taken.status_code, taken.json()["values"][0]["quality"]) == (201, "good")
        async with house.database.connection() as conn:
            await conn.execute("DELETE FROM stored_reading WHERE source = %s", (int(Source.CONSUMER),))


async def test_the_future_is_doubtful(house: House) -> None:
    answer = await house.post(
        "/points/flat-2/readings", "vera", {"taken_at": "2150-01-01T00:00:00Z", "values": {"1.8.1": 1}}
    )
    assert answer.status_code == 409
    [doubt] = answer.json()["values"]
    assert (doubt["reasons"][0]["code"], doubt["previous"]) == ("future_time", None)


async def test_a_doubt_tells_nothing_of_another_contract_or_meter(house: House) -> None:
    """The reading before is one that the consumer may see, of the meter that stands there."""
    await house.store(*daily("M-2", "1.8.1", "1000", "1", 7))  # Vera's contracts: until the 5th, and from the 9th on
    at = {"taken_at": (START + timedelta(days=8, hours=1)).isoformat()}
    doubted = await house.post("/points/flat-2/readings", "vera", {**at, "values": {"1.8.1": 500}})
    [doubt] = doubted.json()["values"]
    assert doubt["previous"] == {"value": "1003", "taken_at": "2023-01-04T04:00:00+04:00", "source": "automatic"}
    await house.store(*daily("M-1", "1.8.0", "900", "1", 40))
    at = {"taken_at": "2150-01-01T00:00:00Z"}
    exchanged = await house.post("/points/flat-1/readings", "boris", {**at, "values": {"1.8.0": 5}})
    assert exchanged.json()["values"][0]["previous"] is None


async def test_doubts_are_told_in_russian_too(house: House) -> None:
    body = {"taken_at": "2150-01-01T00:00:00Z", "values": {"1.8.1": 1}}
    headers = {**bearer("vera"), "Accept-Language": "ru-RU, en;q=0.5"}
    answer = await house.client.post("/api/v1/points/flat-2/readings", json=body, headers=headers)
    assert answer.headers["content-language"] == "ru"
    assert answer.json()["title"] == "Показание вызывает сомнение"
    assert answer.json()["values"][0]["reasons"][0] == {"code": "future_time", "text": "снято в будущем"}


async def test_json_numbers_are_read_exactly(house: House) -> None:
    async with house.database.connection() as conn:
        await conn.execute("UPDATE register SET digits = 12, decimals = 6")
    body = b'{"taken_at": "2023-01-20T12:00:00Z", "values": {"1.8.1": 123456789012.345678, "1.8.2": 0.1}}'
    answer = await house.post("/points/flat-2/readings", "vera", body)
    assert answer.status_code == 201, answer.text
    assert [row[1] for row in await stored(house)] == ["123456789012.345678", "0.1"]


NOT_ON_A_DISPLAY = [
    ("NaN", "not_a_number", "NaN"),
    ('"NaN"', "not_a_number", "NaN"),
    ("Infinity", "not_a_number", "Infinity"),
    ("-Infinity", "not_a_number", "-Infinity"),
    ('"1e400"', "not_a_number", "1e400"),
    ("1e400", "too_many_digits", "1E+400"),
    ("1e-400", "too_many_decimals", "1E-400"),
    ('"-1"', "negative", "-1"),
    ("-1", "negative", "-1"),
    ("-0.0", "negative", "-0.0"),
    ("true", "not_a_number", "true"),
    ("null", "not_a_number", None),
    ("[1]", "not_a_number", "[1]"),
    ('""', "not_a_number", ""),
    ('" 1"', "not_a_number", " 1"),
    ('"1,5"', "not_a_number", "1,5"),
    ('"1_000"', "not_a_number", "1_000"),
    ('"٣"', "not_a_number", "٣"),
    ('"0x10"', "not_a_number", "0x10"),
    ('"123456"', "too_many_digits", "123456"),
    ("123456", "too_many_digits", "123456"),
    ('"99999999999999999999999999"', "too_many_digits", "99999999999999999999999999"),
    ('"1.23"', "too_many_decimals", "1.23"),
]


async def test_what_no_display_shows_is_refused(house: House, subtests: pytest.Subtests) -> None:
    for value, code, echoed in NOT_ON_A_DISPLAY:
        with subtests.test(value=value, code=code, echoed=echoed):
            body = f'{{"taken_at": "{WHEN}", "values": {{"1.8.1": {value}}}}}'.encode()
            answer = await house.post("/points/flat-2/readings", "vera", body)
            assert answer.status_code == 422, answer.text
            [error] = answer.json()["errors"]
            assert (error["field"], error["value"], error["code"]) == ("values.1.8.1", echoed, code)
            assert error["remedy"]
            assert await stored(house) == []


WRONG_BODIES = [
    ({"values": {"1.8.1": 1}}, "taken_at", "missing"),
    ({"taken_at": WHEN}, "values", "missing"),
    ({"taken_at": WHEN, "values": {}}, "values", "empty"),
    ({"taken_at": WHEN, "values": [1]}, "values", "wrong_type"),
    ({"taken_at": "2023-01-20T12:00:00", "values": {"1.8.1": 1}}, "taken_at", "naive_time"),
    ({"taken_at": "2023-01-20", "values": {"1.8.1": 1}}, "taken_at", "naive_time"),
    ({"taken_at": 1768896000, "values": {"1.8.1": 1}}, "taken_at", "not_a_time"),
    ({"taken_at": None, "values": {"1.8.1": 1}}, "taken_at", "not_a_time"),
    ({"taken_at": WHEN, "values": {"1.8.3": 1}}, "values.1.8.3", "unknown_channel"),
    ({"taken_at": WHEN, "values": {"32.7.0": 1}}, "values.32.7.0", "not_a_counter"),
    ({"taken_at": WHEN, "values": {"day": 1}}, "values.day", "not_a_channel"),
    ({"taken_at": WHEN, "values": {f"1.8.{n}": 1 for n in range(33)}}, "values", "too_long"),
    ({"taken_at": WHEN, "values": {f"1.8.{n}": 1 for n in range(3000)}}, "values", "too_long"),
    ({"taken_at": WHEN, "values": {"1.8.1": 1}, "confirm": "yes"}, "confirm", "wrong_type"),
    ({"taken_at": WHEN, "values": {"1.8.1": 1}, "confirm": 1}, "confirm", "wrong_type"),
    ({"taken_at": WHEN, "values": {"1.8.1": 1}, "note": "x" * 501}, "note", "too_long"),
    ({"taken_at": WHEN, "values": {"1.8.1": 1}, "note": "a\u0000b"}, "note", "invalid_value"),
    ({"taken_at": WHEN, "values": {"1.8.1": 1}, "source": "automatic"}, "source", "unknown_field"),
    ([], "body", "wrong_type"),
    ("text", "body", "wrong_type"),
]


async def test_wrong_bodies_are_named_by_field(house: House, subtests: pytest.Subtests) -> None:
    for body, field, code in WRONG_BODIES:
        with subtests.test(body=str(body)[:60], field=field, code=code):
            answer = await house.post("/points/flat-2/readings", "vera", body)
            assert answer.status_code == 422, answer.text
            errors = answer.json()["errors"]
            assert (errors[0]["field"], errors[0]["code"]) == (field, code)
            assert ProblemOut.model_validate_json(answer.content).code == "invalid_request"
            assert await stored(house) == []


BROKEN_JSON = [
    b"",
    b"{",
    b"\xff\xfe{}",
    b'{"taken_at": ' + b"[" * 20_000,
    b'{"values": {"1.8.1": ' + b"9" * 5000 + b"}}",
    b'{"values": {"1.8.1": 1e99999999999999999999}}',
    b'{"a": 1,}',
    b"{'a': 1}",
]


async def test_broken_json_is_an_error_of_the_client(house: House, subtests: pytest.Subtests) -> None:
    for body in BROKEN_JSON:
        with subtests.test(body=str(body)[:60]):
            answer = await house.post("/points/flat-2/readings", "vera", body)
            assert answer.status_code in (400, 422), answer.text
            assert answer.json()["code"] in ("malformed_json", "invalid_request")


async def test_a_channel_written_twice_is_refused(house: House) -> None:
    body = f'{{"taken_at": "{WHEN}", "values": {{"1.8.1": 1, "1.8.1": 2}}}}'.encode()
    answer = await house.post("/points/flat-2/readings", "vera", body)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["code"] == "repeated_key"


async def test_a_body_beyond_the_limit_is_not_read(house: House) -> None:
    answer = await house.post("/points/flat-2/readings", "vera", b"[" + b"1," * 200_000 + b"1]")
    assert answer.status_code == 413
    assert answer.json()["code"] == "too_large"
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", None])
async def test_other_media_types_are_refused(house: House, media_type: str | None) -> None:
    headers = {**bearer("vera"), **({"Content-Type": media_type} if media_type else {})}
    body = json.dumps(zones("1", "2")).encode()
    answer = await house.client.post("/api/v1/points/flat-2/readings", content=body, headers=headers)
    assert answer.status_code == 422
    [error] = answer.json()["errors"]
    assert (error["field"], error["value"], error["code"]) == ("Content-Type", media_type, "not_json_type")
    assert "application/json" in error["remedy"]
    assert await stored(house) == []


async def test_other_peoples_points_cannot_be_written_to(house: House) -> None:
    answer = await house.post("/points/flat-2/readings", "boris", zones("1", "2"))
    assert (answer.status_code, answer.json()["code"]) == (404, "point_not_found")
    assert await stored(house) == []


async def test_only_the_time_of_the_contract_can_be_entered(house: House) -> None:
    body = {"taken_at": (START + timedelta(days=6)).isoformat(), "values": {"1.8.1": 1}}
    answer = await house.post("/points/flat-2/readings", "vera", body)
    assert answer.status_code == 422
    [error] = answer.json()["errors"]
    assert (error["field"], error["code"]) == ("taken_at", "outside_contract")
    assert "2023-01-09" in error["remedy"]
    assert (await house.post("/points/flat-2/readings", "olga", body)).status_code == 201


async def test_a_point_without_a_meter_takes_nothing(house: House) -> None:
    for point, taken_at in (("empty", WHEN), ("flat-1", "2022-12-31T12:00:00Z")):
        answer = await house.post(f"/points/{point}/readings", "olga", {"taken_at": taken_at, "values": {"1.8.1": 1}})
        assert (answer.status_code, answer.json()["code"]) == (409, "no_meter")


async def test_the_meter_of_that_time_gets_the_reading(house: House) -> None:
    for taken_at, meter in (("2023-02-10T00:00:00Z", "M-1"), ("2023-03-10T00:00:00Z", "M-1-NEW")):
        answer = await house.post("/points/flat-1/readings", "olga", {"taken_at": taken_at, "values": {"1.8.0": "50"}})
        assert answer.json()["meter"] == meter


async def test_whole_numbers_of_people_do_not_contradict_the_meters_decimals(house: House) -> None:
    await house.store(*daily("M-2", "1.8.1", "1000.9", "0.1", 20))  # 1002.7 on the 19th day
    answer = await house.post(
        "/points/flat-2/readings", "vera", {"taken_at": "2023-01-19T12:00:00Z", "values": {"1.8.1": 1002}}
    )
    assert answer.status_code == 201, answer.text
    assert answer.json()["values"][0]["quality"] == "good"
    lower = await house.post(
        "/points/flat-2/readings", "vera", {"taken_at": "2023-01-19T13:00:00Z", "values": {"1.8.1": 1001}}
    )
    assert lower.status_code == 409, "a whole one less is no rounding"


async def test_zones_that_were_not_sent_are_named(house: House) -> None:
    partly = await house.post("/points/flat-2/readings", "vera", {"taken_at": WHEN, "values": {"1.8.1": 1}})
    assert partly.json()["missing"] == ["1.8.2"]
    assert (await house.post("/points/flat-2/readings", "vera", zones(1, 2))).json()["missing"] == []


async def test_what_was_corrected_stays_visible_with_its_author_and_time(house: House) -> None:
    await house.post("/points/flat-2/readings", "vera", zones("123", "45", note="typed in the dark"))
    await house.post("/points/flat-2/readings", "vera", zones("124", "45"))
    await house.post("/points/flat-2/readings", "olga", zones("125", "45", note="звонила Вера"))
    await house.post("/points/flat-2/readings", "egor", zones("126", "45", confirm=True))
    first = CorrectionsPage.model_validate_json(
        (await house.get("/points/flat-2/readings/corrections", "vera", limit=1)).content
    )
    rest = CorrectionsPage.model_validate_json(
        (await house.get("/points/flat-2/readings/corrections", "vera", cursor=first.next)).content
    )
    assert [
        (one.channel, one.value, one.source, one.author, one.note, one.corrected_by)
        for one in (*first.items, *rest.items)
    ] == [
        ("1.8.1", "125", "operator", None, None, None),
        ("1.8.1", "123", "consumer", "vera", "typed in the dark", "vera"),
    ]
    staff = (await house.get("/points/flat-2/readings/corrections", "root")).json()["items"]
    assert (staff[0]["author"], staff[0]["note"], staff[0]["corrected_by"]) == ("olga", "звонила Вера", "egor")
    assert (await house.get("/points/flat-2/readings/corrections", "boris")).status_code == 404


class TestPeopleFirst:
    """A deployment that believes people more than meters."""

    @pytest.fixture
    def settings(self, settings: ApiSettings) -> ApiSettings:
        order = ((Source.OPERATOR, Source.CONSUMER), (Source.AUTOMATIC,))
        return replace(settings, policy=Policy(order=order))

    async def test_the_order_of_sources_decides_what_counts(self, house: House) -> None:
        await house.store(*daily("M-2", "1.8.1", "1000", "1", 20))
        at = (START + timedelta(days=18, hours=12)).isoformat()
        assert (
            await house.post("/points/flat-2/readings", "vera", {"taken_at": at, "values": {"1.8.1": "1018.4"}})
        ).is_success
        [counted] = (await house.get("/points/flat-2/readings/latest", "vera")).json()["items"]
        assert (counted["source"], counted["value"]) == ("consumer", "1018.4")
        assert [(other["source"], other["value"]) for other in counted["beside"]] == [("automatic", "1019")]
