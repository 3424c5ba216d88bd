"""The JSON of reading requests: somebody wants a meter read now."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from pydantic import ConfigDict, Field

from api.event_schemas import FailureOut
from api.fields import CHANNEL, DecimalText, Input, Note, Output

RequestState = Literal["queued", "polling", "manual", "done", "failed"]


class RequestSummary(Output):
    """A reading request. `manual`: it waits for staff, the meter cannot be read remotely. `done`, `failed`: final."""

    number: int
    point: str | None = Field(description="null: the meter itself was asked for")
    meter: str
    state: RequestState
    text: str = Field(description="the state in the language asked for")
    asked_at: datetime
    finished_at: datetime | None
    read_at: datetime | None = Field(description="the `taken_at` of the readings it brought")
    failure: FailureOut | None
    asked_by: str | None = Field(description="for staff only")
    detail: str | None = Field(description="for staff only")


class RequestValue(Output):
    """What one register showed."""

    channel: str = Field(pattern=CHANNEL, examples=["1.8.0"])
    value: DecimalText
    unit: str


class RequestOut(RequestSummary):
    """A reading request with what it brought."""

    values: list[RequestValue]


class RequestsPage(Output):
    """Reading requests, the youngest first; `next` is the cursor of the next page, null on the last."""

    items: list[RequestSummary]
    next: str | None


class NotRead(Input):
    """Why staff could not read the meter. The note is for staff only."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"failure": "no_access", "note": "nobody at home, twice"}]}
    )

    failure: Literal["no_access", "not_found", "damaged", "other"]
    note: Note | None = None


_SUMMARY = {
    "number": 17,
    "point": "flat-12",
    "meter": "SDM630-0001",
    "state": "done",
    "text": "the meter was read",
    "asked_at": "2026-03-20T19:30:00+04:00",
    "finished_at": "2026-03-20T19:30:03+04:00",
    "read_at": "2026-03-20T19:30:02+04:00",
    "failure": None,
    "asked_by": None,
    "detail": None,
}
_DONE = {**_SUMMARY, "values": [{"channel": "1.8.0", "value": "12345.67", "unit": "kWh"}]}
_QUEUED = {
    **_SUMMARY,
    "state": "queued",
    "text": "waits for its turn to be read",
    "finished_at": None,
    "read_at": None,
    "values": [],
}
_FAILED = {
    **_SUMMARY,
    "state": "failed",
    "text": "the meter was not read",
    "read_at": None,
    "failure": {"code": "no_access", "text": "nobody could get to the meter"},
    "asked_by": "consumer:consumer-77",
    "detail": "nobody at home, twice",
    "values": [],
}

ANSWERS: Mapping[str, Any] = {
    "askForReading": _QUEUED,
    "getReadingRequest": _DONE,
    "listReadingRequests": {"items": [_SUMMARY], "next": None},
    "refuseReadingRequest": _FAILED,
}
"""What the operations answer, by operation id."""
