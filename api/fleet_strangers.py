"""Meters that speak and are not let in, and how one of them is: put up at a point, with what it said so far."""

from __future__ import annotations

from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Query, Response
from pydantic import Field

from api.access import point_code
from api.answers import json_answer, plain
from api.context import Context, Here
from api.fields import Input
from api.fleet_answers import replayed_json
from api.fleet_inputs import AdoptIn
from api.fleet_quarantine import MOST_REPLAYED
from api.fleet_refusals import STAFF, Engineer, named, refusals, zone_of
from api.instants import resolve
from api.quarantine_schemas import AdoptedOut, Strangers
from api.queries import Limit
from api.responses import errors
from api.route import CabinetRoute
from ingest.channel import unit_of
from storage import points
from storage.adoption import Adoption, adopt
from storage.unknown_meters import FOREIGN, UNKNOWN, Stranger, strangers

router = APIRouter(tags=["quarantine"], route_class=CabinetRoute)


class StrangersQuery(Input):
    """Which of them."""

    kind: Literal["unknown", "foreign"] = Field(
        "unknown", description="unknown: not in the fleet; foreign: in it, but not of the gateway that spoke for it"
    )
    limit: Limit = 100


@router.get(
    "/unknown-meters",
    operation_id="listUnknownMeters",
    summary="Meters that speak and are not let in",
    response_model=Strangers,
    responses=errors(),
    openapi_extra=STAFF,
)
async def list_strangers(query: Annotated[StrangersQuery, Query()], here: Here, caller: Engineer) -> Response:
    """The last heard first, with who spoke for them and the last value of every channel."""
    reason = UNKNOWN if query.kind == "unknown" else FOREIGN
    async with here.database.connection() as conn:
        found = await strangers(conn, here.knowledge.parse, reason, limit=query.limit)
    return json_answer({"items": [_stranger_json(one) for one in found]})


@router.post(
    "/unknown-meters/{serial}/adopt",
    operation_id="adoptMeter",
    summary="Let a meter in",
    response_model=AdoptedOut,
    responses=errors(400, 404, 409, 413),
    openapi_extra=STAFF,
)
async def adopt_meter(serial: str, wanted: AdoptIn, here: Here, caller: Engineer) -> Response:
    """The meter is added and put up at the point, and what it said so far comes in.

    When `replayed.next` is not null, POST /quarantine/replay with this meter goes on with the rest.
    """
    point = point_code(wanted.point)
    with refusals():
        begun = None if wanted.since is None else resolve(wanted.since, await _zone(here, point, wanted.zone))
        wish = Adoption(
            named("meter", serial),
            point,
            wanted.model,
            wanted.gateway,
            begun,
            wanted.ct,
            wanted.vt,
            wanted.opening,
            wanted.zone,
        )
        knowledge = here.knowledge
        done = await adopt(
            here.database, knowledge.parse, knowledge.models(), wish, author=caller.author, most=MOST_REPLAYED
        )
    return json_answer(
        {
            "meter": serial,
            "point": point,
            "gateway": done.gateway,
            "since": done.since,
            "changed": done.changed,
            "replayed": replayed_json(done.replayed),
        }
    )


async def _zone(here: Context, code: str, said: str | None) -> ZoneInfo:
    """The zone of the point that is there, else of the one to be made."""
    async with here.page() as conn:
        there = await points.find(conn, code, None)
    return zone_of(said or "UTC") if there is None else there.point.tz


def _stranger_json(one: Stranger) -> dict[str, object]:
    return {
        "meter": one.meter,
        "known": one.known,
        "owner": one.owner,
        "gateways": list(one.gateways),
        "origins": list(one.origins),
        "pieces": one.pieces,
        "times": one.times,
        "first_at": one.first_at,
        "last_at": one.last_at,
        "values": [
            {
                "channel": channel,
                "value": plain(reading.value),
                "unit": unit_of(channel),
                "taken_at": reading.taken_at,
            }
            for channel, reading in one.values.items()
        ],
    }
