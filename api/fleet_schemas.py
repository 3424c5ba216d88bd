"""The JSON of the fleet for engineers: what there is. What engineers send is in `api.fleet_inputs`."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, Literal

from pydantic import Field

from api.fields import CHANNEL, DecimalText, Output
from api.schemas import Contact

Values = dict[str, DecimalText]
"""Register values by channel."""


class RegisterOut(Output):
    """One register. `digits` before the point (null: unknown), `max_rate` in units an hour (null: not told)."""

    channel: str = Field(pattern=CHANNEL, examples=["1.8.0"])
    unit: str = Field(examples=["kWh"])
    digits: int | None
    decimals: int
    max_rate: DecimalText | None


class ModelOut(Output):
    """One meter model of the catalogue; `source` says where its facts are from."""

    name: str = Field(examples=["eastron-sdm630"])
    manufacturer: str
    title: str
    speaks: str = Field(examples=["modbus"])
    source: str
    registers: list[RegisterOut]


class ModelsOut(Output):
    """The whole catalogue."""

    items: list[ModelOut]


class LineOut(Output):
    """One wire or socket. Passwords among its options are stars; `meters` are asked over it."""

    name: str
    kind: str = Field(examples=["modbus-tcp"])
    address: str = Field(examples=["10.0.0.7:502"])
    options: dict[str, Any]
    meters: int


class LinesPage(Output):
    """Lines in the order of their names; `next` is the cursor of the next page, null on the last."""

    items: list[LineOut]
    next: str | None


class MeterSummary(Output):
    """A meter, how it is reached (a line with an address, a gateway, or people), and where it stands now."""

    serial: str = Field(examples=["SDM630-0001"])
    model: str
    line: str | None
    address: str | None
    gateway: str | None
    period: str = Field(description="how often it is asked", examples=["30m"])
    verified_until: date | None = Field(description="last day of its verification; null: not told")
    point: str | None
    contact: Contact


class MetersPage(Output):
    """Meters in the order of their serial numbers; `next` is the cursor of the next page, null on the last."""

    items: list[MeterSummary]
    next: str | None


class InstallationOut(Output):
    """Which meter stood where, [since, until), with its ratios and what it showed when it was put up and taken down."""

    point: str
    meter: str
    since: datetime
    until: datetime | None
    ct: DecimalText
    vt: DecimalText
    ratio: DecimalText
    opening: Values
    closing: Values


class MeterCard(MeterSummary):
    """A meter whole. Passwords among the options of its sessions are stars."""

    options: dict[str, Any]
    registers: list[RegisterOut]
    installations: list[InstallationOut] = Field(description="every one it ever had, the first one first")


class ContractOut(Output):
    """Whose readings of the point are whose, over [since, until)."""

    consumer: str
    since: datetime
    until: datetime | None


class PointHistory(Output):
    """Every meter that stood at a point and every contract for it, the first ones first."""

    point: str
    zone: str
    installations: list[InstallationOut]
    contracts: list[ContractOut]


class ChangeOut(Output):
    """One field, as people read it; null stands for nothing."""

    field: str
    old: str | None
    new: str | None


class ItemOut(Output):
    """One thing that is (or would be) added or changed."""

    kind: str = Field(examples=["meter"])
    name: str
    added: bool
    changes: list[ChangeOut]


class AbsentOut(Output):
    """Stored things that the file does not name, and that are left alone: how many, and the first of their names."""

    kind: str
    count: int
    names: list[str]


class DifferenceOut(Output):
    """What became different, or with `dry_run` would become. `text` is the same for people."""

    dry_run: bool
    added: int
    changed: int
    unchanged: int
    items: list[ItemOut]
    absent: list[AbsentOut]
    text: str


class HistoryChange(Output):
    """The installation that ended and the one that began at the same instant."""

    ended: InstallationOut
    begun: InstallationOut


class TestValue(Output):
    """What one register showed."""

    channel: str = Field(pattern=CHANNEL, examples=["1.8.0"])
    value: DecimalText
    unit: str


class TestRead(Output):
    """A reading asked for by an engineer. While it is `queued` or `polling` there are no values yet.

    `manual`: the meter is on no line, nobody can ask it. `failure` is a stable code, `detail` says more.
    """

    __test__ = False

    id: int
    meter: str
    line: str | None
    state: Literal["queued", "polling", "manual", "done", "failed"]
    asked_at: datetime
    asked_by: str
    finished_at: datetime | None
    read_at: datetime | None
    failure: str | None
    detail: str | None
    values: list[TestValue]
