"""A refused reading written out as text, whole, and read back: what quarantine keeps when nothing raw is there.

    meter=11000001 channel=1.8.0 taken_at=2026-03-01T00:00:00+00:00 value=12.5 source=automatic
    meter=11000001 channel=1.8.0 start=2026-03-01T00:00:00+00:00 seconds=1800 energy=0.25 source=automatic

`captured_at`, `author` and `note` follow where there are any; a text that is more than one plain word is quoted as in
JSON.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation

from ingest.delivery import Delivery
from ingest.errors import Malformed
from ingest.model import IntervalReading, Reading, Source

WHOLE = 8 << 10
"""A larger delivery is not kept whole for each reading that is refused of it: that would multiply it."""

_FIELD = re.compile(r'(\w+)=("(?:[^"\\]|\\.)*"|[^\s"]\S*)(?: |$)')
_PLAIN = re.compile(r'[^\s"]\S*')
_OF_READING = frozenset({"meter", "channel", "taken_at", "value", "source"})
_OF_INTERVAL = frozenset({"meter", "channel", "start", "seconds", "energy", "source"})
_MAY_FOLLOW = frozenset({"captured_at", "author", "note"})


def kept_of(item: Reading | IntervalReading, delivery: Delivery) -> bytes:
    """What quarantine keeps of a refused item: the delivery as it came, or the item written out."""
    alone = len(delivery.readings) + len(delivery.intervals) == 1
    if delivery.raw and (alone or len(delivery.raw) <= WHOLE):
        return delivery.raw
    return write_out(item)


def write_out(item: Reading | IntervalReading) -> bytes:
    """One line that `read_back` makes the same item of."""
    return " ".join(f"{name}={_word(value)}" for name, value in _fields(item)).encode()


def is_written_out(raw: bytes) -> bool:
    """Whether this looks like something `write_out` wrote."""
    return raw.startswith(b"meter=")


def read_back(raw: bytes) -> Reading | IntervalReading:
    """The item that was written out. Raises Malformed naming what is wrong with it."""
    fields = _split(raw)
    names = fields.keys() - _MAY_FOLLOW
    try:
        if names == _OF_READING:
            return _reading(fields)
        if fields.keys() == _OF_INTERVAL:
            return _interval(fields)
    except (KeyError, ValueError, InvalidOperation, OverflowError) as error:
        raise Malformed(f"a reading written out as {raw[:200]!r} is none: {error}") from error
    raise Malformed(f"{raw[:200]!r} is no reading written out: it has {', '.join(sorted(fields)) or 'no field'}")


def _fields(item: Reading | IntervalReading) -> Iterator[tuple[str, str]]:
    yield from (("meter", item.meter), ("channel", item.channel))
    if isinstance(item, IntervalReading):
        seconds = Decimal(item.length // timedelta(microseconds=1)).scaleb(-6)
        yield from (("start", item.start.isoformat()), ("seconds", f"{seconds.normalize():f}"))
        yield from (("energy", str(item.energy)), ("source", item.source.label))
        return
    yield from (("taken_at", item.taken_at.isoformat()), ("value", str(item.value)), ("source", item.source.label))
    if item.captured_at is not None:
        yield "captured_at", item.captured_at.isoformat()
    for name, text in (("author", item.author), ("note", item.note)):
        if text is not None:
            yield name, text


def _word(text: str) -> str:
    return text if _PLAIN.fullmatch(text) else json.dumps(text, ensure_ascii=False)


def _split(raw: bytes) -> dict[str, str]:
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise Malformed(f"{raw[:200]!r} is no reading written out: it is no text") from error
    fields: dict[str, str] = {}
    place = 0
    while place < len(text):
        match = _FIELD.match(text, place)
        if match is None or match[1] in fields:
            raise Malformed(f"{raw[:200]!r} is no reading written out: character {place} begins no field of one")
        fields[match[1]] = _unquoted(match[2])
        place = match.end()
    return fields


def _unquoted(word: str) -> str:
    if not word.startswith('"'):
        return word
    try:
        return str(json.loads(word))
    except ValueError as error:
        raise Malformed(f"{word[:200]!r} is no quoted text: {error}") from error


def _reading(fields: dict[str, str]) -> Reading:
    captured_at = fields.get("captured_at")
    return Reading(
        fields["meter"],
        fields["channel"],
        datetime.fromisoformat(fields["taken_at"]),
        Decimal(fields["value"]),
        Source[fields["source"].upper()],
        None if captured_at is None else datetime.fromisoformat(captured_at),
        fields.get("author"),
        fields.get("note"),
    )


def _interval(fields: dict[str, str]) -> IntervalReading:
    return IntervalReading(
        fields["meter"],
        fields["channel"],
        datetime.fromisoformat(fields["start"]),
        timedelta(microseconds=int(Decimal(fields["seconds"]).scaleb(6))),
        Decimal(fields["energy"]),
        Source[fields["source"].upper()],
    )
