"""The JSON of power quality: the last momentary values, and the figures of each day."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from api.fields import CHANNEL, DecimalText, Output, QualityName
from api.schemas import AsOf

Quantity = Literal[
    "voltage", "current", "active_power", "reactive_power", "apparent_power", "power_factor", "frequency"
]


class MomentOut(Output):
    """A value at an instant."""

    value: DecimalText
    taken_at: datetime


class Momentary(Output):
    """A momentary quantity of the supply. `phase` null: of all phases."""

    channel: str = Field(pattern=CHANNEL, examples=["32.7.0"])
    quantity: Quantity
    phase: int | None
    unit: str = Field(examples=["V"])


class LastMoment(Momentary):
    """Its newest value. Behind transformers it is that of the supply, not that of the meter's display."""

    value: DecimalText
    taken_at: datetime
    quality: QualityName


class DayFigures(Momentary):
    """Its figures over one day. `completeness` is the share of the day's time that is known.

    `outside` is the share of that time outside of the limits: null where nothing is known, and without limits.
    """

    minimum: MomentOut | None
    maximum: MomentOut | None
    count: int = Field(description="values the meter gave")
    completeness: DecimalText
    outside: DecimalText | None


class QualityDay(Output):
    """A day of the point's calendar, of 23 or 25 hours too; the first and last may be cut, today ends now."""

    since: datetime = Field(alias="from")
    until: datetime = Field(alias="to")
    channels: list[DayFigures]


class VoltageLimits(Output):
    """The nominal voltage and the limits around it."""

    nominal: DecimalText
    low: DecimalText
    high: DecimalText


class PowerQualityOut(Output):
    """Power quality as the point's meters saw it at single moments.

    `limits` null: the meter stands behind voltage transformers, and nothing is said of its nominal voltage.
    """

    point: str
    zone: str
    as_of: AsOf | None
    limits: VoltageLimits | None
    last: list[LastMoment]
    days: list[QualityDay]


_U = {"channel": "32.7.0", "quantity": "voltage", "phase": 1, "unit": "V"}
_LAST = {**_U, "value": "228.4", "taken_at": "2026-03-20T19:30:00+04:00", "quality": "good"}
_DAY = {
    **_U,
    "minimum": {"value": "204.1", "taken_at": "2026-03-20T18:30:00+04:00"},
    "maximum": {"value": "236.2", "taken_at": "2026-03-20T03:00:00+04:00"},
    "count": 39,
    "completeness": "1",
    "outside": "0.0256",
}
ANSWERS: Mapping[str, Any] = {
    "getPowerQuality": {
        "point": "flat-12",
        "zone": "Europe/Samara",
        "as_of": {"taken_at": "2026-03-20T19:30:00+04:00", "source": "automatic"},
        "limits": {"nominal": "230", "low": "207", "high": "253"},
        "last": [_LAST],
        "days": [{"from": "2026-03-20T00:00:00+04:00", "to": "2026-03-20T19:31:00+04:00", "channels": [_DAY]}],
    }
}
"""What the operations answer, by operation id."""
