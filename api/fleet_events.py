"""What happened to the fleet, for engineers."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from api.answers import json_answer
from api.context import Here
from api.fields import Input, Output
from api.fleet_inputs import Name
from api.fleet_refusals import STAFF, Engineer
from api.queries import Cursor, Limit, number_cursor, number_position
from api.responses import errors
from api.route import CabinetRoute
from storage.events import find

router = APIRouter(tags=["fleet"], route_class=CabinetRoute)


class EventsQuery(Input):
    """Which events, and which page of them."""

    limit: Limit = 100
    cursor: Cursor | None = None
    kind: Name | None = None
    meter: Name | None = None


class FleetEvent(Output):
    """One event: `kind` is a stable code, `detail` what is known of it."""

    number: int
    at: datetime
    kind: str
    point: str | None
    meter: str | None
    detail: dict[str, Any]


class FleetEvents(Output):
    """Events, the newest first; `next` is the cursor of the next page, null on the last."""

    items: list[FleetEvent]
    next: str | None


@router.get(
    "/fleet/events",
    operation_id="listFleetEvents",
    summary="What happened to the fleet",
    response_model=FleetEvents,
    responses=errors(),
    openapi_extra=STAFF,
)
async def list_fleet_events(query: Annotated[EventsQuery, Query()], here: Here, caller: Engineer) -> Response:
    """Exchanges, swapped meters, changed ratios, applied fleets, a quarantine that fills up; the newest first."""
    async with here.look() as conn:
        found = await find(
            conn, before=number_position(query.cursor), kind=query.kind, meter=query.meter, limit=query.limit + 1
        )
    items, more = found[: query.limit], len(found) > query.limit
    shown = [
        {
            "number": one.number,
            "at": one.at,
            "kind": one.kind,
            "point": one.point,
            "meter": one.meter,
            "detail": dict(one.detail),
        }
        for one in items
    ]
    return json_answer({"items": shown, "next": number_cursor(items[-1].number) if more else None})
