"""Readings from a CSV file, row by row: what parsed becomes a reading, what did not is rejected with its row number.

Columns: meter, channel, taken_at (with an offset), value (decimal point), and optionally source and author.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from datetime import datetime
from decimal import Decimal, InvalidOperation
from itertools import islice

from ingest.channel import check_channel
from ingest.delivery import Delivery, Reject
from ingest.errors import Malformed
from ingest.model import Reading, Source

REQUIRED = ("meter", "channel", "taken_at", "value")
OPTIONAL = ("source", "author")
LONGEST_FIELD = 1_000


def deliveries(lines: Iterable[str], name: str, *, rows: int = 5_000) -> Iterator[Delivery]:
    """Deliveries of at most `rows` rows each, from the lines of a file called `name`.

    Raises Malformed when the header is not ours; a bad row never stops the others.
    """
    reader = csv.DictReader(lines)
    _check_header(reader.fieldnames or [], name)
    while chunk := list(islice(_parsed(reader), rows)):
        yield Delivery(
            f"import:{name}",
            [item for item in chunk if isinstance(item, Reading)],
            [item for item in chunk if isinstance(item, Reject)],
        )


def _check_header(header: Iterable[str], name: str) -> None:
    columns = list(header)
    missing = [column for column in REQUIRED if column not in columns]
    unknown = [column for column in columns if column not in (*REQUIRED, *OPTIONAL)]
    if missing or unknown:
        wrong = [f"{column!r} is missing" for column in missing] + [f"{column!r} is unknown" for column in unknown]
        raise Malformed(
            f"{name}: the header's {', '.join(wrong)}; its columns are {', '.join(REQUIRED)}"
            f" and optionally {', '.join(OPTIONAL)}"
        )


def _parsed(reader: csv.DictReader[str]) -> Iterator[Reading | Reject]:
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield Reject("malformed", f"row {reader.line_num}: {error}", f"row {reader.line_num}".encode())
            continue
        try:
            yield _reading(row)
        except (ValueError, TypeError) as error:
            raw = ",".join("" if value is None else str(value) for value in row.values()).encode()
            meter, channel = row.get("meter"), row.get("channel")
            yield Reject("malformed", f"row {reader.line_num}: {error}", raw, meter, channel)


def _reading(row: dict[str | None, str]) -> Reading:
    if None in row:
        raise ValueError(f"{len(row[None])} fields more than the header has; quote a field that holds commas")
    for column in REQUIRED:
        if not (row.get(column) or "").strip():
            raise ValueError(f"{column} is empty")
        if len(row[column]) > LONGEST_FIELD:
            raise ValueError(f"{column} is {len(row[column])} characters long; at most {LONGEST_FIELD} make sense")
    return Reading(
        meter=row["meter"].strip(),
        channel=check_channel(row["channel"].strip()),
        taken_at=_instant(row["taken_at"].strip()),
        value=_decimal(row["value"].strip()),
        source=_source((row.get("source") or "import").strip()),
        author=(row.get("author") or "").strip() or None,
    )


def _instant(text: str) -> datetime:
    try:
        instant = datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"taken_at {text!r} is no ISO 8601 instant; write 2026-11-20T00:00:00+03:00") from error
    if instant.tzinfo is None:
        raise ValueError(f"taken_at {text!r} has no time zone; write its offset, like 2026-11-20T00:00:00+03:00")
    return instant


def _decimal(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation as error:
        raise ValueError(f"value {text!r} is no number; write it with a decimal point, like 1234.567") from error


def _source(text: str) -> Source:
    try:
        return Source[text.upper()]
    except KeyError as error:
        known = ", ".join(source.label for source in Source)
        raise ValueError(f"source {text!r} is unknown; use one of {known}") from error
