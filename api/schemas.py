"""The cabinet's JSON. Inputs are strict and refuse what they do not know; outputs declare what the bytes hold.

Numbers of energy travel as decimal strings; an input may also be a JSON number, read exactly.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from api.fields import (
    CHANNEL,
    ContactState,
    DecimalText,
    Output,
    QualityName,
    SourceName,
)


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
    tried_at: datetime | None
    answered_at: datetime | None
    failure: str | None = Field(description="stable code such as timeout", examples=["timeout"])
    failed_turns: int
    clock_drift: int | None = Field(
        description="seconds the meter's own clock was ahead when it last told it", examples=[-42]
    )
    detail: str | None = Field(description="for staff only")


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
    text: str = Field(examples=["counted to March 2026"])


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
    received_at: datetime = Field(description="when it came in: within the ten seconds after this")
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


class ZoneShareOut(Output):
    """One tariff zone in a period, and its share of all zones (0 to 1)."""

    channel: str = Field(pattern=CHANNEL, examples=["1.8.1"])
    amount: DecimalText | None
    share: DecimalText | None


class FiguresOut(Output):
    """One period. Averages are of 24 measured hours; the greatest day is null where no day is known without doubt."""

    amount: AmountOut
    average_per_day: DecimalText | None
    maximum_day: AmountOut | None
    zones: list[ZoneShareOut] = Field(description="tariff zones; empty where the meter has none")


class StatisticsOut(Output):
    """The figures of one channel as of its last reading. A period that may not be seen is null.

    `completeness` is the share of this month so far that is measured.
    """

    point: str
    zone: str
    channel: str = Field(pattern=CHANNEL, examples=["1.8.0"])
    unit: str = Field(examples=["kWh"])
    as_of: AsOf | None
    month_to_date: FiguresOut | None
    previous_month: FiguresOut | None
    same_month_last_year: FiguresOut | None
    completeness: DecimalText


class StatisticsOfPoints(Output):
    """The figures of several points, in the order they were asked for."""

    items: list[StatisticsOut]


class ConsumptionOfPoints(Output):
    """Consumption of several points, in the order they were asked for."""

    items: list[ConsumptionOut]


class LatestOfPoints(Output):
    """The last readings of several points, in the order they were asked for."""

    items: list[LatestReadings]
