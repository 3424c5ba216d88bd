"""How the whole is, for engineers: silent meters with the part at fault, and what came of what was due."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import Field

from api.access import see
from api.answers import json_answer
from api.context import Here
from api.faults import Fault
from api.fields import Input
from api.fleet_health_schemas import CompletenessOut, FleetHealth
from api.fleet_refusals import STAFF, Engineer
from api.instants import When, make_range
from api.problems import invalid
from api.responses import errors
from api.route import CabinetRoute
from storage.completeness import count
from storage.health import look
from storage.health_words import health_json, point_day

router = APIRouter(tags=["fleet"], route_class=CabinetRoute)
MOST_DAYS = 366
_USUAL = timedelta(days=30)


class DaysQuery(Input):
    """Which days of the point's zone; left out, the last thirty with today."""

    since: When | None = Field(None, alias="from", description="the first day")
    until: When | None = Field(None, alias="to", description="the day after the last; left out, tomorrow")


@router.get(
    "/fleet/health",
    operation_id="getFleetHealth",
    summary="What is silent, and whose fault it is",
    response_model=FleetHealth,
    responses=errors(),
    openapi_extra=STAFF,
)
async def get_fleet_health(here: Here, caller: Engineer) -> Response:
    """Silent meters gathered by the part at fault (us, broker, line, gateway, meter), each with what to try first."""
    async with here.look() as conn:
        return json_answer(health_json(await look(conn, here.now())))


@router.get(
    "/points/{code}/completeness",
    operation_id="getCompleteness",
    summary="How much of what was due came",
    response_model=CompletenessOut,
    responses=errors(404),
    openapi_extra=STAFF,
)
async def get_completeness(code: str, query: Annotated[DaysQuery, Query()], here: Here, caller: Engineer) -> Response:
    """Of every day, the slots of the schedule that hold a reading; days without a meter that speaks are left out."""
    now = here.now()
    async with here.page() as conn:
        zone = (await see(conn, caller, code)).point.tz
        today = now.astimezone(zone).date()
        since, until = query.since or today - _USUAL, query.until or today + timedelta(days=1)
        asked = make_range(since, until, zone)
        if asked.until - asked.since > timedelta(days=MOST_DAYS, hours=2):
            raise invalid(Fault("from", since.isoformat(), "too_many_days", most=MOST_DAYS))
        days = await count(
            conn, [code], asked.since.astimezone(zone).date(), asked.until.astimezone(zone).date(), now
        )  # fmt: skip
    return json_answer({"point": code, "items": [point_day(day) for day in days]})
