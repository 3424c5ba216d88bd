"""A meter read now, because an engineer stands before it: asked by the collector that owns its line."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response

from api.answers import json_answer, plain
from api.context import Here
from api.fleet_refusals import STAFF, Engineer, named, no_such, refusals
from api.fleet_schemas import TestRead
from api.queries import Number
from api.responses import errors
from api.route import CabinetRoute
from ingest.channel import unit_of
from storage import requests
from storage.request_states import Request

router = APIRouter(tags=["fleet"], route_class=CabinetRoute)


@router.post(
    "/meters/{serial}/test-reads",
    status_code=202,
    operation_id="startTestRead",
    summary="Read a meter now",
    response_model=TestRead,
    responses=errors(404),
    openapi_extra=STAFF,
)
async def start(serial: str, here: Here, caller: Engineer) -> Response:
    """Ahead of the schedule; look at the answer's `id` for what became of it. Asking again while one is open joins it.

    What the meter says is stored like any other reading.
    """
    with refusals():
        async with here.database.connection() as conn:
            asked = await requests.ask(conn, caller.author, meter=named("meter", serial))
    return json_answer(_said(asked, {}), 202)


@router.get(
    "/meters/{serial}/test-reads/{number}",
    operation_id="getTestRead",
    summary="What became of a test read",
    response_model=TestRead,
    responses=errors(404),
    openapi_extra=STAFF,
)
async def get(serial: str, number: Number, here: Here, caller: Engineer) -> Response:
    """Its state, and once it is `done` what every register showed. Ask again every second or so while it is open."""
    with refusals():
        async with here.database.connection() as conn:
            found = await requests.status(conn, number)
            if found.meter != named("meter", serial):
                raise no_such("test read of this meter", str(number))
            return json_answer(_said(found, await requests.values(conn, found)))


def _said(one: Request, values: dict[str, Any]) -> dict[str, object]:
    return {
        "id": one.id,
        "meter": one.meter,
        "line": one.line,
        "state": one.state,
        "asked_at": one.asked_at,
        "asked_by": one.asked_by,
        "finished_at": one.finished_at,
        "read_at": one.read_at,
        "failure": one.failure,
        "detail": one.detail,
        "values": [
            {"channel": channel, "value": plain(value), "unit": unit_of(channel)} for channel, value in values.items()
        ],
    }
