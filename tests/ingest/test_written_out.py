"""Refused readings written out: read back as the same, and nothing else is taken for one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.delivery import Delivery
from ingest.errors import Malformed
from ingest.model import IntervalReading, Reading, Source
from ingest.written_out import WHOLE, is_written_out, kept_of, read_back, write_out

AT = datetime(2026, 3, 1, 0, 30, tzinfo=timezone(timedelta(hours=4)))
PLAIN = Reading("m1", "1.8.0", AT, Decimal("12.500"))
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)


def test_it_is_one_plain_line() -> None:
    assert (
        write_out(PLAIN) == b"meter=m1 channel=1.8.0 taken_at=2026-03-01T00:30:00+04:00 value=12.500 source=automatic"
    )
    interval = IntervalReading("m1", "1.8.0", AT, timedelta(minutes=30), Decimal("0.25"))
    assert write_out(interval).endswith(b"start=2026-03-01T00:30:00+04:00 seconds=1800 energy=0.25 source=automatic")


@given(TEXTS, st.none() | TEXTS, st.none() | TEXTS, st.none() | st.datetimes(timezones=st.just(UTC)))
def test_whatever_people_wrote_comes_back(
    meter: str, author: str | None, note: str | None, captured_at: datetime | None
) -> None:
    reading = Reading(meter, "1.8.0", AT, Decimal("1E+3"), Source.CONSUMER, captured_at, author, note)
    assert is_written_out(write_out(reading))
    assert read_back(write_out(reading)) == reading


@given(st.timedeltas(min_value=timedelta(microseconds=1), max_value=timedelta(days=40)))
def test_a_profile_interval_comes_back(length: timedelta) -> None:
    interval = IntervalReading("1 2", "2.8.0", AT, length, Decimal("0.000001"), Source.IMPORT)
    assert read_back(write_out(interval)) == interval


def test_a_note_cannot_pass_for_fields() -> None:
    note = "x channel=9.9.9 taken_at=2000-01-01T00:00:00+00:00 value=1 source=inspection"
    assert read_back(write_out(Reading("m", "1.8.0", AT, Decimal(1), note=note))).channel == "1.8.0"


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"12.5",
        b"\xff\xfe",
        b"meter=m1",
        write_out(PLAIN) + b" unit=Wh",
        write_out(PLAIN) + b" value=13",
        write_out(PLAIN).replace(b"12.500", b"NaN"),
        write_out(PLAIN).replace(b"12.500", b"about-12"),
        write_out(PLAIN).replace(b"12.500", b"-12"),
        write_out(PLAIN).replace(b"+04:00", b""),
        write_out(PLAIN).replace(b"automatic", b"hearsay"),
        write_out(PLAIN).replace(b"m1", b'"\\q"'),
        b"meter=m1 channel=1.8.0 start=2026-03-01T00:00:00+00:00 seconds=-1 energy=1 source=automatic",
        b"meter=m1 channel=1.8.0 start=2026-03-01T00:00:00+00:00 seconds=1e99 energy=1 source=automatic",
    ],
)
def test_nothing_else_is_taken_for_a_reading(raw: bytes) -> None:
    with pytest.raises(Malformed, match=r"reading written out|quoted text"):
        read_back(raw)


def test_a_delivery_is_kept_whole_unless_that_would_multiply_it() -> None:
    two = (PLAIN, PLAIN)
    assert kept_of(PLAIN, Delivery("o", two, raw=b"raw")) == b"raw"
    assert kept_of(PLAIN, Delivery("o", (PLAIN,), raw=b"r" * (WHOLE + 1))) == b"r" * (WHOLE + 1)
    assert kept_of(PLAIN, Delivery("o", two, raw=b"r" * (WHOLE + 1))) == write_out(PLAIN)
    assert kept_of(PLAIN, Delivery("o", two)) == write_out(PLAIN)
