"""The JSON of service requests: what consumers ask to have done about meters, and how far it is."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field

from api.fields import Input, Note, Output
from api.fleet_inputs import ExchangeIn, Name
from api.texts import Text
from api.validation import fault

ServiceKind = Literal["admission", "installation", "replacement", "maintenance", "equipment"]
ServiceState = Literal["submitted", "in_progress", "done", "refused"]


def _told(text: object) -> object:
    if isinstance(text, str) and not text.strip():
        raise fault("empty", what=Text("one word", "одно слово"))
    return text


class ServiceWish(Input):
    """What is asked for: admission of a meter to operation, its installation, replacement, maintenance, or equipment.

    Equipment is that of a supply point with a meter. Staff may say for which consumer they write.
    """

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"kind": "replacement", "note": "the display is dark since Monday"}]}
    )

    kind: ServiceKind
    note: Note | None = None
    consumer: Name | None = Field(None, description="for staff: whose request it is, by their contract at the point")


class ServiceMove(Input):
    """Where staff move a request, and what belongs to it.

    `reason` goes with `refused`, for the consumer to read. `exchange` goes with a replacement that is `done`, which
    performs it: the meter that comes, what the old one showed last and the new one first.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"to": "in_progress"},
                {"to": "refused", "reason": "the meter at the point is not ours"},
                {
                    "to": "done",
                    "exchange": {
                        "at": "2026-03-20T14:30:00+04:00",
                        "meter": "SDM630-0002",
                        "closing": {"1.8.0": "12345.67"},
                        "opening": {"1.8.0": "0.02"},
                    },
                },
            ]
        }
    )

    to: Literal["in_progress", "done", "refused"]
    reason: Annotated[Note, BeforeValidator(_told)] | None = Field(None, json_schema_extra={"pattern": r"\S"})
    exchange: ExchangeIn | None = None


class ServiceRequestOut(Output):
    """A service request. `done` and `refused` are final."""

    number: int
    point: str
    kind: ServiceKind
    kind_text: str = Field(description="the kind in the language asked for")
    state: ServiceState
    text: str = Field(description="the state in the language asked for")
    note: str | None
    submitted_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    reason: str | None = Field(description="of a refusal, in the words of staff")
    consumer: str | None = Field(description="whose request it is; null: of the company's own accord")
    opened_by: str | None = Field(description="for staff only")
    moved_by: str | None = Field(description="for staff only")


class ServiceRequestsPage(Output):
    """Service requests, the youngest first; `next` is the cursor of the next page, null on the last."""

    items: list[ServiceRequestOut]
    next: str | None


_SUBMITTED = {
    "number": 5,
    "point": "flat-12",
    "kind": "replacement",
    "kind_text": "replacement of a meter",
    "state": "submitted",
    "text": "submitted",
    "note": "the display is dark since Monday",
    "submitted_at": "2026-03-18T10:00:00+04:00",
    "started_at": None,
    "finished_at": None,
    "reason": None,
    "consumer": "consumer-77",
    "opened_by": None,
    "moved_by": None,
}
_DONE = {
    **_SUBMITTED,
    "state": "done",
    "text": "done",
    "started_at": "2026-03-19T09:00:00+04:00",
    "finished_at": "2026-03-20T15:00:00+04:00",
    "opened_by": "consumer-77",
    "moved_by": "engineer-3",
}

ANSWERS: Mapping[str, Any] = {
    "submitServiceRequest": _SUBMITTED,
    "getServiceRequest": _SUBMITTED,
    "listServiceRequests": {"items": [_SUBMITTED], "next": None},
    "moveServiceRequest": _DONE,
}
"""What the operations answer, by operation id."""
