"""Pages of history and the last readings that count."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from api.schemas import LatestReadings, ReadingsPage
from ingest.model import Reading, Source
from tests.api.conftest import START, House, bearer, daily, typed


def page_of(answer: Any) -> ReadingsPage:
    """The answer, held to its declared shape."""
    assert answer.status_code == 200, answer.text
    return ReadingsPage.model_validate_json(answer.content)


async def walk(house: House, path: str, who: str, **parameters: Any) -> list[tuple[datetime, str, str]]:
    """All pages from the first to the last: instant, channel, value."""
    found = []
    cursor: str | None = None
    for _ in range(100):
        page = page_of(await house.get(path, who, **parameters, **({"cursor": cursor} if cursor else {})))
        found += [(item.taken_at, item.channel, item.value) for item in page.items]
        cursor = page.next
        if cursor is None:
            return found
    raise AssertionError("pages without an end")


async def test_values_come_back_as_they_were(house: House) -> None:
    await house.store(Reading("M-2", "1.8.1", START, Decimal("123.4")))
    page = page_of(await house.get("/points/flat-2/readings", "olga"))
    [item] = page.items
    assert (item.value, item.unit, item.source, item.quality, item.reasons) == ("123.4", "kWh", "automatic", "good", [])
    assert item.taken_at == START
    assert page.as_of is not None
    assert (page.as_of.taken_at, page.as_of.source) == (START, "automatic")
    assert (page.since, page.until) != (None, None)


async def test_instants_carry_the_offset_of_the_point(house: House) -> None:
    await house.store(Reading("M-2", "1.8.1", START, Decimal(1)))
    body = (await house.get("/points/flat-2/readings", "olga")).json()
    assert body["items"][0]["taken_at"] == "2023-01-01T04:00:00+04:00"
    assert body["zone"] == "Europe/Samara"


async def test_pages_add_up_to_the_whole(house: House) -> None:
    readings = daily("M-2", "1.8.1", "10", "1", 10) + daily("M-2", "1.8.2", "5", "0.5", 10)
    await house.store(*readings)
    whole = await walk(house, "/points/flat-2/readings", "olga")
    assert len(whole) == 20
    for limit in (1, 3, 7, 19, 20):
        assert await walk(house, "/points/flat-2/readings", "olga", limit=limit) == whole
    assert whole == sorted(whole)


async def test_a_channel_is_picked(house: House) -> None:
    await house.store(*daily("M-2", "1.8.1", "10", "1", 3), *daily("M-2", "1.8.2", "5", "1", 3))
    page = page_of(await house.get("/points/flat-2/readings", "olga", channel="1.8.2"))
    assert {item.channel for item in page.items} == {"1.8.2"}
    assert page.channel == "1.8.2"


async def test_dates_begin_in_the_zone_of_the_point(house: House) -> None:
    midnight = datetime(2023, 1, 9, 20, tzinfo=UTC)  # 00:00 of the 10th in Samara
    for shift in (-1, 0, 1):
        await house.store(Reading("M-2", "1.8.1", midnight + timedelta(seconds=shift), Decimal(100 + shift)))
    page = page_of(await house.get("/points/flat-2/readings", "olga", **{"from": "2023-01-10"}))
    assert [item.value for item in page.items] == ["100", "101"]
    page = page_of(await house.get("/points/flat-2/readings", "olga", **{"from": "2023-01-01", "to": "2023-01-10"}))
    assert [item.value for item in page.items] == ["99"]


async def test_a_consumer_reads_their_own_time_only(house: House) -> None:
    await house.store(*daily("M-1", "1.8.0", "100", "1", 59), *daily("M-1-NEW", "1.8.0", "0", "1", 20, _AFTER))
    february = datetime(2023, 2, 1, tzinfo=UTC)
    of_anna = await walk(house, "/points/flat-1/readings", "anna")
    of_boris = await walk(house, "/points/flat-1/readings", "boris")
    assert {at < february for at, _, _ in of_anna} == {True}
    assert {at >= february for at, _, _ in of_boris} == {True}
    assert len(of_anna) + len(of_boris) == 79
    asked_for_all = await walk(house, "/points/flat-1/readings", "anna", **{"from": "2023-01-01", "to": "2024-01-01"})
    assert asked_for_all == of_anna
    latest = LatestReadings.model_validate_json((await house.get("/points/flat-1/readings/latest", "anna")).content)
    assert [(item.meter, item.value) for item in latest.items] == [("M-1", "130")]


_AFTER = datetime(2023, 3, 1, tzinfo=UTC)


async def test_pages_lead_on_to_the_next_contract(house: House) -> None:
    await house.store(*daily("M-2", "1.8.1", "100", "1", 15))
    days = [at.day for at, _, _ in await walk(house, "/points/flat-2/readings", "vera")]
    assert days == [1, 2, 3, 4, 9, 10, 11, 12, 13, 14, 15]
    for limit in (1, 2, 4, 5):
        again = [at.day for at, _, _ in await walk(house, "/points/flat-2/readings", "vera", limit=limit)]
        assert again == days


async def test_a_range_outside_the_contract_is_empty(house: House) -> None:
    await house.store(*daily("M-1", "1.8.0", "100", "1", 59))
    page = page_of(await house.get("/points/flat-1/readings", "anna", **{"from": "2023-02-02", "to": "2023-02-20"}))
    assert (page.items, page.next, page.as_of, page.since, page.until) == ([], None, None, None, None)


async def test_latest_shows_what_counts_and_the_others_beside(house: House) -> None:
    await house.store(*daily("M-2", "1.8.1", "100", "1", 5))
    await house.store(typed("M-2", "1.8.1", START + timedelta(days=3, hours=5), "103", "vera"))
    answer = await house.get("/points/flat-2/readings/latest", "olga")
    latest = LatestReadings.model_validate_json(answer.content)
    [item] = latest.items
    assert (item.source, item.value, item.quality) == ("automatic", "104", "good")
    assert [(other.source, other.value, other.author) for other in item.beside] == [("consumer", "103", "vera")]
    assert latest.as_of is not None
    assert latest.as_of.taken_at == START + timedelta(days=4)


async def test_a_point_without_readings_has_no_as_of(house: House) -> None:
    latest = LatestReadings.model_validate_json((await house.get("/points/empty/readings/latest", "boris")).content)
    assert (latest.items, latest.as_of) == ([], None)
    page = page_of(await house.get("/points/empty/readings", "boris"))
    assert (page.items, page.as_of) == ([], None)


async def test_notes_of_staff_are_not_shown_to_consumers(house: House) -> None:
    await house.store(Reading("M-2", "1.8.1", START, Decimal(5), Source.OPERATOR, None, "olga", "called from +7 900"))
    seen_by_staff = page_of(await house.get("/points/flat-2/readings", "root")).items[0]
    assert (seen_by_staff.author, seen_by_staff.note) == ("olga", "called from +7 900")
    seen_by_consumer = page_of(await house.get("/points/flat-2/readings", "vera")).items[0]
    assert (seen_by_consumer.author, seen_by_consumer.note) == (None, None)


async def test_consumers_of_one_point_do_not_see_each_others_notes(house: House) -> None:
    async with house.database.connection() as conn:
        await conn.execute("INSERT INTO contract SELECT 'anna', id, '2023-01-01Z' FROM point WHERE code = 'flat-2'")
    body = {"taken_at": START.isoformat(), "values": {"1.8.1": 5}, "note": "the key is under the mat"}
    assert (await house.post("/points/flat-2/readings", "vera", body)).status_code == 201
    own = page_of(await house.get("/points/flat-2/readings", "vera")).items[0]
    assert (own.author, own.note) == ("vera", "the key is under the mat")
    other = page_of(await house.get("/points/flat-2/readings", "anna")).items[0]
    assert (other.value, other.author, other.note) == ("5", None, None)


WRONG_PARAMETERS = [
    ({"from": "2023-01-01T00:00:00"}, "from", "naive_time"),
    ({"to": "2023-01-01T00:00"}, "to", "naive_time"),
    ({"from": "yesterday"}, "from", "not_a_time"),
    ({"from": "2023-02-30"}, "from", "not_a_time"),
    ({"from": "2023-W01-1"}, "from", "not_a_time"),
    ({"from": "1767225600"}, "from", "not_a_time"),
    ({"from": ""}, "from", "not_a_time"),
    ({"from": "2023-01-01T24:61:00Z"}, "from", "not_a_time"),
    ({"from": "0001-01-01"}, "from", "out_of_range"),
    ({"to": "9999-12-31T23:59:59-23:59"}, "to", "out_of_range"),
    ({"from": "2023-02-01", "to": "2023-01-01"}, "from", "not_before"),
    ({"from": "2023-02-01", "to": "2023-02-01"}, "from", "not_before"),
    ({"from": "1970-01-01", "to": "2070-01-01"}, "to", "range_too_long"),
    ({"channel": "1.8"}, "channel", "not_a_channel"),
    ({"channel": "1.8.0' OR 1=1"}, "channel", "not_a_channel"),
    ({"channel": "2.8.0"}, "channel", "unknown_channel"),
    ({"cursor": "x"}, "cursor", "bad_cursor"),
    ({"cursor": "9."}, "cursor", "bad_cursor"),
    ({"cursor": "0.!!!"}, "cursor", "bad_cursor"),
    ({"cursor": "0.OTk5OTk5OTk5OTk5OTk5OTk5OTk5OS4xLjE="}, "cursor", "bad_cursor"),
    ({"since": "2023-01-01"}, "since", "unknown_field"),
    ({"form": "2023-01-01"}, "form", "unknown_field"),
]


async def test_wrong_parameters_are_named(house: House, subtests: pytest.Subtests) -> None:
    for parameters, field, code in WRONG_PARAMETERS:
        with subtests.test(parameters=parameters, field=field, code=code):
            answer = await house.get("/points/flat-2/readings", "olga", **parameters)
            assert answer.status_code == 422, answer.text
            [error] = answer.json()["errors"]
            assert (error["field"], error["code"]) == (field, code)
            assert error["value"] == parameters[field]
            assert error["remedy"]


async def test_a_plus_that_became_a_space_is_understood(house: House) -> None:
    await house.store(Reading("M-2", "1.8.1", START, Decimal(1)))
    address = f"{house.url}/api/v1/points/flat-2/readings?from=2023-01-01T04:00:00+04:00&to=2023-01-01T04:00:01%2B04:00"
    answer = await house.client.get(address, headers=bearer("olga"))
    assert [item.value for item in page_of(answer).items] == ["1"]
