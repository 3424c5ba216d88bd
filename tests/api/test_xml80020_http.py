"""80020 through the served API: days out, other companies' days in, by staff alone."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest
from defusedxml.ElementTree import fromstring

from api.company import Company, sender_zones, zone_of
from api.context import ApiSettings
from api.xml80020_schemas import ImportReport
from ingest.errors import Misconfigured
from ingest.model import Reading
from tests.api.conftest import House, bearer
from tests.api.test_xml80020 import packed

DAY = datetime(2023, 3, 10, tzinfo=UTC) - timedelta(hours=3)
"""The first instant of the day in Moscow."""


@pytest.fixture
def settings() -> ApiSettings:
    return ApiSettings(token_ttl=timedelta(seconds=0), company=Company("7703311228", "Сети"))


def half_hourly(meter: str, channel: str, since: datetime, step: str, count: int) -> list[Reading]:
    return [
        Reading(meter, channel, since + number * timedelta(minutes=30), 1000 + number * Decimal(step))
        for number in range(count)
    ]


def values(answer: httpx.Response) -> dict[tuple[str, str], list[tuple[str | None, str | None]]]:
    """Status and text of every value, by point and channel."""
    assert answer.status_code == 200, answer.text
    root = fromstring(answer.content)
    return {
        (point.attrib["code"], channel.attrib["code"]): [
            (value.get("status"), value.text) for value in channel.iter("value")
        ]
        for point in root.iter("measuringpoint")
        for channel in point.iter("measuringchannel")
    }


async def test_a_day_adds_up_and_what_is_not_known_is_empty(house: House) -> None:
    await house.store(*half_hourly("M-1-NEW", "1.8.0", DAY, "0.3", 40))
    answer = await house.get("/exports/80020", "egor", day="2023-03-10", point="flat-1")
    assert answer.headers["content-type"] == "application/xml"
    assert 'filename="80020_7703311228_20230310_19427.xml"' in answer.headers["content-disposition"]
    found = values(answer)
    active = found["34-1", "01"]
    assert len(active) == 48
    assert Counter(status for status, _ in active) == {"0": 39, "1": 9}
    assert sum(int(text) for _, text in active if text) == 12  # 39 x 0.3 = 11.7
    assert {text for status, text in active if status == "1"} == {None}
    assert found["34-1", "03"] == [("1", None)] * 48


async def test_the_remainder_of_the_month_is_carried_into_the_day(house: House) -> None:
    await house.store(*half_hourly("M-1-NEW", "1.8.0", DAY - timedelta(days=9), "0.01", 48 * 10 + 1))
    told = 0
    for day in range(1, 11):
        found = values(await house.get("/exports/80020", "egor", day=f"2023-03-{day:02}", point="flat-1"))
        told += sum(int(text) for _, text in found["34-1", "01"] if text)
    assert told == 5  # ten days of 0.48, less what the 4.8 kWh lack


async def test_the_clock_and_the_names_are_the_senders(house: House) -> None:
    await house.store(*half_hourly("M-1-NEW", "1.8.0", DAY, "1", 49))
    asked = {"day": "2023-03-10", "point": "flat-1", "zone": "Asia/Vladivostok", "inn": "1234567890", "number": "5"}
    answer = await house.get("/exports/80020", "egor", area_inn="600004000000", area_name="<Юг>", **asked)
    root = fromstring(answer.content)
    assert (root.get("number"), root.findtext("sender/inn"), root.findtext("sender/name")) == (
        "5",
        "1234567890",
        "Сети",
    )
    assert (root.findtext("area/inn"), root.findtext("area/name")) == ("600004000000", "<Юг>")
    # 00:00 in Moscow is 07:00 in Vladivostok: the first 14 half-hours there are not known here
    assert [status for status, _ in values(answer)["34-1", "01"]] == ["1"] * 14 + ["0"] * 34


FILE = """<?xml version="1.0" encoding="windows-1251"?>
<message class="80020" version="2" number="9"><datetime><day>20230310</day></datetime>
<sender><inn>600004</inn><name>РДУ</name></sender><area><inn>1</inn><name>а</name>{points}</area></message>"""


def point(code: str, rows: list[str], channel: str = "01") -> str:
    clock = [f"{half // 2 % 24:02}{half % 2 * 30:02}" for half in range(len(rows) + 1)]
    periods = "".join(
        f'<period start="{begin}" end="{end}">{value}</period>'
        for begin, end, value in zip(clock, clock[1:], rows, strict=False)
    )
    return (
        f'<measuringpoint code="{code}" name="т"><measuringchannel code="{channel}" desc="">{periods}'
        "</measuringchannel></measuringpoint>"
    )


def day_of(code: str, step: str = "1", channel: str = "01") -> str:
    return point(code, [f"<value>{step}</value>"] * 48, channel)


async def send(house: House, raw: bytes, who: str = "egor", **parameters: Any) -> httpx.Response:
    headers = {**bearer(who), "Content-Type": "application/xml"}
    return await house.client.post("/api/v1/imports/80020", content=raw, headers=headers, params=parameters)


async def report(house: House, raw: bytes, **parameters: Any) -> list[dict[str, Any]]:
    answer = await send(house, raw, **parameters)
    assert answer.status_code == 200, answer.text
    return [one.model_dump() for one in ImportReport.model_validate_json(answer.content).files]


def file_of(*points: str) -> bytes:
    return FILE.format(points="".join(points)).encode("cp1251")


async def consumed(house: House, code: str, **parameters: Any) -> dict[str, Any]:
    asked = {"from": "2023-03-10", "to": "2023-03-11", "step": "half-hour", **parameters}
    found: dict[str, Any] = (await house.get(f"/points/{code}/consumption", "egor", **asked)).json()
    return found


async def test_everything_good_is_stored_and_everything_else_is_named(house: House) -> None:
    good = ["<value>2</value>"] * 46
    rows = ['<value status="1">7</value>', "<value/>", *good]
    rows[10] = "<value>about 5</value>"
    raw = file_of(point("34-1", rows), day_of("nobody"), day_of("nobody", channel="03"), day_of("empty"))
    [told] = await report(house, raw, name="a.xml")
    assert (told["day"], told["sender"], told["number"], told["error"]) == ("2023-03-10", "600004 РДУ", "9", None)
    assert (told["stored"], told["empty"], told["unsettled"], told["refused"]) == (45, 1, 1, 1 + 96 + 48)
    assert told["unknown_points"] == [{"code": "nobody", "rows": 96}]
    assert ["0500-0530" in one["where"] or one["where"].startswith("empty/") for one in told["bad"]] == [True, True]
    [again] = await report(house, raw, name="a.xml")
    assert (again["stored"], again["repeated"], again["refused"]) == (0, 45, told["refused"])
    found = await consumed(house, "flat-1")
    assert found["total"]["amount"] == "90"
    assert [item["amount"] for item in found["items"]][:3] == [None, None, "2"]
    async with house.database.connection() as conn:
        kept = await (await conn.execute("SELECT reason, times FROM quarantine ORDER BY reason")).fetchall()
    reasons = ["not_for_settlement", "unknown_point", "unknown_point", "unknown_register"]
    assert kept == [(reason, 2) for reason in reasons]


async def test_another_value_for_the_same_half_hour_is_a_conflict(house: House) -> None:
    await report(house, file_of(day_of("34-1", "5")))
    rows = ["<value>5</value>"] * 48
    rows[3] = "<value>6</value>"
    [told] = await report(house, file_of(point("34-1", rows)))
    assert (told["stored"], told["repeated"], told["refused"]) == (0, 47, 1)
    assert "another value" in told["bad"][0]["detail"]
    assert (await consumed(house, "flat-1"))["total"]["amount"] == "240"


async def test_values_after_the_ratio_are_stored_before_it(house: House) -> None:
    async with house.database.connection() as conn:
        await conn.execute(
            "INSERT INTO register (meter_id, channel, digits, decimals) SELECT id, '1.8.0', 6, 2 FROM meter"
            " WHERE serial = 'M-3'"
        )
        await conn.execute("UPDATE installation SET ct = 30, vt = 100 WHERE ct = 20")
    [told] = await report(house, file_of(day_of("flat-3", "1")))
    assert told["stored"] == 48
    day = await consumed(house, "flat-3", step="day")
    assert abs(Decimal(day["total"]["amount"]) - 48) <= Decimal("0.003")
    assert day["total"]["completeness"] == "1"
    [again] = await report(house, file_of(day_of("flat-3", "1")))
    assert again["repeated"] == 48


async def test_what_no_register_holds_is_refused(house: House) -> None:
    async with house.database.connection() as conn:
        await conn.execute("UPDATE installation SET ct = 0.0001 WHERE until IS NULL")
    [told] = await report(house, file_of(day_of("34-1", "999999999999")))
    assert (told["stored"], told["refused"]) == (0, 48)
    assert "check K" in told["bad"][0]["detail"]


async def test_senders_have_clocks_of_their_own(house: House) -> None:
    raw = file_of(day_of("34-1"))
    await report(house, raw, zone="Asia/Vladivostok")
    found = await consumed(house, "flat-1", **{"from": "2023-03-09T14:00:00Z", "to": "2023-03-10T14:00:00Z"})
    assert (found["total"]["amount"], found["total"]["completeness"]) == ("48", "1")


async def test_an_archive_is_taken_file_by_file(house: House) -> None:
    good, cut = file_of(day_of("34-1")), file_of(day_of("34-1"))[:-40]
    files = await report(house, packed(("1.xml", cut), ("2.xml", good), ("3.txt", b"x"), ("4.xml", good)))
    assert [(one["name"], one["error"] is None, one["stored"], one["repeated"]) for one in files] == [
        ("1.xml", False, 0, 0),
        ("2.xml", True, 48, 0),
        ("3.txt", False, 0, 0),
        ("4.xml", True, 0, 48),
    ]


async def test_bad_uploads_and_questions_are_refused(house: House) -> None:
    too_large = await send(house, b"<" * (8 * 1024 * 1024 + 1))
    assert (too_large.status_code, too_large.json()["code"]) == (413, "too_large")
    damaged = await send(house, packed(("1.xml", b"x" * 5000))[:-20])
    assert (damaged.status_code, damaged.json()["code"]) == (400, "bad_request")
    [bomb] = await report(house, b'<!DOCTYPE m [<!ENTITY a "a">]><message class="80020">&a;</message>')
    assert "entities" in bomb["error"]
    assert (await send(house, b"", zone="Moscow/Kremlin")).json()["errors"][0]["code"] == "not_a_zone"
    for who in ("anna", "vera"):
        assert (await send(house, b"", who)).status_code == 403
        assert (await house.get("/exports/80020", who, day="2023-03-10")).status_code == 403
    for parameters, code in (
        ({"day": "2023-13-01"}, "not_a_time"),
        ({"day": "2023-03-10T00:00:00Z"}, "not_a_day"),
        ({"day": "2023-03-10", "inn": "../etc"}, "not_an_inn"),
        ({"day": "2023-03-10", "zone": "../../etc/passwd"}, "not_a_zone"),
        ({"day": "2023-03-10", "number": "0"}, "out_of_range"),
        ({}, "missing"),
    ):
        answer = await house.get("/exports/80020", "egor", **parameters)
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, code)
    assert (await house.get("/exports/80020", "egor", day="2023-03-10", point="nowhere")).status_code == 404
    async with house.database.connection() as conn:
        kept = await (await conn.execute("SELECT DISTINCT actor, operation FROM audit WHERE status = 403")).fetchall()
    assert ("anna", "import80020") in kept


def test_settings_name_what_is_wrong_with_them() -> None:
    assert sender_zones("X", " 77=Europe/Samara , 5=Asia/Omsk,") == {
        "77": zone_of("X", "Europe/Samara"),
        "5": zone_of("X", "Asia/Omsk"),
    }
    for text in ("77", "abc=Europe/Samara", "77=Mars/Phobos"):
        with pytest.raises(Misconfigured, match="AMR_SENDER_ZONES"):
            sender_zones("AMR_SENDER_ZONES", text)
