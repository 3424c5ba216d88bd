"""Parameters of files: days, months, taxpayer numbers, time zones, numbers of messages."""

from __future__ import annotations

import re
from datetime import date
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BeforeValidator, WithJsonSchema

from api.instants import FIRST_YEAR, LAST_YEAR, parse
from api.texts import Text
from api.validation import fault

_MONTH = re.compile(r"(\d{4})-(\d\d)", re.ASCII)
_INN = re.compile(r"\d{10}|\d{12}", re.ASCII)
_LONGEST_NAME = 200
_MOST_MESSAGES = 999_999_999
_NO_NAME = Text(
    f"not a printable name of at most {_LONGEST_NAME} characters",
    f"это не имя из печатных знаков, не больше {_LONGEST_NAME}",
)


def _day(text: object) -> date:
    found = parse(text)
    if type(found) is not date:
        raise fault("not_a_day")
    return found


def _month(text: object) -> date:
    found = _MONTH.fullmatch(text) if isinstance(text, str) else None
    if found is None or not 1 <= int(found[2]) <= 12:
        raise fault("not_a_month")
    if not FIRST_YEAR <= int(found[1]) < LAST_YEAR:
        raise fault("out_of_range", least=f"{FIRST_YEAR}-01", most=f"{LAST_YEAR - 1}-12")
    return date(int(found[1]), int(found[2]), 1)


def _inn(text: object) -> str:
    if not isinstance(text, str) or not _INN.fullmatch(text):
        raise fault("not_an_inn")
    return text


def _zone(text: object) -> ZoneInfo:
    try:
        if isinstance(text, str) and text.isascii():
            return ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        pass  # whatever it is, it is no zone: said below
    raise fault("not_a_zone")


def _name(text: object) -> str:
    if not isinstance(text, str) or not text.isprintable() or len(text) > _LONGEST_NAME:
        raise fault("invalid_value", reason=_NO_NAME)
    return text


def _number(text: object) -> int:
    if not isinstance(text, str) or not (text.isascii() and text.isdigit() and len(text) < 10 and int(text)):
        raise fault("out_of_range", least=1, most=_MOST_MESSAGES)
    return int(text)


Day = Annotated[
    date,
    BeforeValidator(_day),
    WithJsonSchema({"type": "string", "format": "date", "examples": ["2026-03-10"]}),
]
Month = Annotated[
    date,
    BeforeValidator(_month),
    WithJsonSchema({"type": "string", "pattern": r"^\d{4}-(0[1-9]|1[0-2])$", "examples": ["2026-03"]}),
]
"""The first day of the month meant."""

Inn = Annotated[
    str,
    BeforeValidator(_inn),
    WithJsonSchema({"type": "string", "pattern": r"^(\d{10}|\d{12})$", "examples": ["7703311228"]}),
]
Zone = Annotated[
    ZoneInfo,
    BeforeValidator(_zone),
    WithJsonSchema({"type": "string", "description": "IANA time zone", "examples": ["Europe/Samara"]}),
]
PartyName = Annotated[
    str, BeforeValidator(_name), WithJsonSchema({"type": "string", "maxLength": _LONGEST_NAME, "examples": ["Сети"]})
]
MessageNumber = Annotated[
    int,
    BeforeValidator(_number),
    WithJsonSchema({"type": "integer", "minimum": 1, "maximum": _MOST_MESSAGES}),
]
