"""What engineers send: things of the fleet, exchanges, choices of quarantined pieces."""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal
from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict, Field, WithJsonSchema

from api.export_fields import Day
from api.fields import MOST_VALUES, Channel, Input, Shown
from api.instants import When
from api.texts import Text
from api.validation import fault

_NUMBER = re.compile(r"\d{1,7}([.]\d{1,6})?", re.ASCII)
_PERIOD = re.compile(r"(?:(\d{1,5})d)?(?:(\d{1,5})h)?(?:(\d{1,5})m)?(?:(\d{1,7})s)?", re.ASCII)
_LONGEST_NAME = 200
_NOT_PRINTABLE = Text(
    "it has spaces around it or characters that cannot be printed", "в нём пробелы по краям или непечатные знаки"
)
_MOST_IDS = 1_000
_LARGEST_ID = 2**53


def _name(text: object) -> str:
    if not isinstance(text, str):
        raise fault("wrong_type", expected=Text("a text", "текст"))
    if not text:
        raise fault("empty", what=Text("one character", "один знак"))
    if len(text) > _LONGEST_NAME:
        raise fault("too_long", most=_LONGEST_NAME, what=Text("characters", "знаков"))
    if text != text.strip() or not text.isprintable():
        raise fault("invalid_value", reason=_NOT_PRINTABLE)
    return text


def _ratio(value: object) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        raise fault("not_a_number")
    text = value if isinstance(value, str) else format(value, "f") if isinstance(value, Decimal) else str(value)
    if not _NUMBER.fullmatch(text) or not Decimal(text):
        raise fault("out_of_range", least="0.000001", most="9999999")
    return Decimal(text)


def _period(text: object) -> timedelta:
    match = _PERIOD.fullmatch(text) if isinstance(text, str) and text else None
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups()) if match else (0, 0, 0, 0)
    length = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    if not timedelta(0) < length <= timedelta(days=31):
        raise fault("out_of_range", least="1s", most="31d")
    return length


_NAME_SCHEMA = {"type": "string", "minLength": 1, "maxLength": _LONGEST_NAME}
Name = Annotated[str, BeforeValidator(_name), WithJsonSchema(_NAME_SCHEMA)]
"""A code, serial number or name: printable, without spaces around it."""

Ratio = Annotated[
    Decimal,
    BeforeValidator(_ratio),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": r"^\d{1,7}(\.\d{1,6})?$"},
                {"type": "number", "exclusiveMinimum": 0, "maximum": 9_999_999},
            ],
            "examples": ["40"],
        }
    ),
]
Period = Annotated[
    timedelta,
    BeforeValidator(_period),
    WithJsonSchema({"type": "string", "pattern": r"^(\d+d)?(\d+h)?(\d+m)?(\d+s)?$", "examples": ["30m", "1h"]}),
]
Readings = Annotated[
    dict[Channel, Shown],
    Field(
        max_length=MOST_VALUES,
        description="register values by channel",
        json_schema_extra={"additionalProperties": False},
    ),
]


class PointIn(Input):
    """A point as it shall be; what is left out is as in a fleet file."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "Flat 12", "zone": "Europe/Samara"}]})

    name: Name | None = None
    address: Name | None = None
    zone: Name = "Europe/Moscow"
    category: Name = "household"
    official_code: Name | None = None


class LineIn(Input):
    """A line as it shall be. A password that is stars stays the one that is stored."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"kind": "modbus-tcp", "address": "10.0.0.7:502"}]})

    kind: Name
    address: Name
    options: dict[str, Any] = Field(default_factory=dict, max_length=50)


class RegisterIn(Input):
    """A register that the catalogue does not know, or knows otherwise."""

    channel: Channel
    digits: int | None = Field(None, ge=1, le=12)
    decimals: int = Field(3, ge=0, le=6)
    max_rate: Ratio | None = None


class MeterIn(Input):
    """A meter as it shall be: asked over a line at an address, delivered by a gateway, or read by people.

    A password that is stars stays the one that is stored.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"model": "eastron-sdm630", "line": "house-1", "address": "7", "period": "30m"}]
        }
    )

    model: Name
    line: Name | None = None
    address: Name | None = None
    gateway: Name | None = None
    period: Period = Field(default=timedelta(minutes=30), json_schema_extra={"default": "30m"})
    verified_until: Day | None = Field(None, description="last day of its verification")
    options: dict[str, Any] = Field(default_factory=dict, max_length=50)
    registers: list[RegisterIn] = Field(default_factory=list, max_length=200)


class InstallationIn(Input):
    """Which meter stands at the point, over [since, until). The same `since` again corrects what is stored."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"meter": "SDM630-0001", "since": "2026-03-01", "opening": {"1.8.0": "0"}}]}
    )

    meter: Name
    since: When
    until: When | None = None
    ct: Ratio = Decimal(1)
    vt: Ratio = Decimal(1)
    opening: Readings = Field(default_factory=dict)
    closing: Readings = Field(default_factory=dict)


class ContractIn(Input):
    """Whose the point is, over [since, until)."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"consumer": "consumer-77", "since": "2026-03-01"}]})

    consumer: Name
    since: When
    until: When | None = None


class ExchangeIn(Input):
    """The meter that comes, when, what the old one showed last and the new one first.

    `model` is needed for a meter that is not stored yet. Left out, line, address and ratios are those of the old one.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "at": "2026-03-20T14:30:00+04:00",
                    "meter": "SDM630-0002",
                    "model": "eastron-sdm630",
                    "closing": {"1.8.0": "12345.67"},
                    "opening": {"1.8.0": "0.02"},
                }
            ]
        }
    )

    at: When
    meter: Name
    closing: Readings
    opening: Readings
    model: Name | None = None
    line: Name | None = None
    address: Name | None = None
    gateway: Name | None = None
    verified_until: Day | None = Field(None, description="last day of the new meter's verification")
    ct: Ratio | None = None
    vt: Ratio | None = None


class RatioIn(Input):
    """New transformers, since when, and what the meter showed then."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"at": "2026-03-20T14:30:00+04:00", "readings": {"1.8.0": "12345.67"}, "ct": "60"}]
        }
    )

    at: When
    readings: Readings
    ct: Ratio | None = None
    vt: Ratio | None = None


class Choice(Input):
    """Pieces that meet everything given; `all` chooses everything and stands alone."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "unknown_meter", "meter": "SDM630-0009"}]})

    ids: list[Annotated[int, Field(ge=1, le=_LARGEST_ID)]] | None = Field(None, min_length=1, max_length=_MOST_IDS)
    reason: Name | None = None
    meter: Name | None = None
    origin: Name | None = Field(None, description="how it begins, like mqtt:amr/v1/gw-7/")
    all: bool = False


class ReplayChoice(Choice):
    """The same; `after` goes on where an answer's `next` says."""

    after: int = Field(0, ge=0, le=_LARGEST_ID)


class AdoptIn(Input):
    """Where the meter stands. `gateway` left out: the one that spoke for it; `since`: its first reading in quarantine.

    `zone` makes the point when there is none.
    """

    model_config = ConfigDict(json_schema_extra={"examples": [{"point": "flat-12", "model": "eastron-sdm630"}]})

    point: Name
    model: Name
    gateway: Name | None = None
    since: When | None = None
    ct: Ratio = Decimal(1)
    vt: Ratio = Decimal(1)
    opening: Readings = Field(default_factory=dict)
    zone: Name | None = None
