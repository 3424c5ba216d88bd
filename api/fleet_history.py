"""History made at a point: a meter exchanged for another one, transformers for others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Request, Response

from api.access import see
from api.answers import json_answer
from api.context import Context, Here
from api.doorkeeper import Caller
from api.fleet_answers import installation_json
from api.fleet_inputs import ExchangeIn, RatioIn
from api.fleet_refusals import STAFF, Engineer, no_model, refusals
from api.fleet_schemas import HistoryChange
from api.instants import resolve
from api.once import IdempotencyKey, once
from api.responses import errors
from api.route import CabinetRoute
from ingest.model import Installation, MeteringPoint
from storage import exchange as history

router = APIRouter(tags=["fleet"], route_class=CabinetRoute)


@router.post(
    "/points/{code}/exchange",
    status_code=201,
    operation_id="exchangeMeter",
    summary="Exchange the meter at a point",
    response_model=HistoryChange,
    responses=errors(400, 404, 409, 413),
    openapi_extra=STAFF,
)
async def exchange(
    code: str, wanted: ExchangeIn, request: Request, here: Here, caller: Engineer, key: IdempotencyKey = None
) -> Response:
    """The meter there is taken down at `at` with its closing readings, another one put up with its opening readings.

    409 names what contradicts stored readings or installations; then nothing was changed.
    """
    return await once(here, caller, key, request, lambda: _exchange(code, wanted, here, caller))


@router.post(
    "/points/{code}/ratio",
    status_code=201,
    operation_id="changeRatio",
    summary="Change the transformer ratios at a point",
    response_model=HistoryChange,
    responses=errors(400, 404, 409, 413),
    openapi_extra=STAFF,
)
async def change_ratio(
    code: str, wanted: RatioIn, request: Request, here: Here, caller: Engineer, key: IdempotencyKey = None
) -> Response:
    """From `at` on; `readings` are what the meter showed then: they close the old ratio and open the new one."""
    return await once(here, caller, key, request, lambda: _change_ratio(code, wanted, here, caller))


async def _exchange(code: str, wanted: ExchangeIn, here: Context, caller: Caller) -> Response:
    async with here.database.connection() as conn:
        point = (await see(conn, caller, code)).point
        changed = await perform_exchange(conn, point, wanted, here, caller)
    return _said(point, changed)


async def perform_exchange(
    conn: Any, point: MeteringPoint, wanted: ExchangeIn, here: Context, caller: Caller
) -> tuple[Installation, Installation]:
    """Put an exchange into the fleet's history, within the caller's transaction. Raises the problems of `refusals`."""
    models = here.knowledge.models()
    if wanted.model is not None and wanted.model not in models:
        raise no_model(wanted.model, models)
    registers = tuple(models.get(wanted.model or "", ()))
    new = history.Replacement(
        wanted.meter,
        wanted.opening,
        wanted.model,
        registers,
        wanted.line,
        wanted.address,
        wanted.gateway,
        wanted.verified_until,
    )
    at = resolve(wanted.at, point.tz)
    with refusals():
        return await history.exchange(
            conn, point.code, at, wanted.closing, new, ct=wanted.ct, vt=wanted.vt, author=caller.author
        )


async def _change_ratio(code: str, wanted: RatioIn, here: Context, caller: Caller) -> Response:
    with refusals():
        async with here.database.connection() as conn:
            point = (await see(conn, caller, code)).point
            changed = await history.change_ratio(
                conn,
                code,
                resolve(wanted.at, point.tz),
                wanted.readings,
                ct=wanted.ct,
                vt=wanted.vt,
                author=caller.author,
            )
    return _said(point, changed)


def _said(point: MeteringPoint, changed: Sequence[Installation]) -> Response:
    ended, begun = (installation_json(one, point.tz) for one in changed)
    return json_answer({"ended": ended, "begun": begun}, 201)
