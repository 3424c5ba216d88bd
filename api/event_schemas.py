"""The JSON of what moved: the states that reading requests and service requests came to."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from api.fields import Output

EventKind = Literal["reading_request", "service_request"]


class FailureOut(Output):
    """Why a meter was not read: a stable code, and words in the language asked for."""

    code: str = Field(examples=["timeout"])
    text: str


class EventOut(Output):
    """A request came to a state. `id` grows with time and is what a stream is resumed from."""

    id: int
    at: datetime
    kind: EventKind
    number: int = Field(description="of the reading request or service request")
    point: str | None
    state: str = Field(examples=["done"])
    text: str = Field(description="the state in the language asked for")
    final: bool = Field(description="no other state follows")
    failure: FailureOut | None = Field(description="of a reading request that failed")
    reason: str | None = Field(description="of a service request that was refused, in the words of staff")


class EventsPage(Output):
    """Events, the youngest first; `next` is the cursor of the next page, null on the last."""

    items: list[EventOut]
    next: str | None


_EVENT = {
    "id": 4711,
    "at": "2026-03-20T19:30:04+04:00",
    "kind": "reading_request",
    "number": 17,
    "point": "flat-12",
    "state": "done",
    "text": "the meter was read",
    "final": True,
    "failure": None,
    "reason": None,
}

ANSWERS: Mapping[str, Any] = {"listEvents": {"items": [_EVENT], "next": None}}
"""What the operations answer, by operation id."""

STREAM = """: following
retry: 3000

event: reading_request
data: {"id":4711,"at":"2026-03-20T19:30:04+04:00","kind":"reading_request","number":17,"point":"flat-12",\
"state":"done","text":"the meter was read","final":true,"failure":null,"reason":null}
id: 4711

: ping

"""
"""What a stream looks like: each event's data is an `EventOut`, on one line."""
