"""CSV by rows: whatever is wrong with one of them costs no other, and is told with its number and a remedy."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.cli_import import open_csv
from ingest.csv_file import deliveries
from ingest.delivery import Delivery
from ingest.errors import Malformed
from ingest.model import Reading, Source

HEAD = "meter,channel,taken_at,value,source,author"
GOOD = "m1,1.8.0,2026-01-01T03:00:00+03:00,100.5,consumer,Иван"
AT = datetime(2026, 1, 1, tzinfo=UTC)


def read(*rows: str) -> Delivery:
    [delivery] = deliveries([f"{row}\n" for row in (HEAD, *rows)], "f.csv")
    return delivery


def test_a_row_is_a_reading() -> None:
    found = read(GOOD, "", '"m1", 1.8.0, 2026-01-01T00:00Z ,1e2,,"Иван, сын ""Петра"""')
    assert found.readings == [
        Reading("m1", "1.8.0", AT, Decimal("100.5"), Source.CONSUMER, author="Иван"),
        Reading("m1", "1.8.0", AT, Decimal(100), Source.IMPORT, author='Иван, сын "Петра"'),
    ]
    assert found.origin == "import:f.csv"


def test_rows_come_in_portions_and_windows_lines_are_lines() -> None:
    found = list(deliveries([f"{row}\r\n" for row in (HEAD, *[GOOD] * 5)], "f.csv", rows=2))
    assert [len(one.readings) for one in found] == [2, 2, 1]


def with_(**fields: str) -> str:
    row = dict(zip(HEAD.split(","), GOOD.split(","), strict=True)) | fields
    return ",".join(row.values())


@pytest.mark.parametrize(
    ("row", "told"),
    [
        (with_(author="Iv\0an"), "author 'Iv\\x00an' has characters that cannot be printed"),
        (with_(meter="m\0"), "meter 'm\\x00' has characters"),
        (with_(author="y" * 1001), "author is 1001 characters long"),
        (with_(meter=""), "meter is empty"),
        (with_(channel="x"), "channel 'x' is not an OBIS code"),
        (with_(value="1_0"), "value '1_0' is no number; write it with a decimal point"),
        (with_(value="٥"), "value '٥' is no number"),
        (with_(value='"1,5"'), "value '1,5' is no number; write it with a decimal point"),
        (with_(value="NaN"), "value 'NaN' is no number"),
        (with_(value="1e400"), "is too large to be one"),
        (with_(value="-1"), "is negative"),
        (with_(taken_at="0001-01-01T00:00:00+14:00"), "is in no year from 1 to 9999"),
        (with_(taken_at="9999-12-31T23:59:59-14:00"), "is in no year from 1 to 9999"),
        (with_(taken_at="2026-01-01T00:00:00"), "has no time zone"),
        (with_(taken_at="yesterday"), "is no ISO 8601 instant"),
        (with_(source="guess"), "source 'guess' is unknown; use one of inspection"),
        (with_(author="x,y"), "1 fields more than the header has"),
        ("m1,1.8.0", "taken_at is empty"),
        ('"' + GOOD, "is a quotation mark missing?"),
    ],
)
def test_a_bad_row_costs_no_other(row: str, told: str) -> None:
    found = read(GOOD, row, GOOD)
    assert len(found.readings) == 2
    [reject] = found.rejects
    assert reject.detail.startswith("row 3: ")
    assert told in reject.detail
    assert reject.raw == row.encode()
    assert (reject.meter or "").isprintable()


def test_a_row_in_another_encoding_is_refused_alone(tmp_path: Path) -> None:
    file = tmp_path / "excel.csv"
    file.write_bytes("\ufeff".encode() + f"{HEAD}\n{GOOD}\n".encode() + f"{GOOD}\n".encode("cp1251") + GOOD.encode())
    with open_csv(file) as text:
        [found] = deliveries(text, file.name)
    assert len(found.readings) == 2
    [reject] = found.rejects
    assert "row 3: it is not UTF-8; save the file as CSV UTF-8" in reject.detail
    assert reject.raw == GOOD.encode("cp1251")


@pytest.mark.parametrize(
    ("header", "told"),
    [
        ("", "'meter' is missing"),
        ("meter;channel;taken_at;value", "'meter;channel;taken_at;value' is unknown; .* parted by commas"),
        (HEAD + ",unit", "'unit' is unknown"),
        (HEAD + ",value", "'value' is there twice"),
        ('"' + HEAD, "the header cannot be read"),
    ],
)  # fmt: skip
def test_a_header_that_is_not_ours_stops_everything(header: str, told: str) -> None:
    with pytest.raises(Malformed, match=told):
        list(deliveries([f"{header}\n", GOOD], "f.csv"))


@given(st.lists(st.text(st.characters(exclude_characters="\n\r"), max_size=60), max_size=4))
def test_no_row_whatever_it_holds_costs_another(strange: list[str]) -> None:
    found = read(GOOD, *strange, GOOD)
    assert found.readings[0] == found.readings[-1] == read(GOOD).readings[0]
    assert len(found.readings) + len(found.rejects) == 2 + sum(bool(row.strip()) for row in strange)
