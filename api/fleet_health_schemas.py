"""The JSON of how the whole is, for engineers."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from pydantic import Field

from api.fields import Output
from api.service_schemas import Words


class FaultOut(Output):
    """One fault and the meters it silences. `since` is when the last of them was heard, null when none ever was."""

    level: str = Field(description="us, broker, line, gateway or meter", examples=["line"])
    place: str = Field(description="the line's, gateway's or broker's name, or the serial number", examples=["tp-101"])
    cause: str = Field(examples=["line_down"])
    since: datetime | None
    meters: list[str]
    detail: str | None
    remedy: Words


class PointDay(Output):
    """How much of a day came: slots of the schedule that hold a reading, of those that should."""

    day: date
    point: str
    expected: int
    received: int


class FleetDayOut(Output):
    """A finished day of the fleet, as last counted; `worst` are the points that lack most."""

    day: date
    points: int
    expected: int
    received: int
    lacking: int
    worst: list[PointDay]


class QuarantineShare(Output):
    """How full the quarantine is: 1 at its limit."""

    rows: int
    share: float


class VerificationDue(Output):
    """A meter whose verification ends soon, or ended."""

    meter: str
    point: str
    last_day: date


class ClockDrift(Output):
    """A meter whose clock is off: so many seconds ahead of ours, negative behind."""

    meter: str
    point: str
    seconds: float


class ProcessOut(Output):
    """One process of the last week; one that stopped in order is not listed. `state` is what it said last."""

    role: str = Field(examples=["collector"])
    name: str
    alive: bool
    started_at: datetime
    seen_at: datetime
    state: dict[str, Any]


class FleetHealth(Output):
    """What is silent and why, what lacks, what falls due, and how the processes are."""

    at: datetime
    meters: int
    silent: int
    faults: list[FaultOut]
    yesterday: FleetDayOut
    quarantine: QuarantineShare
    verifications_due: list[VerificationDue]
    clock_drifts: list[ClockDrift]
    processes: list[ProcessOut]


class CompletenessOut(Output):
    """Day by day, how much of what the schedule promised came for a point."""

    point: str
    items: list[PointDay]
