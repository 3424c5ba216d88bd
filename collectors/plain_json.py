"""Our own JSON as nearly all of it is, read fast: whole columns, no object for a reading.

Plain is a message of readings that each have the four fields, texts all of them, in the usual ways of writing. Of any
other message (a number instead of a text, an exponent, a sign, a field more, a mistake) this says nothing at all, and
it is read with care, element by element. What is read here is exact: digits become whole millionths, never a float.
"""

from __future__ import annotations

import orjson

from collectors.exact import instant, obis, serial
from ingest.columns import Columns, Key
from ingest.instants import micros

_LONGEST = 20
"""Characters of a value; a longer one has more digits than a register."""

_MOST_NAMES, _MOST_TIMES = 500_000, 10_000
_SCALE = tuple(10 ** (6 - places) for places in range(7))
_POINT = "."

_names: dict[Key, Key] = {}
"""Meters with channels that were found fit; each is the one object that stands for it."""

_times: dict[str, int] = {}


def read_plain(payload: bytes) -> tuple[Columns, dict[str, object]] | None:
    """The readings of a plain message, and whatever stands beside them; None if anything is not plain."""
    try:
        content = orjson.loads(payload)
        columns = _columns(content.pop("readings"))
        texts = 1 + 8 * len(columns)
        for beside in content.values():
            texts += 1 + _texts(beside)
        if payload.count(b'"') != 2 * texts:  # a name was given twice, and one of its values is gone
            return None
    except (orjson.JSONDecodeError, LookupError, TypeError, AttributeError, ValueError):
        return None  # whoever reads it with care names what is wrong
    return columns, content


def _texts(beside: object) -> int:
    """How many texts there are; ValueError for anything else, whose meaning a reader of JSON can have changed."""
    if type(beside) is str:
        return 1
    if type(beside) is not list:
        raise ValueError
    for element in beside:
        if type(element) is not dict or any(type(value) is not str for value in element.values()):
            raise ValueError
    return sum(2 * len(element) for element in beside)


def _columns(elements: list[dict[str, str]]) -> Columns:
    """Raises one of the errors of `read_plain` for whatever is not plain."""
    keys: list[Key] = []
    ats: list[int] = []
    values: list[int] = []
    names, times = _names, _times
    if type(elements) is not list:
        raise ValueError
    for element in elements:
        if len(element) != 4:
            raise ValueError
        name = element["meter"], element["channel"]
        keys.append(names.get(name) or _name(name))
        written = element["at"]
        at = times.get(written)
        ats.append(_time(written) if at is None else at)
        value = element["value"]
        whole, _, rest = value.partition(_POINT)
        if len(value) > _LONGEST or not value.isascii() or not (whole + rest).isdigit() or not whole:
            raise ValueError
        values.append(int(whole + rest) * _SCALE[len(rest)])
    return Columns(keys, ats, values)


def _name(name: Key) -> Key:
    fit = serial("meter", name[0]), obis("channel", name[1])
    if len(_names) >= _MOST_NAMES:
        _names.clear()
    return _names.setdefault(fit, fit)


def _time(written: str) -> int:
    at = micros(instant("at", written))
    if len(_times) >= _MOST_TIMES:
        _times.clear()
    _times[written] = at
    return at
