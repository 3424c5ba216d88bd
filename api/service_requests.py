"""Service requests about meters: consumers submit them, staff move them on, a finished replacement is an exchange."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from api.access import Asking, Entering, see
from api.answers import SAID, json_answer, maybe_local
from api.context import Context, Here
from api.doorkeeper import Caller, Role
from api.faults import Fault
from api.fields import Input
from api.fleet_history import perform_exchange
from api.language import language_of
from api.once import IdempotencyKey, once
from api.problems import Problem, invalid
from api.queries import Cursor, Limit, Number, number_cursor, number_position
from api.reading_requests import STAFF, Staff, check_running
from api.request_texts import SERVICES, state_text
from api.responses import errors
from api.route import CabinetRoute
from api.service_request_schemas import (
    ServiceKind,
    ServiceMove,
    ServiceRequestOut,
    ServiceRequestsPage,
    ServiceState,
    ServiceWish,
)
from api.texts import Language
from storage import points, service_requests
from storage.service_requests import MOVES, ServiceRequest

router = APIRouter(tags=["requests"], route_class=CabinetRoute)


class ServiceRequestsQuery(Input):
    """Which requests, and which page of them."""

    point: str | None = Field(None, min_length=1, max_length=200, description="of this point only")
    kind: ServiceKind | None = None
    state: ServiceState | None = None
    limit: Limit = 100
    cursor: Cursor | None = None


@router.post(
    "/points/{code}/service-requests",
    status_code=201,
    operation_id="submitServiceRequest",
    summary="Ask for work on a meter",
    response_model=ServiceRequestOut,
    responses={
        **errors(400, 404, 409, 413),
        200: {"model": ServiceRequestOut, "description": "One of this kind is open already: nothing was added to it."},
    },
)
async def submit(
    code: str, wish: ServiceWish, request: Request, here: Here, caller: Entering, key: IdempotencyKey = None
) -> Response:
    """Admission, installation, replacement, maintenance, equipment of a supply point; nothing beyond meters.

    A consumer has one open request of a kind at a point. Follow it by its number, or among the cabinet's events.
    """
    return await once(here, caller, key, request, lambda: _submit(code, wish, language_of(request), here, caller))


async def _submit(code: str, wish: ServiceWish, language: Language, here: Context, caller: Caller) -> Response:
    async with here.page() as conn:
        seen = await see(conn, caller, code)
        check_running(seen, here.now())
        consumer = await _whose(conn, caller, code, wish, here.now())
        found, new = await service_requests.submit(
            conn, code, wish.kind, consumer=consumer, by=caller.author, note=wish.note
        )
    return json_answer(_request_json(found, caller, language), 201 if new else 200, SAID)


async def _whose(conn: Any, caller: Caller, code: str, wish: ServiceWish, now: datetime) -> str | None:
    """Whose request it is. Raises the 422 for somebody who has no contract at the point now."""
    if wish.consumer is None or wish.consumer == caller.consumer:
        return caller.consumer
    theirs = await points.find(conn, code, wish.consumer) if caller.staff else None
    if theirs is None or not any(s <= now and (u is None or now < u) for s, u in theirs.periods or ()):
        raise invalid(Fault("consumer", wish.consumer, "no_contract"))
    return wish.consumer


@router.get(
    "/service-requests",
    operation_id="listServiceRequests",
    summary="Requests for work on meters",
    response_model=ServiceRequestsPage,
    responses=errors(404),
)
async def list_requests(
    query: Annotated[ServiceRequestsQuery, Query()], request: Request, here: Here, caller: Asking
) -> Response:
    """The youngest first: a consumer's own, for staff those of everybody."""
    before = number_position(query.cursor)
    async with here.page() as conn:
        if query.point is not None:
            await see(conn, caller, query.point)
        found, more = await service_requests.page(
            conn,
            consumer=caller.consumer,
            point=query.point,
            kind=query.kind,
            states=None if query.state is None else [query.state],
            before=before,
            limit=query.limit,
        )
    items = [_request_json(one, caller, language_of(request)) for one in found]
    return json_answer({"items": items, "next": number_cursor(found[-1].id) if more else None}, headers=SAID)


@router.get(
    "/service-requests/{number}",
    operation_id="getServiceRequest",
    summary="One request for work on a meter",
    response_model=ServiceRequestOut,
    responses=errors(404),
)
async def get_request(number: Number, request: Request, here: Here, caller: Asking) -> Response:
    """How far it is."""
    async with here.page() as conn:
        found = await _find(conn, caller, number, request)
    return json_answer(_request_json(found, caller, language_of(request)), headers=SAID)


@router.post(
    "/service-requests/{number}/state",
    operation_id="moveServiceRequest",
    summary="Move a request on",
    response_model=ServiceRequestOut,
    responses=errors(400, 404, 409, 413),
    openapi_extra=STAFF,
)
async def move(
    number: Number, wanted: ServiceMove, request: Request, here: Here, caller: Staff, key: IdempotencyKey = None
) -> Response:
    """`submitted` → `in_progress` → `done` or `refused`. A refusal takes its reason.

    A replacement that is done takes the exchange, which is performed in the same step: either both happen or neither.
    That changes the fleet, and is for engineers and admins.
    """
    return await once(here, caller, key, request, lambda: _move(number, wanted, request, here, caller))


async def _move(number: int, wanted: ServiceMove, request: Request, here: Context, caller: Caller) -> Response:
    async with here.database.connection() as conn:
        found = await _find(conn, caller, number, request, hold=True)
        _check_move(found, wanted, caller)
        if wanted.exchange is not None:
            point = (await see(conn, caller, found.point)).point
            await perform_exchange(conn, point, wanted.exchange, here, caller)
        await service_requests.move(conn, number, wanted.to, by=caller.name, reason=wanted.reason)
        moved = await _find(conn, caller, number, request)
    return json_answer(_request_json(moved, caller, language_of(request)), headers=SAID)


def _check_move(found: ServiceRequest, wanted: ServiceMove, caller: Caller) -> None:
    """Raise the 409 for a way that does not exist, the 422 for what lacks or does not belong to it."""
    if wanted.to not in MOVES[found.state]:
        moves = ", ".join(MOVES[found.state]) or "-"
        raise Problem("wrong_state", number=found.id, state=found.state, moves=moves)
    if (wanted.reason is not None) != (wanted.to == "refused"):
        raise invalid(Fault("reason", wanted.reason, "reason_of_refusal"))
    if (wanted.exchange is not None) != (wanted.to == "done" and found.kind == "replacement"):
        raise invalid(Fault("exchange", wanted.exchange and wanted.exchange.meter, "exchange_of_replacement"))
    if wanted.exchange is not None and caller.role is Role.OPERATOR:
        raise Problem("forbidden", role=caller.role.value, allowed=f"{Role.ENGINEER.value}, {Role.ADMIN.value}")


async def _find(conn: Any, caller: Caller, number: int, request: Request, *, hold: bool = False) -> ServiceRequest:
    """A request that the caller may see: their own, or any for staff. Raises the 404; puts its point on record."""
    found = await service_requests.find(conn, number, hold=hold)
    if found is None or (not caller.staff and found.consumer != caller.consumer):
        raise Problem("not_found", what=request.url.path)
    request.state.point = found.point
    return found


def _request_json(found: ServiceRequest, caller: Caller, language: Language) -> dict[str, object]:
    zone = ZoneInfo(found.zone)
    return {
        "number": found.id,
        "point": found.point,
        "kind": found.kind,
        "kind_text": SERVICES[found.kind].say(language),
        "state": found.state,
        "text": state_text("service_request", found.state, language),
        "note": found.note,
        "submitted_at": found.submitted_at.astimezone(zone),
        "started_at": maybe_local(found.started_at, zone),
        "finished_at": maybe_local(found.finished_at, zone),
        "reason": found.reason,
        "consumer": found.consumer,
        "opened_by": found.opened_by if caller.staff else None,
        "moved_by": found.moved_by if caller.staff else None,
    }
