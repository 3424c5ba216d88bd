"""The same questions for several points at once: one page of a cabinet, one request."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import Field

from api.access import Asking, see_all
from api.answers import json_answer
from api.consumption import ConsumptionQuery
from api.context import Here
from api.district import consumption_of_points, latest_of_points
from api.fields import Input
from api.responses import errors
from api.route import CabinetRoute
from api.schemas import ConsumptionOfPoints, LatestOfPoints, StatisticsOfPoints
from api.statistics import StatisticsQuery, check_counter, statistics_of

router = APIRouter(route_class=CabinetRoute)
MOST_POINTS, MOST_OF_DISTRICT = 100, 1_000
"""Points of one request: each asked for by itself, and all together."""

_SAID = "codes of points; repeat the parameter"
_Points = Annotated[list[str], Field(min_length=1, max_length=MOST_POINTS, description=_SAID, alias="point")]
_ManyPoints = Annotated[list[str], Field(min_length=1, max_length=MOST_OF_DISTRICT, description=_SAID, alias="point")]


class LatestQuery(Input):
    """Which points."""

    points: _ManyPoints


class SeveralFigures(StatisticsQuery):
    """Which points, which energy."""

    points: _Points


class SeveralQuery(ConsumptionQuery):
    """Which points, which energy, over which range, cut how."""

    points: _ManyPoints


@router.get(
    "/readings/latest",
    tags=["readings"],
    operation_id="getLatestReadingsOfPoints",
    summary="The last readings of several points",
    response_model=LatestOfPoints,
    responses=errors(404),
)
async def get_latest(query: Annotated[LatestQuery, Query()], here: Here, caller: Asking) -> Response:
    """In the order asked for. One point that is not visible makes the whole answer 404 and is named."""
    async with here.look() as conn:
        items = await latest_of_points(conn, caller, query.points, here.settings.policy)
    return json_answer({"items": items})


@router.get(
    "/statistics",
    tags=["consumption"],
    operation_id="getStatisticsOfPoints",
    summary="The figures of several points",
    response_model=StatisticsOfPoints,
    responses=errors(404),
)
async def get_statistics(query: Annotated[SeveralFigures, Query()], here: Here, caller: Asking) -> Response:
    """In the order asked for. One point that is not visible makes the whole answer 404 and is named."""
    check_counter(query.channel)
    now, policy = here.now(), here.settings.policy
    async with here.look() as conn:
        seen = await see_all(conn, caller, query.points)
        items = [await statistics_of(conn, seen[code], query.channel, now, policy) for code in query.points]
    return json_answer({"items": items})


@router.get(
    "/consumption",
    tags=["consumption"],
    operation_id="getConsumptionOfPoints",
    summary="Consumption of several points",
    response_model=ConsumptionOfPoints,
    responses=errors(404),
)
async def get_consumption(query: Annotated[SeveralQuery, Query()], here: Here, caller: Asking) -> Response:
    """In the order asked for, dates beginning in each point's own zone. The limit of intervals holds for all together.

    One point that is not visible makes the whole answer 404 and is named.
    """
    most, now = here.settings.interval_limit // len(query.points), here.now()
    async with here.look() as conn:
        items = await consumption_of_points(conn, caller, query.points, query, most, now, here.settings.policy)
    return json_answer({"items": items})
