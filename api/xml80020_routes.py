"""80020 over HTTP: a day as a message, and messages of others into load profiles. For staff."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import Field

from api.access import Entering, require
from api.answers import json_answer
from api.company import Company
from api.context import Here
from api.doorkeeper import Caller, Role
from api.download import download, files
from api.export_fields import Day, Inn, MessageNumber, PartyName, Zone
from api.export_selection import Named
from api.faults import Fault, echo
from api.fields import Input
from api.problem_examples import ROLES
from api.problems import invalid
from api.queries import Flag
from api.responses import errors
from api.route import CabinetRoute, FileRoute
from api.xml80020 import Message, Party, usual_number
from api.xml80020_export import day_message
from api.xml80020_files import xml_files
from api.xml80020_import import Report, take_file
from api.xml80020_schemas import ImportReport

router = APIRouter(tags=["exports"], route_class=CabinetRoute)
uploads = APIRouter(tags=["exports"], route_class=FileRoute)

_STAFF = (Role.OPERATOR, Role.ENGINEER, Role.ADMIN)
_FOR_STAFF: dict[str, Any] = {ROLES: [role.value for role in _STAFF]}
XML = "application/xml"
_BINARY = {"schema": {"type": "string", "format": "binary"}}
Staff = Annotated[Caller, Depends(require(*_STAFF))]


class DayQuery(Input):
    """Which day of which points, and who says so."""

    points: Named
    day: Day
    number: MessageNumber | None = Field(None, description="of the message; usually one more every day")
    inn: Inn | None = Field(None, description="of the sender; usually AMR_COMPANY_INN")
    name: PartyName | None = Field(None, description="of the sender; usually AMR_COMPANY_NAME")
    area_inn: Inn | None = Field(None, description="whose points these are; usually the sender's")
    area_name: PartyName | None = None
    zone: Zone | None = Field(None, description="the sender's clock; usually AMR_COMPANY_ZONE")

    def message(self, company: Company, made_at: datetime) -> Message:
        """The message meant. Raises 422 where nobody said whose it is."""
        inn = self.inn or company.inn
        if not inn:
            raise invalid(Fault("inn", None, "missing"))
        sender = Party(inn, company.name if self.name is None else self.name)
        area = Party(self.area_inn or inn, sender.name if self.area_name is None else self.area_name)
        zone = self.zone or company.zone
        return Message(self.day, zone, sender, area, self.number or usual_number(self.day), made_at)


class ImportQuery(Input):
    """What was sent, and on whose clock."""

    name: PartyName = Field("upload", description="the file's name, for the record")
    zone: Zone | None = Field(None, description="the sender's clock; usually that of AMR_SENDER_ZONES")
    all_values: Flag = Field(False, description="take values with status 1, not for settlement, like any other")


@router.get(
    "/exports/80020",
    operation_id="export80020",
    summary="A day as an 80020 message",
    response_class=Response,
    responses={**files(XML, description="The message, in windows-1251."), **errors(404)},
    openapi_extra=_FOR_STAFF,
)
async def export_80020(query: Annotated[DayQuery, Query()], here: Here, caller: Staff) -> Response:
    """Half-hours of active and reactive energy of the points (none named: all), on the sender's clock, ratio applied.

    Energies are whole kWh and kvarh; what rounding leaves is carried on, so that a month's messages add up to its
    energy. Status 1 marks what is not measured whole and beyond doubt; where nothing is known the value is empty.
    """
    message = query.message(here.settings.company, here.now())
    pieces = day_message(here.page, caller, query.points, message, here.settings.policy)
    return await download(pieces, XML, message.filename)


@uploads.post(
    "/imports/80020",
    operation_id="import80020",
    summary="Import 80020 messages",
    response_model=ImportReport,
    responses=errors(400, 413),
    openapi_extra={
        **_FOR_STAFF,
        "requestBody": {"required": True, "content": {XML: _BINARY, "application/zip": _BINARY}},
    },
)
async def import_80020(
    query: Annotated[ImportQuery, Query()], request: Request, here: Here, caller: Staff, _: Entering
) -> Response:
    """The body is one XML file, or a zip of many, of at most 8 MiB. Everything good is stored, repeating is harmless.

    Points are found by `official_code`, else by code. What is not taken is named, counted and kept in quarantine.
    """
    company = here.settings.company
    zones, usual = ({}, query.zone) if query.zone else (company.senders, company.zone)
    opened, reports = xml_files(query.name, await request.body()), []
    while (file := await asyncio.to_thread(next, opened, None)) is not None:
        reports.append(await take_file(here.page, here.intake, file, zones, usual, all_values=query.all_values))
    return json_answer({"files": [report_json(report) for report in reports]})


def report_json(report: Report) -> dict[str, object]:
    """One file's report; names of others are said back short and on one line."""
    return {
        "name": echo(report.name),
        "day": report.day,
        "sender": echo(report.sender),
        "number": echo(report.number),
        "error": report.error,
        "points": report.points,
        "stored": report.stored,
        "repeated": report.repeated,
        "empty": report.empty,
        "unsettled": report.unsettled,
        "refused": report.refused,
        "unknown_points": [{"code": echo(code), "rows": rows} for code, rows in report.unknown_points.items()],
        "bad": [{"where": echo(one.where), "detail": one.detail} for one in report.bad],
    }
