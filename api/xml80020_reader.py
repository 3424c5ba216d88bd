"""80020 XML read as it is found in the field: any case of names, any common encoding, decimal commas, gaps.

What cannot be trusted is refused whole before anything is believed: entities and document types, other classes, a day
that is none. What is wrong with one row is told of that row. Sources of the facts are named in `api.xml80020`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from typing import NamedTuple
from xml.etree.ElementTree import ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

from api.instants import FIRST_YEAR, LAST_YEAR
from api.xml80020 import CHANNELS
from ingest.errors import Malformed

_DECLARED = re.compile(rb"""^\s*<\?xml[^>]*?encoding\s*=\s*["']([A-Za-z0-9._-]{1,40})["']""")
_DECLARATION = re.compile(r"^\s*<\?xml[^>]*\?>")
_ENCODINGS = {"windows-1251", "cp1251", "1251", "win-1251", "koi8-r", "cp866", "ibm866"}
_NAMES = {"1251": "cp1251", "win-1251": "cp1251"}
_VALUE = re.compile(r"\d{1,12}([.,]\d{1,9})?", re.ASCII)
_CLOCK = re.compile(r"([01]\d|2[0-4]):?([0-5]\d)", re.ASCII)
_DAY = re.compile(r"(\d{4})-?(\d\d)-?(\d\d)", re.ASCII)
_MIDNIGHT = timedelta(days=1)
_PIECE = 64 << 10
_DEEPEST = 32
MOST_ROWS = 300_000
"""In one message: half-hours of four channels of 1 500 points."""


@dataclass(frozen=True, slots=True)
class Period:
    """One row: energy from `start` to `end` of the clock. None for a value that is not there.

    `settled` is False for status 1: not for settlement. `summer` tells the first from the second of two equal hours.
    """

    point: str
    channel: str
    start: timedelta
    end: timedelta
    energy: Decimal | None
    settled: bool
    summer: bool | None


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that cannot be read: where it stands, and what is wrong with what."""

    where: str
    detail: str


@dataclass(slots=True)
class Read80020:
    """A message as it was read."""

    day: date
    sender: str
    sender_name: str
    number: str
    periods: list[Period] = field(default_factory=list)
    bad: list[BadRow] = field(default_factory=list)


class _Row(NamedTuple):
    """A period as it stands in the file: the codes above it, its attributes, its value's text and attributes."""

    point: str
    channel: str
    period: dict[str, str]
    text: str
    of_value: dict[str, str]


def read(raw: bytes) -> Read80020:
    """The message in these bytes. Raises Malformed saying what it is instead, and what to send."""
    walk = _Walk()
    parser = DefusedXMLParser(target=walk, forbid_dtd=True)
    text = _DECLARATION.sub("", decoded(raw), count=1).encode()
    try:
        for begin in range(0, len(text), _PIECE):
            parser.feed(text[begin : begin + _PIECE])
        parser.close()
    except DefusedXmlException as error:
        raise Malformed(
            "the file declares a document type or entities, which 80020 has not; such files are never opened"
        ) from error
    except ParseError as error:
        raise Malformed(f"the file is not well-formed XML ({error}); it may be cut off: fetch it again") from error
    head = walk.head
    if head.get("class") != "80020":
        raise Malformed(f"its class is {head.get('class', '')!r}, not '80020'; only messages of that class are read")
    return Read80020(
        _day(head.get("day", "")),
        head.get("inn", ""),
        head.get("name", ""),
        head.get("number", ""),
        walk.periods,
        walk.bad,
    )


def decoded(raw: bytes) -> str:
    """The text of a file: by its mark; UTF-8 where it is that, whatever is declared; as declared; as windows-1251.

    Russian text in any other encoding is no UTF-8, while any bytes at all can be taken for a one-byte encoding.
    """
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return _strictly(raw, "utf-16")
    if raw.startswith(b"\xef\xbb\xbf"):
        return _strictly(raw, "utf-8-sig")
    declared = _DECLARED.match(raw[:200])
    name = declared[1].decode("ascii").lower() if declared else ""
    for encoding in ("utf-8", *((_NAMES.get(name, name),) if name in _ENCODINGS else ()), "cp1251"):
        try:
            return raw.decode(encoding)
        except UnicodeError:
            continue
    raise Malformed("the file is neither UTF-8 nor windows-1251 text; save it in one of these encodings")


def _strictly(raw: bytes, encoding: str) -> str:
    try:
        return raw.decode(encoding)
    except UnicodeError as error:
        raise Malformed(f"the file begins as {encoding} but is none ({error}); save it in windows-1251") from error


class _Walk:
    """What the parser tells, element by element; nothing is kept of the file but its rows and its head."""

    def __init__(self) -> None:
        self.head: dict[str, str] = {}
        self.periods: list[Period] = []
        self.bad: list[BadRow] = []
        self._path: list[str] = []
        self._codes: dict[str, str] = {}
        self._period: dict[str, str] = {}
        self._value: tuple[str, dict[str, str]] = ("", {})
        self._attributes: dict[str, str] = {}
        self._text: list[str] = []

    def start(self, tag: str, given: dict[str, str]) -> None:
        """An element begins."""
        if len(self._path) >= _DEEPEST:
            raise Malformed(f"elements lie more than {_DEEPEST} deep in each other, which 80020 never does")
        name, self._text = _plain(tag), []
        self._path.append(name)
        attributes = {_plain(key): value.strip() for key, value in given.items()}
        if name == "message" and len(self._path) == 1:
            self.head |= {key: attributes.get(key, "") for key in ("class", "number")}
        elif name in ("measuringpoint", "measuringchannel"):
            self._codes[name] = attributes.get("code", "")
        elif name == "period":
            self._period, self._value = attributes, ("", {})
        elif name == "value":
            self._attributes = attributes

    def data(self, text: str) -> None:
        """A piece of the text in an element."""
        self._text.append(text)

    def end(self, tag: str) -> None:
        """An element ends."""
        name = self._path.pop()
        parent = self._path[-1] if self._path else ""
        if name == "value" and parent == "period":
            self._value = ("".join(self._text).strip(), self._attributes)
        elif name == "period" and parent == "measuringchannel":
            self._add()
        elif (parent, name) in _HEAD:
            self.head[_HEAD[parent, name]] = "".join(self._text).strip()
        self._text = []

    def close(self) -> None:
        """The file ends."""

    def _add(self) -> None:
        if len(self.periods) + len(self.bad) >= MOST_ROWS:
            raise Malformed(f"there are more than {MOST_ROWS} rows; split the message into several")
        point, channel = (self._codes.get(one, "") for one in ("measuringpoint", "measuringchannel"))
        one = _period(_Row(point, channel, self._period, *self._value))
        if isinstance(one, BadRow):
            self.bad.append(one)
        else:
            self.periods.append(one)


_HEAD = {("datetime", "day"): "day", ("sender", "inn"): "inn", ("sender", "name"): "name"}


def _plain(tag: str) -> str:
    return tag.rpartition("}")[2].lower()


def _day(text: str) -> date:
    found = _DAY.fullmatch(text)
    try:
        if found and FIRST_YEAR <= int(found[1]) <= LAST_YEAR:
            return date(int(found[1]), int(found[2]), int(found[3]))
    except ValueError:
        pass
    raise Malformed(f"the day {text!r} is none; it is written YYYYMMDD in datetime/day")


def _period(row: _Row) -> Period | BadRow:
    where = f"{row.point or '?'}/{row.channel or '?'} {row.period.get('start', '?')}-{row.period.get('end', '?')}"
    channel = row.channel.lstrip("0").rjust(2, "0")
    start, end = _clock(row.period.get("start", "")), _clock(row.period.get("end", ""))
    number = "".join(row.text.split())
    if not row.point:
        return BadRow(where, "the measuring point has no code")
    if channel not in CHANNELS:
        return BadRow(where, f"channel {row.channel!r} is unknown; 01 A+, 02 A-, 03 R+ and 04 R- are imported")
    if start is None or end is None or start >= _MIDNIGHT:
        return BadRow(where, "start or end is no time of day; they are written HHMM")
    if number and not _VALUE.fullmatch(number):
        return BadRow(where, f"value {row.text[:40]!r} is no energy; it is written in digits, without a sign")
    return Period(
        row.point,
        CHANNELS[channel],
        start,
        end or _MIDNIGHT,
        Decimal(number.replace(",", ".")) if number else None,
        row.of_value.get("status", "") in ("", "0"),
        {"0": False, "1": True}.get(row.of_value.get("summer", row.period.get("summer", ""))),
    )


def _clock(text: str) -> timedelta | None:
    found = _CLOCK.fullmatch(text)
    if found is None:
        return None
    time = timedelta(hours=int(found[1]), minutes=int(found[2]))
    return time if time <= _MIDNIGHT else None
