"""The kinds of values in the cabinet's JSON: channels, exact numbers, notes; and what inputs and outputs rest on."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from api.texts import Text
from api.validation import fault
from ingest.channel import check_channel

_NUMBER = re.compile(r"[+-]?\d{1,40}([.]\d{1,40})?", re.ASCII)
_PRINTABLE_OR_NEW_LINE = re.compile(r"[^\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]*")
_MOST_DIGITS = 12
MOST_VALUES = 32
LONGEST_NOTE = 500


def _channel(text: object) -> str:
    if not isinstance(text, str):
        raise fault("not_a_channel")
    try:
        return check_channel(text)
    except ValueError as e:
        raise fault("not_a_channel") from e


def _shown(value: object) -> Decimal:
    """What a display shows: a decimal string or an exactly read number, finite and not negative."""
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        raise fault("not_a_number")
    if isinstance(value, str) and not _NUMBER.fullmatch(value):
        raise fault("not_a_number")
    try:
        number = Decimal(value)
    except InvalidOperation as e:
        raise fault("not_a_number") from e
    if number.is_signed():
        raise fault("negative")
    if number.adjusted() >= _MOST_DIGITS:
        raise fault("too_many_digits", digits=_MOST_DIGITS)
    if number and number.normalize().adjusted() < -_MOST_DIGITS:
        raise fault("too_many_decimals", decimals=6)
    return number


def _note(text: object) -> object:
    if isinstance(text, str) and not _PRINTABLE_OR_NEW_LINE.fullmatch(text):
        raise fault("invalid_value", reason=Text("it holds control characters", "в нём управляющие символы"))
    return text


CHANNEL = r"^\d{1,3}\.\d{1,3}\.\d{1,3}$"
DECIMAL = r"^-?\d+(\.\d+)?$"
Channel = Annotated[
    str, BeforeValidator(_channel), WithJsonSchema({"type": "string", "pattern": CHANNEL, "examples": ["1.8.0"]})
]
Shown = Annotated[
    Decimal,
    BeforeValidator(_shown),
    WithJsonSchema(
        {
            "anyOf": [{"type": "string", "pattern": r"^\d{1,12}(\.\d{1,6})?$"}, {"type": "number", "minimum": 0}],
            "examples": ["12345.67"],
        }
    ),
]
Note = Annotated[str, BeforeValidator(_note), Field(max_length=LONGEST_NOTE)]
DecimalText = Annotated[str, Field(pattern=DECIMAL, examples=["12345.67"])]
SourceName = Literal["inspection", "automatic", "import", "operator", "consumer", "estimate"]
QualityName = Literal["good", "estimated", "suspect"]
ContactState = Literal["answering", "silent", "waiting", "manual"]


class Input(BaseModel):
    """What clients send."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")


class Output(BaseModel):
    """What clients get."""

    model_config = ConfigDict(frozen=True, extra="forbid")
