"""The worked examples of docs/consumption.md, executed: every number in its tables is what the service answers."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from ingest.consumption import Policy
from ingest.model import RegisterSpec, Source
from tests.ingest.point import Point, Stay, reading

PAGE = Path(__file__).parents[2] / "docs" / "consumption.md"
MOSCOW = ZoneInfo("Europe/Moscow")
Table = list[dict[str, str]]


def tables(section: str) -> list[Table]:
    """The tables of a section, a row by its headings."""
    found: list[list[list[str]]] = [[]]
    for line in section.splitlines():
        if line.startswith("|"):
            found[-1].append([cell.strip() for cell in line.strip("|").split("|")])
        elif found[-1]:
            found.append([])
    return [[dict(zip(head, row, strict=True)) for row in rows] for head, _, *rows in filter(None, found)]


EXAMPLES = {
    text.splitlines()[0]: text for text in PAGE.read_text(encoding="utf-8").split("\n## ") if text.startswith("Example")
}


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=MOSCOW)


def number(text: str) -> Decimal | None:
    return Decimal(text) if text not in ("", "–") else None


def point_of(stays: Table, readings: Table) -> Point:
    """The point of an example, with its readings given one by one."""
    registers = [RegisterSpec(name, 5, 3, Decimal(15)) for name in sorted({row["register"] for row in readings})]
    point = Point(
        *(
            Stay(
                row["meter"],
                at(row["from"]),
                at(row["to"]) if row["to"] else None,
                Decimal(row["K"]),
                number(row["opening"]),
                number(row["closing"]),
            )
            for row in stays
        ),
        registers=registers,
    )
    for row in readings:
        source = Source[row.get("source", "automatic").upper()]
        point.give(
            reading(at(row["at"]), row["reading"], serial=row["meter"], channel=row["register"], source=source)
        )  # fmt: skip
    return point


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_number_of_an_example_is_what_the_service_answers(name: str) -> None:
    stays, readings, *expectations = tables(EXAMPLES[name])
    point = point_of(stays, readings)
    assert expectations
    for row in (row for table in expectations for row in table):
        spread = "amount, gaps spread" in row
        [found] = point.amounts(
            [at(row["from"]), at(row["to"])], channel=row["register"], policy=Policy(distribute=spread)
        )
        assert found.amount == number(row["amount, gaps spread" if spread else "amount"]), row
        assert found.quality.label == row["quality"], row
        assert found.completeness == Decimal(row["measured"]), row
        assert ", ".join(found.reasons) == row["reasons"], row


def test_the_page_has_its_examples() -> None:
    assert len(EXAMPLES) == 10


def test_the_reasons_on_the_page_are_those_of_the_code() -> None:
    ingest = PAGE.parents[1] / "ingest"
    files = ("chain", "healing", "load_profile", "places", "shares", "consumption", "substitutes")
    source = "".join((ingest / f"{name}.py").read_text(encoding="utf-8") for name in files)
    codes = [code for row in tables(PAGE.read_text(encoding="utf-8"))[0] for code in row["reason"].split("`")[1::2]]
    assert len(codes) == 16
    for code in codes:
        assert f'"{code}"' in source, code
