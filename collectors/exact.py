"""Untrusted scalars made exact: numbers as Decimal of their own text, instants aware and in UTC, serials fit to keep.

Everything a message carries passes here. What does not fit raises `Unfit`, which names the field, the value and the
remedy; nothing else is ever raised, whatever the input.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from json.scanner import make_scanner
from typing import NamedTuple

from ingest.channel import LARGEST_MICRO, MICRO, is_counter, unit_of

EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)
"""No meter read remotely is older; an unset clock says 1970 or 1980."""

LATEST = datetime(2100, 1, 1, tzinfo=UTC)
"""A clock gone astray; what is merely in the future is for the judge."""

LONGEST_TEXT = 64
_SHORT = 12
_LARGEST = LARGEST_MICRO // MICRO
_NUMBER = re.compile(r"[+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d{1,3})?", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_MARK = secrets.token_hex(8)
_MARKED = re.compile(f'"{_MARK}([^"]*)"')
"""json can only write its own number types, so a Decimal passes it as a text nobody can have sent."""


class Unfit(ValueError):
    """A piece that cannot become a reading. `reason` is a stable code, the message names field, value and remedy."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


class Digits(str):
    """The text of a JSON number too wild for Decimal; it is no number to anybody, and not a string either."""

    __slots__ = ()


def shown(value: object) -> str:
    """A value as an error shows it: printable, quoted where it is text, at most 60 characters."""
    try:
        text = str(value) if isinstance(value, (Decimal, Digits)) else repr(value)
    except RecursionError:  # what json just read may be nested too deep to be written
        return f"a {type(value).__name__} nested too deep to be shown"
    return text if len(text) <= 60 else text[:57] + "..."


class Twice(dict[str, object]):
    """A JSON object that gives a name more than once: which of the values is meant nobody knows."""

    __slots__ = ("name",)

    def __init__(self, pairs: Sequence[tuple[str, object]]) -> None:
        super().__init__(pairs)
        names = [name for name, _ in pairs]
        self.name = next(name for place, name in enumerate(names) if name in names[:place])
        """The first that is."""

    def unfit(self) -> Unfit:
        """What is to be said of it."""
        return Unfit("malformed", f"{shown(self.name)} is given twice in one object; send every name once")


def _object(pairs: Sequence[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    return found if len(found) == len(pairs) else Twice(pairs)


class _Reader(NamedTuple):
    """The scanner for nearly all texts, and what tells of the others."""

    scan: Callable[[str, int], tuple[object, int]]
    plain: json.JSONDecoder
    wild: json.JSONDecoder


def _reader(pairs: Callable[[Sequence[tuple[str, object]]], object] | None) -> _Reader:
    plain, wild = (
        json.JSONDecoder(parse_float=one, parse_int=one, parse_constant=Decimal, object_pairs_hook=pairs)
        for one in (Decimal, _wild_number)
    )
    return _Reader(make_scanner(plain), plain, wild)  # type: ignore[arg-type]  # as json itself does


def _wild_number(text: str) -> Decimal | Digits:
    try:
        return Decimal(text)
    except ArithmeticError:
        return Digits(text)


_lenient, _strict = _reader(None), _reader(_object)


def read_json(payload: bytes, *, strict: bool = False) -> object:
    """JSON of UTF-8 bytes with every number a Decimal of its own text, NaN and infinities included; or Unfit.

    Of a name given twice in one object the last value counts; `strict` makes such an object `Twice`.
    """
    try:
        text = payload.decode()
    except UnicodeDecodeError as e:
        raise Unfit("malformed", f"the payload is not UTF-8 (byte {e.start}); send JSON encoded as UTF-8") from e
    try:
        return _read_text(text, _strict if strict else _lenient)
    except ValueError as e:
        raise Unfit("malformed", f"the payload is not JSON: {e}; send a complete JSON text") from e
    except RecursionError as e:
        raise Unfit("malformed", "the payload is nested too deep to be read; send it flat") from e


def _read_text(text: str, reader: _Reader) -> object:
    try:
        value, end = reader.scan(text, 0)
        if end == len(text) or text[end:].isspace():
            return value
    except (StopIteration, ValueError, ArithmeticError):
        pass  # told below, where spaces and a byte order mark around the text are no harm
    text = text.removeprefix("\ufeff")
    try:
        return reader.plain.decode(text)
    except ArithmeticError:
        return reader.wild.decode(text)


def write_json(value: object) -> bytes:
    """What `read_json` gave, as JSON again, its numbers in their own digits."""
    marked = json.dumps(value, default=lambda number: f"{_MARK}{number}")
    return _MARKED.sub(r"\1", marked).encode()


def number(field: str, value: object) -> Decimal:
    """A JSON number or a text of one as Decimal: finite, and small enough to be stored in millionths; or Unfit."""
    if type(value) is str and len(value) <= _SHORT and value.isascii() and value.replace(".", "", 1).isdigit():
        return Decimal(value)  # nearly all there are: no sign, no exponent, too short to be too large
    if type(value) is Decimal:
        result = value
    elif type(value) is str and len(value) <= LONGEST_TEXT and _NUMBER.fullmatch(value):
        result = Decimal(value)
    else:
        raise Unfit("bad_value", f"{field} {shown(value)} is not a number; write a decimal like 12345.678")
    if result.is_finite() and result.adjusted() < 12:
        return result
    if not result.is_finite():
        raise Unfit("bad_value", f"{field} {shown(result)} is not a finite number; leave out what was not measured")
    if result.adjusted() > 12 or not -_LARGEST <= result <= _LARGEST:
        raise Unfit("bad_value", f"{field} {shown(result)} is too large; the largest that can be stored is {_LARGEST}")
    return result


def energy(field: str, channel: str, value: Decimal) -> Decimal:
    """The value unless it is a negative one of an energy counter, which is Unfit."""
    if value < 0 and is_counter(channel):
        raise Unfit("bad_value", f"{field} {shown(value)} of {channel} is negative; an energy counter never is")
    return value


@lru_cache(maxsize=4096)
def _known_channel(channel: str) -> str:
    unit_of(channel)
    return channel


def obis(field: str, value: object) -> str:
    """An OBIS code whose unit is known; or Unfit."""
    if type(value) is not str or len(value) > LONGEST_TEXT:
        raise Unfit("unknown_channel", f"{field} {shown(value)} is not an OBIS code; write a text like '1.8.0'")
    try:
        return _known_channel(value)
    except ValueError as e:
        raise Unfit("unknown_channel", f"{field}: {e}") from e


def serial(field: str, value: object) -> str:
    """A meter's serial number: a printable text of 1 to 64 characters without spaces around it; or Unfit."""
    if type(value) is Decimal:
        raise Unfit("bad_meter", f"{field} {shown(value)} is a number; quote it, or its leading zeros are lost")
    if (
        type(value) is not str
        or not value.isprintable()
        or not 0 < len(value) <= LONGEST_TEXT
        or value != value.strip()
    ):
        raise Unfit("bad_meter", f"{field} {shown(value)} is not a serial number; write 1 to 64 printable characters")
    return value


def instant(field: str, value: object) -> datetime:
    """An ISO 8601 text with its offset as an instant in UTC, between 1990 and 2100; or Unfit."""
    if type(value) is not str or len(value) > LONGEST_TEXT:
        raise Unfit("bad_time", f"{field} {shown(value)} is not a time; write it like '2026-11-20T00:00:00+04:00'")
    return _instant(field, value)


@lru_cache(maxsize=4096)
def _instant(field: str, text: str) -> datetime:
    moment = naive_or_aware(field, text)
    if moment.utcoffset() is None:
        raise Unfit("bad_time", f"{field} {shown(text)} has no time zone; write it with its offset, like +04:00")
    return in_range(field, text, moment)


def naive_or_aware(field: str, text: str) -> datetime:
    """An ISO 8601 text as it stands, zone or none; or Unfit."""
    try:
        return datetime.fromisoformat(text)
    except ValueError as e:
        raise Unfit(
            "bad_time", f"{field} {shown(text)} is not a time: write it like '2026-11-20T00:00:00+04:00'"
        ) from e


def in_range(field: str, written: object, moment: datetime) -> datetime:
    """An aware instant in UTC when it lies between 1990 and 2100; or Unfit."""
    try:
        utc = moment.astimezone(UTC)
    except OverflowError:
        utc = EARLIEST - timedelta(days=1)
    if not EARLIEST <= utc < LATEST:
        raise Unfit("bad_time", f"{field} {shown(written)} is outside 1990 to 2100; set the clock of the sender")
    return utc


def since_epoch(field: str, value: object, per_second: int) -> datetime:
    """Seconds (or milliseconds: `per_second` 1000) since 1970 as an instant between 1990 and 2100; or Unfit."""
    ticks = number(field, value)
    try:
        moment = _EPOCH + timedelta(microseconds=int(ticks * 1_000_000 / per_second))
    except OverflowError:
        moment = _EPOCH
    return in_range(field, value, moment)
