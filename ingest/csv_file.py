"""Readings from a CSV file, line by line: what parsed becomes a reading, what did not is rejected with its row number.

Columns: meter, channel, taken_at (with an offset), value (decimal point), and optionally source and author. A line is
a row: a quotation mark that is never closed costs its own row and no other.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from itertools import islice

from ingest.channel import check_channel
from ingest.delivery import Delivery, Reject
from ingest.errors import Malformed
from ingest.model import Reading, Source

REQUIRED = ("meter", "channel", "taken_at", "value")
OPTIONAL = ("source", "author")
LONGEST_FIELD = 1_000
_NUMBER = re.compile(r"[+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d{1,3})?", re.ASCII)


def deliveries(lines: Iterable[str], name: str, *, rows: int = 5_000) -> Iterator[Delivery]:
    """Deliveries of at most `rows` rows each, from the lines of a file called `name`.

    Bytes that are no UTF-8 may come as the surrogates of `surrogateescape`. Raises Malformed when the header is not
    ours; a bad row never stops the others.
    """
    numbered = enumerate(lines, 1)
    parsed = _parsed(numbered, _header(numbered, name))
    while chunk := list(islice(parsed, rows)):
        yield Delivery(
            f"import:{name}",
            [item for item in chunk if isinstance(item, Reading)],
            [item for item in chunk if isinstance(item, Reject)],
        )


def _header(numbered: Iterator[tuple[int, str]], name: str) -> Sequence[str]:
    line = next((line for _, line in numbered if line.strip()), "")
    try:
        columns = [column.strip() for column in _split(line)]
    except ValueError as error:
        raise Malformed(f"{name}: the header cannot be read: {error}") from error
    missing = [column for column in REQUIRED if column not in columns]
    unknown = [column for column in columns if column not in (*REQUIRED, *OPTIONAL)]
    twice = sorted({column for column in columns if columns.count(column) > 1} - {*unknown})
    if missing or unknown or twice:
        wrong = [f"{column!r} is missing" for column in missing] + [f"{column!r} is unknown" for column in unknown]
        wrong += [f"{column!r} is there twice" for column in twice]
        raise Malformed(
            f"{name}: the header's {', '.join(wrong)}; its columns are {', '.join(REQUIRED)}"
            f" and optionally {', '.join(OPTIONAL)}, parted by commas"
        )
    return columns


def _parsed(numbered: Iterable[tuple[int, str]], columns: Sequence[str]) -> Iterator[Reading | Reject]:
    for number, line in numbered:
        if not line.strip():
            continue
        row: dict[str, str] = {}
        try:
            row = _row(line, columns)
            yield _reading(row)
        except (ValueError, TypeError) as error:
            raw = line.rstrip("\r\n").encode("utf-8", "surrogateescape")
            yield Reject("malformed", f"row {number}: {error}", raw, _named(row, "meter"), _named(row, "channel"))


def _split(line: str) -> list[str]:
    if any("\udc80" <= sign <= "\udcff" for sign in line):
        raise ValueError("it is not UTF-8; save the file as CSV UTF-8")
    try:
        return next(csv.reader([line], strict=True))
    except csv.Error as error:
        raise ValueError(f"{error}; is a quotation mark missing?") from error


def _row(line: str, columns: Sequence[str]) -> dict[str, str]:
    fields = [field.strip() for field in _split(line)]
    if len(fields) > len(columns):
        raise ValueError(f"{len(fields) - len(columns)} fields more than the header has; quote a field that has commas")
    return dict(zip(columns, fields, strict=False))


def _reading(row: Mapping[str, str]) -> Reading:
    for column in REQUIRED:
        if not row.get(column):
            raise ValueError(f"{column} is empty")
    for column, field in row.items():
        if len(field) > LONGEST_FIELD:
            raise ValueError(f"{column} is {len(field)} characters long; at most {LONGEST_FIELD} make sense")
        if not field.isprintable():
            raise ValueError(f"{column} {field!r} has characters that cannot be printed; take them out")
    return Reading(
        meter=row["meter"],
        channel=check_channel(row["channel"]),
        taken_at=_instant(row["taken_at"]),
        value=_decimal(row["value"]),
        source=_source(row.get("source") or "import"),
        author=row.get("author") or None,
    )


def _named(row: Mapping[str, str], column: str) -> str | None:
    """What a bad row says it is about, if that can be kept."""
    field = row.get(column)
    return field if field and field.isprintable() and len(field) <= LONGEST_FIELD else None


def _instant(text: str) -> datetime:
    try:
        instant = datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"taken_at {text!r} is no ISO 8601 instant; write 2026-11-20T00:00:00+03:00") from error
    if instant.tzinfo is None:
        raise ValueError(f"taken_at {text!r} has no time zone; write its offset, like 2026-11-20T00:00:00+03:00")
    try:
        return instant.astimezone(UTC)
    except OverflowError as error:
        raise ValueError(f"taken_at {text!r} is in no year from 1 to 9999") from error


def _decimal(text: str) -> Decimal:
    if not _NUMBER.fullmatch(text):
        raise ValueError(f"value {text!r} is no number; write it with a decimal point, like 1234.567")
    return Decimal(text)


def _source(text: str) -> Source:
    try:
        return Source[text.upper()]
    except KeyError as error:
        known = ", ".join(source.label for source in Source)
        raise ValueError(f"source {text!r} is unknown; use one of {known}") from error
