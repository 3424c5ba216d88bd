"""The JSON of what could not become a reading, and of meters that are not let in."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from api.fields import DecimalText, Output
from api.fleet_schemas import TestValue


class PieceOut(Output):
    """Something that came and could not become a reading: from where, why, and how often between first and last."""

    id: int
    origin: str = Field(examples=["mqtt:amr/v1/gw-7/data"])
    reason: str = Field(examples=["unknown_meter"])
    detail: str
    meter: str | None
    channel: str | None
    first_at: datetime
    last_at: datetime
    times: int
    size: int = Field(description="bytes of what came")


class PieceCard(PieceOut):
    """The same with what came: as text (what is not UTF-8 escaped), and byte for byte."""

    text: str
    raw: str = Field(description="base64")


class ReasonSum(Output):
    """All pieces of one reason."""

    reason: str
    rows: int
    times: int
    first_at: datetime
    last_at: datetime


class RoomOut(Output):
    """How full the quarantine is; `share` is 1 at the nearer of the two limits."""

    rows: int
    bytes: int
    most_rows: int
    most_bytes: int
    share: DecimalText


class UnkeptOut(Output):
    """What came by one road for one reason while the quarantine was full, and was only counted."""

    road: str
    reason: str
    times: int
    first_at: datetime
    last_at: datetime
    last_origin: str


class QuarantinePage(Output):
    """Pieces, the last seen first; how much there is of each reason; and how much room is left."""

    items: list[PieceOut]
    next: str | None
    reasons: list[ReasonSum]
    room: RoomOut
    unkept: list[UnkeptOut]


class ReplayedOut(Output):
    """What became of the pieces. `stay` counts by reason what is still wrong with the others.

    `next` (null: all were tried) is where the same choice goes on: send it as `after`.
    """

    tried: int
    left: int
    stored: int
    repeated: int
    superseded: int
    suspect: int
    intervals: int
    stay: dict[str, int]
    next: int | None


class DroppedOut(Output):
    """How many pieces were thrown away; `more` are chosen and still there."""

    dropped: int
    more: bool


class StrangerValue(TestValue):
    """What a meter said last of one register."""

    taken_at: datetime


class StrangerOut(Output):
    """A meter that speaks and is not let in. `known`: it is in the fleet, and belongs to the gateway `owner`."""

    meter: str
    known: bool
    owner: str | None
    gateways: list[str]
    origins: list[str]
    pieces: int
    times: int
    first_at: datetime
    last_at: datetime
    values: list[StrangerValue]


class Strangers(Output):
    """Meters with pieces in quarantine, the last heard first."""

    items: list[StrangerOut]


class AdoptedOut(Output):
    """`changed` is false when the meter stood there already and only its readings came in."""

    meter: str
    point: str
    gateway: str | None
    since: datetime
    changed: bool
    replayed: ReplayedOut
