"""The fast way to read our own JSON says what the careful one says, or nothing."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from collectors.payload import Parsed, read_own, read_with_care
from collectors.plain_json import read_plain
from ingest.columns import Columns
from ingest.model import Reading

GOOD = {"meter": "100", "channel": "1.8.0", "at": "2026-11-20T00:00:00+04:00", "value": "12345.678"}
AT = datetime(2026, 11, 19, 20, tzinfo=UTC)


def written(*elements: object, **beside: object) -> bytes:
    return json.dumps({"readings": elements, **beside}).encode()


def said(parsed: Parsed) -> tuple[object, ...]:
    return (
        [(one.meter, one.channel, one.taken_at, one.value, one.captured_at) for one in parsed.readings],
        parsed.rejects, parsed.contacts, parsed.intervals, parsed.receipt,
    )  # fmt: skip


def test_a_plain_message_is_read_without_an_object_for_a_reading() -> None:
    parsed = read_own(written(GOOD, GOOD, id="r-1", contacts=[{"meter": "1", "at": GOOD["at"], "failure": "timeout"}]))
    assert isinstance(parsed.readings, Columns)
    assert parsed.readings == [Reading("100", "1.8.0", AT, Decimal("12345.678"))] * 2
    assert (parsed.receipt, parsed.contacts[0].failure) == ("r-1", "timeout")


@pytest.mark.parametrize(
    "value", ["0", "0.000001", "7.", "007.5", "9223372036854.000000", "99999999999.999999", "1.10", "12345678.123456"]
)
def test_digits_are_taken_exactly(value: str) -> None:
    message = written({**GOOD, "value": value})
    plain = read_plain(message)
    assert plain is not None
    assert plain[0][0].value == Decimal(value)
    assert said(read_own(message)) == said(read_with_care(message))


@pytest.mark.parametrize(
    "change",
    [
        {"value": 1}, {"value": 0.1}, {"value": "1e3"}, {"value": "-1"}, {"value": "+1"}, {"value": "1.0000001"},
        {"value": ".5"}, {"value": ""}, {"value": "."}, {"value": "1.2.3"}, {"value": "１"}, {"value": "1_0"},
        {"value": "9223372036855"}, {"value": "9223372036854.1"},
        {"value": "²"}, {"value": None}, {"value": ["1"]}, {"value": "1" * 21},
        {"at": "2026-11-20T00:00:00"}, {"at": "1970-01-01T00:00:00Z"}, {"at": "2100-01-01T00:00:00Z"}, {"at": 7},
        {"meter": " 1"}, {"meter": 1}, {"meter": []}, {"meter": "1" * 65}, {"channel": "x"}, {"channel": None},
        {"captured": GOOD["at"]}, {"unit": "Wh"}, {"meter": '1"2'},
    ],
)  # fmt: skip
def test_of_anything_else_it_says_nothing(change: dict[str, object]) -> None:
    message = written(GOOD, {**GOOD, **change})
    assert read_plain(message) is None
    assert said(read_own(message)) == said(read_with_care(message))


@pytest.mark.parametrize("beside", [{"id": 7}, {"contacts": {}}, {"contacts": [{"drift": 0.1}]}, {"intervals": [7]}])
def test_numbers_beside_the_readings_are_read_with_care(beside: dict[str, object]) -> None:
    assert read_plain(written(GOOD, **beside)) is None


texts = st.sampled_from(
    ["100", "1.8.0", "32.7.0", GOOD["at"], "12.5", "0001", "-1", "1e5", "", "9" * 19, "1." + "3" * 9]
)
scalars = texts | st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
elements = st.fixed_dictionaries(
    {}, optional=dict.fromkeys((*GOOD, "captured", "unit"), scalars)
) | st.fixed_dictionaries(
    {
        "meter": st.sampled_from(["1", "2"]),
        "channel": st.sampled_from(["1.8.0", "32.7.0"]),
        "at": st.sampled_from(["2026-11-20T00:00:00Z", "2026-11-20T00:00:00.5+04:00"]),
        "value": st.decimals(0, 10**7, places=4).map(str) | st.text("0123456789.", max_size=22),
    }
)


@settings(max_examples=500)
@example([GOOD], {"id": "a"})
@given(
    st.lists(elements | scalars, max_size=4),
    st.dictionaries(st.sampled_from(["id", "contacts", "rejects", "x"]), scalars | st.lists(scalars, max_size=2)),
)
def test_whatever_it_reads_is_what_the_careful_way_reads(parts: list[object], beside: dict[str, object]) -> None:
    message = written(*parts, **beside)
    assert said(read_own(message)) == said(read_with_care(message))


@settings(max_examples=300)
@given(st.binary(max_size=4), st.integers(0, 300))
def test_damaged_bytes_are_read_alike(noise: bytes, place: int) -> None:
    message = bytearray(written(GOOD, GOOD, id="abc"))
    message[place % len(message) : place % len(message) + len(noise)] = noise
    assert said(read_own(bytes(message))) == said(read_with_care(bytes(message)))
