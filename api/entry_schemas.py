"""The JSON of readings typed in by people: what is sent, and what became of it."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import ConfigDict, Field

from api.fields import CHANNEL, MOST_VALUES, Channel, DecimalText, Input, Note, Output, QualityName, Shown, SourceName
from api.instants import Instant
from api.schemas import BillingOut
from api.service_schemas import ReasonText


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
    missing: list[str] = Field(
        description="tariff zones of the meter that were not sent: one submission carries all of them"
    )
    answered_requests: list[int] = Field(description="numbers of the reading requests that staff answered by this")
