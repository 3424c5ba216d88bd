"""Readings and consumption as files, opened as their readers open them."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import httpx
import openpyxl
import pytest

from api import export_xlsx, making
from api.download import download
from api.export_cells import defused
from api.export_csv import dialect
from ingest.model import Reading, Source
from storage.database import StoreTimeout
from tests.api.conftest import START, House, bearer, daily

WHOLE = {"from": "2023-01-01", "to": "2023-12-31"}


def rows_of(answer: httpx.Response, separator: str = ",") -> list[list[str]]:
    assert answer.status_code == 200, answer.text
    return list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig"), newline=""), delimiter=separator))


def sheet_of(answer: httpx.Response) -> list[tuple[Any, ...]]:
    assert answer.status_code == 200, answer.text
    book = openpyxl.load_workbook(io.BytesIO(answer.content))
    [sheet] = book.worksheets
    return list(sheet.iter_rows(values_only=True))


async def test_readings_come_exact_with_the_offset_of_the_point(house: House) -> None:
    await house.store(Reading("M-2", "1.8.1", START, Decimal("12345.123456")))
    answer = await house.get("/exports/readings", "olga", point="flat-2", **WHOLE)
    heading, row = rows_of(answer)
    found = dict(zip(heading, row, strict=True))
    assert found["value"] == "12345.123456"
    assert found["taken at"] == "2023-01-01T04:00:00+04:00"
    assert (found["point"], found["meter"], found["unit"], found["quality"]) == ("flat-2", "M-2", "kWh", "good")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert 'filename="readings.csv"' in answer.headers["content-disposition"]


async def test_a_workbook_holds_the_same_as_the_csv(house: House) -> None:
    await house.store(*daily("M-2", "1.8.1", "10.5", "1.25", 40))
    table = rows_of(await house.get("/exports/readings", "olga", point="flat-2", **WHOLE))
    sheet = sheet_of(await house.get("/exports/readings", "olga", point="flat-2", format="xlsx", **WHOLE))
    assert len(table) == len(sheet) == 41
    value = table[0].index("value")
    assert [Decimal(row[value]) for row in table[1:]] == [Decimal(str(row[value])) for row in sheet[1:]]
    assert [row[4] for row in table[1:]] == [row[4] for row in sheet[1:]]


async def test_excel_in_russia_gets_its_own_csv(house: House) -> None:
    await house.store(Reading("M-2", "1.8.1", START, Decimal("10.5")))
    answer = await house.client.get(
        "/api/v1/exports/readings",
        params={"point": "flat-2", "dialect": "excel", **WHOLE},
        headers={**bearer("olga"), "Accept-Language": "ru"},
    )
    assert answer.content.startswith("\ufeffточка учёта;".encode())
    assert rows_of(answer, ";")[1][5] == "10,5"


async def test_a_consumer_gets_their_own_points_and_time_only(house: House) -> None:
    await house.store(*daily("M-1", "1.8.0", "100", "1", 59), *daily("M-2", "1.8.1", "10", "1", 15))
    of_anna = rows_of(await house.get("/exports/readings", "anna", **WHOLE))[1:]
    assert {(row[0], row[4][:7]) for row in of_anna} == {("flat-1", "2023-01")}
    of_vera = rows_of(await house.get("/exports/readings", "vera", **WHOLE))[1:]
    assert [int(row[4][8:10]) for row in of_vera] == [1, 2, 3, 4, 9, 10, 11, 12, 13, 14, 15]
    of_staff = rows_of(await house.get("/exports/readings", "olga", **WHOLE))[1:]
    assert len(of_staff) == 59 + 15
    assert [row[0] for row in of_staff] == ["flat-1"] * 59 + ["flat-2"] * 15
    assert (await house.get("/exports/readings", "anna", point="flat-2", **WHOLE)).status_code == 404
    assert len(rows_of(await house.get("/exports/readings", "stranger", **WHOLE))) == 1


async def test_many_readings_come_in_many_pieces(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.export_readings._BATCH", 7)
    await house.store(*daily("M-2", "1.8.1", "10", "1", 50), *daily("M-2", "1.8.2", "5", "1", 50))
    table = rows_of(await house.get("/exports/readings", "olga", point="flat-2", **WHOLE))[1:]
    assert len(table) == 100
    assert len({(row[3], row[4]) for row in table}) == 100


async def test_texts_cannot_run(house: House) -> None:
    note = '=cmd|" /C calc"!A0'
    await house.store(Reading("M-2", "1.8.1", START, Decimal(1), Source.OPERATOR, author="@olga", note=note))
    async with house.database.connection() as conn:
        await conn.execute("UPDATE point SET name = '+7 900 000-00-00' WHERE code = 'flat-2'")
    table = rows_of(await house.get("/exports/readings", "olga", point="flat-2", **WHOLE))
    assert {f"'{note}", "'@olga", "'+7 900 000-00-00"} <= set(table[1])
    answer = await house.get("/exports/readings", "olga", point="flat-2", format="xlsx", **WHOLE)
    sheet = openpyxl.load_workbook(io.BytesIO(answer.content)).worksheets[0]
    cells = {cell.value: cell.data_type for cell in sheet[2]}
    assert cells[note] == cells["@olga"] == "s"
    assert "f" not in cells.values()


@pytest.mark.parametrize("text", ["=1", "+1", "-1", "@x", "\t=1", "\r=1", " =1", "\n=1", "\uff1d1"])
def test_what_begins_like_a_formula_is_defused(text: str) -> None:
    assert defused(text) == f"'{text}"


@pytest.mark.parametrize("text", ["", "flat-1", "ул. Мира, 1", "1-2", "a=1", "№ 5"])
def test_other_texts_stay_as_they_are(text: str) -> None:
    assert defused(text) == text


async def test_consumption_is_what_the_api_answers(house: House) -> None:
    await house.store(*daily("M-1", "1.8.0", "100", "1.5", 10))
    asked = {"from": "2023-01-01T00:00:00Z", "to": "2023-01-08T00:00:00Z", "step": "day"}
    answered = (await house.get("/points/flat-1/consumption", "olga", **asked)).json()["items"]
    table = rows_of(await house.get("/exports/consumption", "olga", point="flat-1", **asked))
    assert [dict(zip(table[0], row, strict=True))["amount"] for row in table[1:]] == [
        item["amount"] for item in answered
    ]
    sheet = sheet_of(await house.get("/exports/consumption", "olga", point="flat-1", format="xlsx", **asked))
    assert [Decimal(str(row[5])) for row in sheet[1:]] == [Decimal(item["amount"]) for item in answered]


async def test_missing_consumption_is_an_empty_cell(house: House) -> None:
    table = rows_of(await house.get("/exports/consumption", "olga", point="flat-1", step="month", **WHOLE))
    assert {(row[5], row[7]) for row in table[1:]} == {("", "missing")}
    sheet = sheet_of(
        await house.get("/exports/consumption", "olga", point="flat-1", step="month", format="xlsx", **WHOLE)
    )
    assert {row[5] for row in sheet[1:]} == {None}


async def test_points_without_the_channel_are_left_out_of_a_fleet(house: House) -> None:
    await house.store(*daily("M-1", "3.8.0", "100", "1", 10), *daily("M-2", "1.8.1", "10", "1", 10))
    asked = {"from": "2023-01-01", "to": "2023-01-05", "channel": "3.8.0"}
    table = rows_of(await house.get("/exports/consumption", "olga", **asked))[1:]
    assert {row[0] for row in table} == {"flat-1", "empty"}
    alone = await house.get("/exports/consumption", "olga", point="flat-2", **asked)
    assert alone.json()["errors"][0]["code"] == "unknown_channel"


BAD: list[tuple[str, dict[str, Any], str]] = [
    ("readings", {"from": "1970-01-01", "to": "2150-01-01"}, "range_too_long"),
    ("readings", {"from": "2023-02-01", "to": "2023-01-01"}, "not_before"),
    ("readings", {"from": "yesterday", "to": "2023-01-01"}, "not_a_time"),
    ("readings", {"from": "2023-01-01"}, "missing"),
    ("readings", {**WHOLE, "format": "exe"}, "not_a_choice"),
    ("readings", {**WHOLE, "channel": "../../etc"}, "not_a_channel"),
    ("readings", {**WHOLE, "point": ["x"] * 101}, "too_long"),
    ("consumption", {"from": "2000-01-01", "to": "2040-01-01", "step": "half-hour"}, "too_many_intervals"),
    ("consumption", {"from": "2023-01-01", "to": "2023-01-02", "step": "year"}, "step_too_long"),
    ("consumption", {**WHOLE, "channel": "32.7.0"}, "not_a_counter"),
]


async def test_bad_questions_are_refused_before_the_first_byte(house: House) -> None:
    for path, parameters, code in BAD:
        for kind in ("csv", "xlsx"):
            answer = await house.get(f"/exports/{path}", "olga", **{"format": kind, **parameters})
            assert answer.status_code == 422, parameters
            assert [error["code"] for error in answer.json()["errors"]] == [code]


async def test_a_workbook_is_bounded(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export_xlsx, "MOST_ROWS", 9)
    await house.store(*daily("M-2", "1.8.1", "10", "1", 10))
    answer = await house.get("/exports/readings", "olga", point="flat-2", format="xlsx", **WHOLE)
    assert answer.json()["errors"][0]["code"] == "too_many_rows"
    assert len(rows_of(await house.get("/exports/readings", "olga", point="flat-2", **WHOLE))) == 11


async def test_more_workbooks_than_places_are_put_off(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(making, "MOST", 0)
    for path in ("readings", "consumption"):
        answer = await house.get(f"/exports/{path}", "olga", point="flat-2", format="xlsx", **WHOLE)
        assert (answer.status_code, answer.json()["code"]) == (503, "too_many_files")
        assert int(answer.headers["retry-after"]) > 0
        assert (await house.get(f"/exports/{path}", "olga", point="flat-2", **WHOLE)).status_code == 200


async def test_staff_are_on_record(house: House) -> None:
    await house.get("/exports/readings", "olga", point="flat-2", **WHOLE)
    async with house.database.connection() as conn:
        found = await (await conn.execute("SELECT actor, operation, status, detail FROM audit")).fetchall()
    assert found == [("olga", "exportReadings", 200, "point=flat-2&from=2023-01-01&to=2023-12-31")]


async def test_what_fails_at_once_is_a_problem_and_what_fails_later_breaks_the_transfer() -> None:
    async def failing(after: int) -> AsyncIterator[bytes]:
        for _ in range(after):
            yield b"row\r\n"
        raise StoreTimeout("too slow")

    with pytest.raises(StoreTimeout):
        await download(failing(0), "text/csv", "x.csv")
    answer = await download(failing(1), "text/csv", "x.csv")
    with pytest.raises(StoreTimeout):
        [piece async for piece in answer.body_iterator]


def test_the_dialects() -> None:
    assert (dialect("plain", "ru").separator, dialect("plain", "ru").decimal) == (",", ".")
    assert (dialect("excel", "en").separator, dialect("excel", "ru").separator) == (",", ";")
