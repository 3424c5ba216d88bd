"""Statements of readings through the served API, opened as people open them."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import openpyxl
import pytest

from api import statement_pdf
from api.company import Company
from api.context import ApiSettings
from ingest.model import Reading
from tests.api.conftest import House, bearer, daily, typed

JANUARY = datetime(2022, 12, 31, 21, tzinfo=UTC)
"""The first instant of January in Moscow."""


@pytest.fixture
def settings() -> ApiSettings:
    return ApiSettings(token_ttl=timedelta(seconds=0), company=Company("", "ООО «Сети»"))


async def ask(house: House, who: str, language: str = "ru", **parameters: Any) -> httpx.Response:
    headers = {**bearer(who), "Accept-Language": language}
    return await house.client.get("/api/v1/exports/statement", params=parameters, headers=headers)


async def sheet(house: House, who: str, language: str = "ru", **parameters: Any) -> list[tuple[Any, ...]]:
    answer = await ask(house, who, language, **parameters)
    assert answer.status_code == 200, answer.text
    [found] = openpyxl.load_workbook(io.BytesIO(answer.content)).worksheets
    return list(found.iter_rows(values_only=True))


def table(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """The numbered lines."""
    return [row for row in rows if isinstance(row[0], int)]


async def test_a_month_says_what_was_shown_and_what_was_not(house: House) -> None:
    async with house.database.connection() as conn:
        await conn.execute("UPDATE installation SET since = '2022-01-01' WHERE since = '2023-01-01' AND ct = 1")
    await house.store(*daily("M-2", "1.8.1", "100", "2", 40, JANUARY - timedelta(hours=1)))
    await house.store(typed("M-2", "1.8.2", JANUARY + timedelta(days=10), "55", "vera"))
    rows = await sheet(house, "olga", month="2023-01", point=["flat-2", "empty"])
    assert rows[0][0] == "Ведомость снятия показаний приборов учёта за январь 2023 г."
    assert rows[1][0] == "ООО «Сети»"
    assert "01.01.2023" in rows[2][0]
    assert "01.02.2023" in rows[2][0]
    by_register = {row[4]: row for row in table(rows)}
    day = by_register["A+ зона 1"]
    assert day[1:4] == ("flat-2", "Flat 2", "M-2")
    assert day[5:12] == (100, 162, 62, 1, 62, "кВт·ч", "дистанционно")
    night = by_register["A+ зона 2"]
    assert (night[5], night[6], night[7]) == ("нет показания", "нет показания", None)
    assert night[9] == "нет данных"
    nobody = [row for row in table(rows) if row[1] == "empty"]
    assert [(row[3], row[9]) for row in nobody] == [("нет прибора", "нет данных")]
    totals = {row[2]: (row[9], row[12]) for row in rows if row[2] and str(row[2]).startswith("Итого")}
    assert totals["Итого A+ зона 1"] == (62, None)
    assert totals["Итого A+ зона 2"] == ("нет данных", "не вошли строки без расхода: 1")
    assert any(row[0] and str(row[0]).startswith("Показания снял ___") for row in rows)


async def test_registers_can_be_picked(house: House) -> None:
    rows = table(await sheet(house, "olga", month="2023-01", channel=["1.8.0", "1.8.1"]))
    assert {row[4] for row in rows if row[4]} == {"A+ всего", "A+ зона 1"}


async def test_an_exchange_has_two_lines_and_each_its_own_time(house: House) -> None:
    february = datetime(2023, 1, 31, 21, tzinfo=UTC)
    await house.store(*daily("M-1", "1.8.0", "100", "1", 29, february))
    await house.store(Reading("M-1", "1.8.0", datetime(2023, 3, 1, tzinfo=UTC), Decimal(130)))
    rows = table(await sheet(house, "olga", "en", month="2023-03", point="flat-1"))
    of_total = [row for row in rows if row[4] == "A+ total"]
    assert [row[3] for row in of_total] == ["M-1", "M-1-NEW"]
    assert "to 01.03.2023 03:00" in of_total[0][12]
    assert "from 01.03.2023 03:00" in of_total[1][12]
    assert of_total[1][5] == "no reading"


async def test_a_consumer_gets_their_own_part_of_the_month(house: House) -> None:
    await house.store(*daily("M-2", "1.8.1", "100", "2", 40))
    rows = table(await sheet(house, "vera", month="2023-01"))
    of_day = [row for row in rows if row[4] == "A+ зона 1"]
    assert [row[5:7] for row in of_day] == [(100, 108), (116, 161.666666)]
    assert [row[12].split(";")[0] for row in of_day] == ["с 01.01.2023 04:00", "с 09.01.2023 04:00"]
    assert (await ask(house, "anna", month="2023-01", point="flat-2")).status_code == 404
    assert table(await sheet(house, "stranger", month="2023-01")) == []


async def test_the_same_as_pdf_with_its_letters(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    await house.store(*daily("M-2", "1.8.1", "100", "2", 40))
    answer = await ask(house, "olga", month="2023-01", format="pdf")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/pdf"
    assert answer.content.startswith(b"%PDF-")
    assert b"Roboto" in answer.content
    assert answer.content.rstrip().endswith(b"%%EOF")
    monkeypatch.setattr(statement_pdf, "MOST_LINES", 2)
    too_many = await ask(house, "olga", month="2023-01", format="pdf")
    assert too_many.json()["errors"][0]["code"] == "too_many_lines"


async def test_bad_months_are_refused(house: House) -> None:
    for month, code in (
        ("2023-13", "not_a_month"),
        ("2023-01-01", "not_a_month"),
        ("0000-01", "out_of_range"),
        ("9999-12", "out_of_range"),
        ("2199-12", "out_of_range"),
        ("' OR 1=1 --", "not_a_month"),
    ):
        answer = await ask(house, "olga", month=month)
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, code), month
    assert (await ask(house, "olga", month="2023-01", format="docx")).json()["errors"][0]["code"] == "not_a_choice"
