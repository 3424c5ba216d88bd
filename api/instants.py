"""Instants and ranges as clients write them: a date in the point's zone, or a time with its offset."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import AwareDatetime, BeforeValidator, WithJsonSchema

from api.faults import Fault
from api.problems import invalid
from api.texts import Text
from api.validation import fault

FIRST_YEAR, LAST_YEAR = 1970, 2199
MOST_YEARS = 50
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(:\d\d([.]\d{1,9})?)?([Zz]|[+ -]\d\d:\d\d)?", re.ASCII)
TIME_ALONE = Text("a time with its offset, 2026-03-01T00:00:00+04:00", "время со смещением: 2026-03-01T00:00:00+04:00")
DATE_OR_TIME = Text(f"a date, 2026-03-01, or {TIME_ALONE.en}", f"дату 2026-03-01 или {TIME_ALONE.ru}")
_PLUS_LOST = re.compile(r" (\d\d:\d\d)$")
"""A '+' written into an address without %2B arrives as a space; after a time it can mean nothing else."""


def parse(text: object, form: Text = DATE_OR_TIME) -> date | datetime:
    """A date, or an aware instant in UTC. Raises pydantic's error with a code of ours, and with the form to write."""
    if not isinstance(text, str) or not (_DATE.fullmatch(text) or _TIME.fullmatch(text)):
        raise fault("not_a_time", form=form)
    try:
        found = date.fromisoformat(text) if len(text) == len("2026-03-01") else _instant(text)
    except ValueError as e:
        raise fault("not_a_time", form=form) from e
    if isinstance(found, datetime) and found.tzinfo is None:
        raise fault("naive_time", form=form)
    if not FIRST_YEAR <= found.year <= LAST_YEAR:
        raise fault("out_of_range", least=f"{FIRST_YEAR}-01-01", most=f"{LAST_YEAR}-12-31")
    return found.astimezone(UTC) if isinstance(found, datetime) else found


def parse_instant(text: object) -> datetime:
    """An aware instant in UTC; a date alone is not one."""
    found = parse(text, TIME_ALONE)
    if not isinstance(found, datetime):
        raise fault("naive_time", form=TIME_ALONE)
    return found


def _instant(text: str) -> datetime:
    text = _PLUS_LOST.sub(r"+\1", text.upper()) if len(text) > len("2026-03-01 00:00") else text.upper()
    whole, point, rest = text.partition(".")
    if point:  # more than six decimals are cut off: nobody's clock is finer than a microsecond
        decimals = re.match(r"\d+", rest)
        assert decimals
        text = f"{whole}.{decimals[0][:6].ljust(6, '0')}{rest[decimals.end() :]}"
    return datetime.fromisoformat(text)


_EXAMPLES = ["2026-03-01", "2026-03-01T00:00:00+04:00"]
When = Annotated[
    Any,
    BeforeValidator(parse),
    WithJsonSchema(
        {
            "type": "string",
            "anyOf": [{"format": "date"}, {"format": "date-time"}],
            "description": "a date in the point's zone, or a time with its offset",
            "examples": _EXAMPLES,
        }
    ),
]
"""A date (its beginning in the point's zone) or a time with its offset."""

Instant = Annotated[
    AwareDatetime,
    BeforeValidator(parse_instant),
    WithJsonSchema({"type": "string", "format": "date-time", "examples": _EXAMPLES[1:]}),
]
"""A time with its offset."""


@dataclass(frozen=True, slots=True)
class Range:
    """[since, until), both aware."""

    since: datetime
    until: datetime

    def within(self, since: datetime, until: datetime | None) -> Range | None:
        """The part of it inside [since, until), None for no part."""
        first = max(self.since, since)
        last = self.until if until is None else min(self.until, until)
        return Range(first, last) if first < last else None


def resolve(when: date | datetime, zone: ZoneInfo) -> datetime:
    """The instant meant: a date is its first instant in the zone."""
    if isinstance(when, datetime):
        return when
    return datetime.combine(when, time(), zone).astimezone(UTC)


def make_range(since: date | datetime, until: date | datetime, zone: ZoneInfo) -> Range:
    """The range meant. Raises the 422 naming the field when it is empty, reversed or too long."""
    first, last = resolve(since, zone), resolve(until, zone)
    if first >= last:
        raise invalid(Fault("from", since.isoformat(), "not_before"))
    if last - first > timedelta(days=366 * MOST_YEARS):
        raise invalid(Fault("to", until.isoformat(), "range_too_long", most=MOST_YEARS))
    return Range(first, last)
