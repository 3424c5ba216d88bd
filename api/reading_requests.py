"""A reading on request: polled now where the meter is remote, else left to staff."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import Field

from api.access import Asking, Entering, everything, require, see
from api.answers import SAID, json_answer, maybe_local, plain
from api.context import Context, Here
from api.doorkeeper import Caller, Role
from api.fields import Input
from api.language import language_of
from api.problem_examples import ROLES
from api.problems import Problem
from api.queries import Cursor, Limit, Number, number_cursor, number_position
from api.request_schemas import NotRead, RequestOut, RequestsPage, RequestState
from api.request_texts import failure_json, state_text
from api.responses import errors
from api.route import CabinetRoute
from api.texts import Language
from ingest.channel import unit_of
from ingest.errors import NotFound
from storage import point_clocks, points, request_limits, requests
from storage.points import Seen
from storage.request_states import OPEN, finish
from storage.request_states import Request as Asked

router = APIRouter(tags=["requests"], route_class=CabinetRoute)
Staff = Annotated[Caller, Depends(require(Role.OPERATOR, Role.ENGINEER, Role.ADMIN))]
STAFF: dict[str, Any] = {ROLES: [Role.OPERATOR.value, Role.ENGINEER.value, Role.ADMIN.value]}
"""What the contract says of operations that are for staff."""

_UTC = ZoneInfo("UTC")
_SOON = 30
"""Seconds after which one of several open requests has probably ended."""


class RequestsQuery(Input):
    """Which requests, and which page of them."""

    point: str | None = Field(None, min_length=1, max_length=200, description="of this point only")
    state: RequestState | None = None
    limit: Limit = 100
    cursor: Cursor | None = None


def asker_of(caller: Caller) -> str:
    """Under which name somebody's requests are stored: a consumer's tokens are one asker."""
    return f"staff:{caller.name}" if caller.staff else f"consumer:{caller.consumer}"


@router.post(
    "/points/{code}/reading-requests",
    status_code=202,
    operation_id="askForReading",
    summary="Have the meter read now",
    response_model=RequestOut,
    responses={
        **errors(404, 409),
        200: {"model": RequestOut, "description": "You asked before, and it is still open: the same request."},
    },
)
async def ask(code: str, request: Request, here: Here, caller: Entering) -> Response:
    """The collector that owns the meter's line reads it ahead of the schedule; a meter on no line is left to staff.

    Follow it by its number. A consumer may ask so many times in 24 hours, and have so many requests open: 429 says when
    to try again.
    """
    async with here.page() as conn:
        seen = await see(conn, caller, code)
        check_running(seen, here.now())
        meter = await points.standing(conn, code, here.now())
        if meter is None:
            raise Problem("no_meter", point=code, taken_at=here.now().astimezone(seen.point.tz).isoformat())
        asker = asker_of(caller)
        await request_limits.hold(conn, asker)
        known = await requests.find(conn, states=OPEN, point=code, asked_by=asker, limit=1)
        if not known and not caller.staff:
            await _check_limits(conn, here, asker)
        found = known[0] if known else await requests.ask(conn, asker, point=code)
    headers = {**SAID, "Location": f"{request.url.path.partition('/points/')[0]}/reading-requests/{found.id}"}
    return json_answer(
        _request_json(found, {}, seen.point.tz, caller, language_of(request)), 200 if known else 202, headers
    )


def check_running(seen: Seen, now: datetime) -> None:
    """Raise the 409 for a consumer whose contract is over: what stands there now is no longer theirs."""
    if not any(part.since <= now < part.until for part in everything(seen)):
        raise Problem("contract_over", point=seen.point.code)


async def _check_limits(conn: Any, here: Context, asker: str) -> None:
    """Raise the 429 of too many requests, open or in 24 hours."""
    a_day, at_once = here.settings.asked_a_day, here.settings.asked_at_once
    free = await request_limits.free_at(conn, asker, a_day)
    if free is not None:
        seconds = max(1, math.ceil((free - here.now()).total_seconds()))
        raise Problem("asked_too_often", headers={"Retry-After": str(seconds)}, most=a_day, seconds=seconds)
    if await request_limits.open_now(conn, asker) >= at_once:
        raise Problem("asked_too_much", headers={"Retry-After": str(_SOON)}, most=at_once, seconds=_SOON)


@router.get(
    "/reading-requests",
    operation_id="listReadingRequests",
    summary="Reading requests",
    response_model=RequestsPage,
    responses=errors(404),
)
async def list_requests(
    query: Annotated[RequestsQuery, Query()], request: Request, here: Here, caller: Asking
) -> Response:
    """The youngest first: a consumer's own, for staff those of everybody (`state=manual` are theirs to answer)."""
    before = number_position(query.cursor)
    async with here.page() as conn:
        if query.point is not None:
            await see(conn, caller, query.point)
        found = await requests.find(
            conn,
            states=None if query.state is None else [query.state],
            point=query.point,
            asked_by=None if caller.staff else asker_of(caller),
            limit=query.limit + 1,
            before=before,
        )
        shown = found[: query.limit]
        zones = await point_clocks.zones(conn, {one.point for one in shown if one.point is not None})
    language = language_of(request)
    items = [_summary(one, zones.get(one.point or "", _UTC), caller, language) for one in shown]
    following = number_cursor(shown[-1].id) if len(found) > query.limit else None
    return json_answer({"items": items, "next": following}, headers=SAID)


@router.get(
    "/reading-requests/{number}",
    operation_id="getReadingRequest",
    summary="One reading request",
    response_model=RequestOut,
    responses=errors(404),
)
async def get_request(number: Number, request: Request, here: Here, caller: Asking) -> Response:
    """How far it is, and what it brought."""
    async with here.page() as conn:
        return await _answer(conn, await reading_request_of(conn, caller, number, request), caller, request)


@router.post(
    "/reading-requests/{number}/refusal",
    operation_id="refuseReadingRequest",
    summary="Say why a meter was not read",
    response_model=RequestOut,
    responses=errors(400, 404, 409, 413),
    openapi_extra=STAFF,
)
async def refuse(number: Number, why: NotRead, request: Request, here: Here, caller: Staff) -> Response:
    """For a request in state `manual`: it has failed. To answer one, type in the readings of its point."""
    async with here.page() as conn:
        found = await reading_request_of(conn, caller, number, request)
        if found.state != "manual":
            raise Problem("wrong_state", number=number, state=found.state, moves="-")
        await finish(conn, [number], failure=why.failure, detail=why.note, by=caller.name)
        return await _answer(conn, await requests.status(conn, number), caller, request)


async def reading_request_of(conn: Any, caller: Caller, number: int, request: Request) -> Asked:
    """A request that the caller may see: their own, or any for staff. Raises the 404; puts its point on record."""
    try:
        found = await requests.status(conn, number)
    except NotFound as e:
        raise Problem("not_found", what=request.url.path) from e
    if not caller.staff and found.asked_by != asker_of(caller):
        raise Problem("not_found", what=request.url.path)
    request.state.point = found.point
    return found


async def _answer(conn: Any, found: Asked, caller: Caller, request: Request) -> Response:
    seen = None if found.point is None else await points.find(conn, found.point, caller.consumer)
    zone = _UTC if seen is None else seen.point.tz
    brought = await requests.values(conn, found) if found.read_at and _may_see(caller, seen, found.read_at) else {}
    return json_answer(_request_json(found, brought, zone, caller, language_of(request)), headers=SAID)


def _may_see(caller: Caller, seen: Seen | None, at: datetime) -> bool:
    """Staff everything, consumers what was read within their contract: it may have ended while they waited."""
    return caller.staff or (seen is not None and any(part.since <= at < part.until for part in everything(seen)))


def _request_json(
    found: Asked, brought: dict[str, Any], zone: ZoneInfo, caller: Caller, language: Language
) -> dict[str, object]:
    values = [
        {"channel": channel, "value": plain(value), "unit": unit_of(channel)} for channel, value in brought.items()
    ]
    return {**_summary(found, zone, caller, language), "values": values}


def _summary(found: Asked, zone: ZoneInfo, caller: Caller, language: Language) -> dict[str, object]:
    return {
        "number": found.id,
        "point": found.point,
        "meter": found.meter,
        "state": found.state,
        "text": state_text("reading_request", found.state, language),
        "asked_at": found.asked_at.astimezone(zone),
        "finished_at": maybe_local(found.finished_at, zone),
        "read_at": maybe_local(found.read_at, zone),
        "failure": failure_json(found.failure, language),
        "asked_by": found.asked_by if caller.staff else None,
        "detail": found.detail if caller.staff else None,
    }
