"""The cabinet's JSON. Inputs are strict and refuse what they do not know; outputs declare what the bytes hold.

Numbers of energy travel as decimal strings; an input may also be a JSON number, read exactly.
"""

from __future__ import annotations

import re
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from api.instants import Instant
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
        raise fault("invalid_value", reason="it holds control characters")
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


class Period(Output):
    """[since, until); `until` null means it goes on."""

    since: datetime
    until: datetime | None


class AsOf(Output):
    """The newest reading an answer rests on."""

    taken_at: datetime
    source: SourceName


class Contact(Output):
    """Whether the meter answers. `silent`: no answer since `answered_at` (null: never), for the reason `failure`.

    `waiting`: it was not asked yet. `manual`: nobody asks it, readings are typed in.
    """

    state: ContactState
    tried_at: datetime | None = None
    answered_at: datetime | None = None
    failure: str | None = Field(None, description="stable code such as timeout", examples=["timeout"])
    failed_turns: int = 0
    detail: str | None = Field(None, description="for staff only")


class PointSummary(Output):
    """A metering point in a list."""

    code: str = Field(examples=["flat-12"])
    name: str
    address: str
    zone: str = Field(description="IANA time zone; dates are cut in it", examples=["Europe/Samara"])
    category: str = Field(examples=["household"])
    official_code: str | None
    visible: Period | None = Field(description="the consumer's time at the point; null for staff, who see all of it")
    meter: str | None = Field(description="serial number of the meter", examples=["SDM630-0001"])
    model: str | None
    contact: Contact | None


class PointsPage(Output):
    """Points in the order of their codes; `next` is the cursor of the next page, null on the last."""

    items: list[PointSummary]
    next: str | None


class ChannelInfo(Output):
    """One register of the meter. `digits` before the point (null: unknown) and `decimals` behind it."""

    channel: str = Field(pattern=CHANNEL, examples=["1.8.0"])
    unit: str = Field(examples=["kWh"])
    kind: Literal["counter", "momentary"]
    digits: int | None
    decimals: int


class InstallationInfo(Output):
    """The meter at the point. Amounts are register steps times `ratio` (`ct` x `vt`), once."""

    meter: str
    model: str
    since: datetime
    until: datetime | None
    ct: DecimalText
    vt: DecimalText
    ratio: DecimalText
    channels: list[ChannelInfo]


class BillingOut(Output):
    """The month that readings typed in now are counted to. Days of the window are of the point's calendar, included.

    A reading outside the window is kept like any other; one that comes after it is counted to the next month.
    """

    month: str = Field(pattern=r"^\d{4}-\d\d$", examples=["2026-03"])
    in_window: bool
    first_day: int
    last_day: int
    text: str = Field(examples=["counted to 2026-03"])


class PointCard(Output):
    """A metering point with what stands there."""

    code: str = Field(examples=["flat-12"])
    name: str
    address: str
    zone: str
    category: str
    official_code: str | None
    visible: list[Period] | None = Field(description="the consumer's time at the point; null for staff")
    installation: InstallationInfo | None = Field(description="null while no meter stands there")
    contact: Contact | None
    billing: BillingOut


class ReadingOut(Output):
    """One reading of one register."""

    meter: str
    channel: str = Field(pattern=CHANNEL, examples=["1.8.0"])
    taken_at: datetime
    value: DecimalText
    unit: str = Field(examples=["kWh"])
    source: SourceName
    quality: QualityName
    reasons: list[str] = Field(description="stable codes; why it is suspect", examples=[["below_previous"]])
    received_at: datetime
    author: str | None
    note: str | None


class ReadingsPage(Output):
    """Readings of every source, oldest first; `next` is the cursor of the next page, null on the last."""

    point: str
    zone: str
    channel: str | None
    since: datetime | None = Field(alias="from")
    until: datetime | None = Field(alias="to")
    as_of: AsOf | None
    items: list[ReadingOut]
    next: str | None


class CountedReading(ReadingOut):
    """The last reading of a channel that counts; `beside` are the last of other sources."""

    beside: list[ReadingOut]


class LatestReadings(Output):
    """The last reading that counts, for each channel of the point."""

    point: str
    zone: str
    as_of: AsOf | None
    items: list[CountedReading]


class Submission(Input):
    """Readings of one meter seen on its display at one time: all tariff zones together.

    `confirm` stores doubtful values as suspect; without it they are answered with 409 and nothing is stored.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"taken_at": "2026-03-20T19:30:00+04:00", "values": {"1.8.1": "10234", "1.8.2": "4711"}}]
        }
    )

    taken_at: Instant
    values: dict[Channel, Shown] = Field(
        min_length=1,
        max_length=MOST_VALUES,
        description="register values by channel",
        json_schema_extra={"additionalProperties": False},
    )
    confirm: bool = False
    note: Note | None = None


class ReasonText(Output):
    """Why a value is doubtful: a stable code, and words in the language asked for."""

    code: str = Field(examples=["below_previous"])
    text: str


class SubmittedValue(Output):
    """What became of one value."""

    channel: str = Field(pattern=CHANNEL, examples=["1.8.1"])
    value: DecimalText
    unit: str
    fate: Literal["stored", "repeated", "superseded", "quarantined"]
    quality: QualityName
    reasons: list[ReasonText]


class Submitted(Output):
    """A submission that was stored (or had been before: every fate `repeated`)."""

    point: str
    meter: str
    taken_at: datetime
    source: SourceName
    author: str
    values: list[SubmittedValue]
    billing: BillingOut


class AmountOut(Output):
    """Consumption over [from, to), ratio applied. `amount` null: there are no grounds, never zero instead.

    It covers the measured share `completeness` of the interval (0 to 1). `begin_value` and `end_value` are what the
    register shows at the ends, where one meter shows them.
    """

    since: datetime = Field(alias="from")
    until: datetime = Field(alias="to")
    amount: DecimalText | None
    quality: Literal["good", "estimated", "suspect", "missing"]
    completeness: DecimalText
    ratios: list[DecimalText]
    reasons: list[str] = Field(description="stable codes such as interpolated, gap, exchange, rollover, no_readings")
    begin_value: DecimalText | None
    end_value: DecimalText | None
    meters: list[str]


class ConsumptionOut(Output):
    """Consumption by calendar steps in the point's zone, and over the whole range at once."""

    point: str
    zone: str
    channel: str = Field(pattern=CHANNEL, examples=["1.8.0"])
    unit: str = Field(examples=["kWh"])
    step: str
    since: datetime = Field(alias="from")
    until: datetime = Field(alias="to")
    as_of: AsOf | None
    total: AmountOut | None
    items: list[AmountOut]


class ConsumptionOfPoints(Output):
    """Consumption of several points, in the order they were asked for."""

    items: list[ConsumptionOut]


class LatestOfPoints(Output):
    """The last readings of several points, in the order they were asked for."""

    items: list[LatestReadings]


class Fact(Output):
    """One thing checked for readiness."""

    name: str
    ready: bool
    detail: str


class Readiness(Output):
    """Whether requests can be served now."""

    ready: bool
    checks: list[Fact]


class Alive(Output):
    """The process runs."""

    alive: Literal[True]


class FieldError(Output):
    """One wrong field: where, what came, a stable code, what it means and the remedy."""

    field: str = Field(examples=["values.1.8.1"])
    value: str | None = Field(examples=["-1"])
    code: str = Field(examples=["negative"])
    message: str
    remedy: str


class Words(Output):
    """The same in both languages; braces stand for what differs from case to case."""

    en: str
    ru: str


class ProblemKind(Output):
    """One sort of problem."""

    code: str
    status: int
    title: Words
    detail: Words


class FaultKind(Output):
    """One sort of fault of a field."""

    code: str
    message: Words
    remedy: Words


class ReasonKind(Output):
    """One reason to doubt a reading."""

    code: str
    text: Words


class Dictionary(Output):
    """Every stable code."""

    problems: list[ProblemKind]
    faults: list[FaultKind]
    reasons: list[ReasonKind]


class ProblemOut(BaseModel):
    """An error as RFC 9457 has it. `code` is stable; texts are in the language of Accept-Language."""

    model_config = ConfigDict(frozen=True, extra="allow")

    type: str = Field(description="a reference that explains the code", examples=["/problems/invalid_request"])
    title: str
    status: int
    code: str = Field(examples=["invalid_request"])
    detail: str
    errors: list[FieldError]


JsonObject = dict[str, Any]
