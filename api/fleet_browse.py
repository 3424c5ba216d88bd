"""What there is, for engineers: the catalogue, lines, meters, and who stood at a point."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from api.access import see
from api.answers import json_answer, maybe_local
from api.context import Here
from api.fields import Input
from api.fleet_answers import installation_json, line_json, meter_card_json, meter_json, model_json
from api.fleet_inputs import Name
from api.fleet_refusals import STAFF, Engineer, named, no_such
from api.fleet_schemas import LineOut, LinesPage, MeterCard, MetersPage, ModelOut, ModelsOut, PointHistory
from api.queries import Cursor, Limit, name_cursor, name_position
from api.responses import errors
from api.route import CabinetRoute
from storage import browse

router = APIRouter(tags=["fleet"], route_class=CabinetRoute)


class PageQuery(Input):
    """Which page of a list."""

    limit: Limit = 100
    cursor: Cursor | None = None


class MetersQuery(PageQuery):
    """Which meters, and which page of them."""

    line: Name | None = None
    gateway: Name | None = None
    model: Name | None = None


@router.get(
    "/models",
    operation_id="listModels",
    summary="The catalogue of meter models",
    response_model=ModelsOut,
    responses=errors(),
    openapi_extra=STAFF,
)
async def list_models(here: Here, caller: Engineer) -> Response:
    """Every model that a meter may be of, shipped and your own, with its registers."""
    return json_answer({"items": [model_json(name, model) for name, model in sorted(here.knowledge.catalog.items())]})


@router.get(
    "/models/{name}",
    operation_id="getModel",
    summary="One meter model",
    response_model=ModelOut,
    responses=errors(404),
    openapi_extra=STAFF,
)
async def get_model(name: str, here: Here, caller: Engineer) -> Response:
    """Its registers, and where its facts are from."""
    if name not in here.knowledge.catalog:
        raise no_such("model", name)
    return json_answer(model_json(name, here.knowledge.catalog[name]))


@router.get(
    "/lines",
    operation_id="listLines",
    summary="Lines",
    response_model=LinesPage,
    responses=errors(),
    openapi_extra=STAFF,
)
async def list_lines(query: Annotated[PageQuery, Query()], here: Here, caller: Engineer) -> Response:
    """Every wire and socket that meters are asked over, in the order of their names."""
    async with here.look() as conn:
        found, more = await browse.lines(conn, after=name_position(query.cursor), limit=query.limit)
    following = name_cursor(found[-1].name) if more else None
    return json_answer({"items": [line_json(one) for one in found], "next": following})


@router.get(
    "/lines/{name}",
    operation_id="getLine",
    summary="One line",
    response_model=LineOut,
    responses=errors(404),
    openapi_extra=STAFF,
)
async def get_line(name: str, here: Here, caller: Engineer) -> Response:
    """Its kind, address and options. Its meters: GET /meters with this line."""
    async with here.look() as conn:
        found, _ = await browse.lines(conn, limit=1, name=named("line", name))
    if not found:
        raise no_such("line", name)
    return json_answer(line_json(found[0]))


@router.get(
    "/meters",
    operation_id="listMeters",
    summary="Meters",
    response_model=MetersPage,
    responses=errors(),
    openapi_extra=STAFF,
)
async def list_meters(query: Annotated[MetersQuery, Query()], here: Here, caller: Engineer) -> Response:
    """In the order of their serial numbers; those of one line, gateway or model when it is named."""
    async with here.look() as conn:
        found, more = await browse.meters(
            conn,
            after=name_position(query.cursor),
            limit=query.limit,
            line=query.line,
            gateway=query.gateway,
            model=query.model,
        )
    following = name_cursor(found[-1].meter.serial) if more else None
    return json_answer({"items": [meter_json(one) for one in found], "next": following})


@router.get(
    "/meters/{serial}",
    operation_id="getMeter",
    summary="One meter",
    response_model=MeterCard,
    responses=errors(404),
    openapi_extra=STAFF,
)
async def get_meter(serial: str, here: Here, caller: Engineer) -> Response:
    """Its registers, how it is reached, when it was last heard, and every point it ever stood at."""
    async with here.look() as conn:
        found = await browse.meter(conn, named("meter", serial))
    if found is None:
        raise no_such("meter", serial)
    return json_answer(meter_card_json(found))


@router.get(
    "/points/{code}/history",
    operation_id="getPointHistory",
    summary="Who stood at a point, and whose it was",
    response_model=PointHistory,
    responses=errors(404),
    openapi_extra=STAFF,
)
async def get_history(code: str, here: Here, caller: Engineer) -> Response:
    """Every installation with its ratios, opening and closing readings, and every contract."""
    async with here.look() as conn:
        seen = await see(conn, caller, code)
        installations, contracts = await browse.stays(conn, code)
    zone = seen.point.tz
    return json_answer(
        {
            "point": code,
            "zone": seen.point.zone,
            "installations": [installation_json(one, zone) for one in installations],
            "contracts": [
                {
                    "consumer": one.consumer,
                    "since": one.since.astimezone(zone),
                    "until": maybe_local(one.until, zone),
                }
                for one in contracts
            ],
        }
    )
