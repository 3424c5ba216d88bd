"""Changing the fleet: a whole file, or one thing of it, by the same rules; what became different is the answer."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from api.access import point_code, see
from api.answers import json_answer
from api.context import Context, Here
from api.doorkeeper import Caller
from api.faults import Fault
from api.fields import Input
from api.fleet_answers import difference_json
from api.fleet_inputs import ContractIn, InstallationIn, LineIn, MeterIn, PointIn
from api.fleet_refusals import STAFF, Engineer, named, refusals
from api.fleet_schemas import DifferenceOut
from api.instants import resolve
from api.problems import Problem, invalid
from api.queries import Flag
from api.responses import errors
from api.route import CabinetRoute, FileRoute
from ingest.model import Installation, Line, Meter, MeteringPoint, RegisterSpec
from storage import fleet
from storage.fleet_lock import lock_fleet
from storage.fleet_model import Contract, Fleet, FleetMeter
from storage.fleet_toml import write_toml

router = APIRouter(tags=["fleet"], route_class=CabinetRoute)
files = APIRouter(tags=["fleet"], route_class=FileRoute)
TOML = "application/toml"


class DryRun(Input):
    """Whether only to look."""

    dry_run: Flag = Field(False, description="only say what would become different")


class ExportQuery(Input):
    """How much is written out."""

    registers: Flag = Field(False, description="write the catalogue's registers out too")


@files.get(
    "/fleet",
    operation_id="exportFleet",
    summary="The whole fleet as a file",
    response_class=Response,
    responses={
        **errors(),
        200: {"description": "TOML that applies back without a difference.", "content": {TOML: {}}},
    },
    openapi_extra=STAFF,
)
async def export(query: Annotated[ExportQuery, Query()], here: Here, caller: Engineer) -> Response:
    """Lines, points, meters, installations and contracts as TOML. Passwords are stars, which keep the stored ones."""
    async with here.database.connection() as conn:
        text = await fleet.export(conn, {} if query.registers else here.knowledge.models())
    return Response(text, media_type=TOML, headers={"Cache-Control": "private, no-cache"})


@files.post(
    "/fleet",
    operation_id="applyFleet",
    summary="Make the fleet what a file says",
    response_model=DifferenceOut,
    responses=errors(400, 409, 413),
    openapi_extra={
        **STAFF,
        "requestBody": {"required": True, "content": {TOML: {"schema": {"type": "string"}}}},
    },
)
async def apply_file(query: Annotated[DryRun, Query()], request: Request, here: Here, caller: Engineer) -> Response:
    """A fleet file (TOML, UTF-8) like the one GET gives. What it does not name is left alone; nothing is deleted.

    Everything is checked before anything is touched: 422 names every mistake with its line, 409 every contradiction
    with what is stored. With `dry_run` the answer is the difference, and nothing is changed.
    """
    try:
        text = (await request.body()).decode("utf-8-sig")
    except UnicodeDecodeError as e:
        raise Problem("bad_request", reason=f"byte {e.start} of the file is not UTF-8; save it as UTF-8") from e
    with refusals():
        async with here.database.connection() as conn:
            return await _apply(conn, here, caller, text, dry_run=query.dry_run)


@router.put(
    "/lines/{name}",
    operation_id="putLine",
    summary="Add or change a line",
    response_model=DifferenceOut,
    responses=errors(400, 404, 409, 413),
    openapi_extra=STAFF,
)
async def put_line(
    name: str, line: LineIn, query: Annotated[DryRun, Query()], here: Here, caller: Engineer
) -> Response:
    """The line is then as it is said here. Collectors hear of it at once."""
    wanted = Line(named("line", name), line.kind, line.address, line.options)
    async with _changing(here, caller.author) as conn:
        return await _apply_one(conn, here, caller, Fleet(lines={name: wanted}), query)


@router.put(
    "/points/{code}",
    operation_id="putPoint",
    summary="Add or change a point",
    response_model=DifferenceOut,
    responses=errors(400, 404, 409, 413),
    openapi_extra=STAFF,
)
async def put_point(
    code: str, point: PointIn, query: Annotated[DryRun, Query()], here: Here, caller: Engineer
) -> Response:
    """The point is then as it is said here."""
    wanted = MeteringPoint(
        point_code(code), point.name or "", point.address or "", point.zone, point.category, point.official_code
    )
    async with _changing(here, caller.author) as conn:
        return await _apply_one(conn, here, caller, Fleet(points={code: wanted}), query)


@router.put(
    "/meters/{serial}",
    operation_id="putMeter",
    summary="Add or change a meter",
    response_model=DifferenceOut,
    responses=errors(400, 404, 409, 413),
    openapi_extra=STAFF,
)
async def put_meter(
    serial: str, meter: MeterIn, query: Annotated[DryRun, Query()], here: Here, caller: Engineer
) -> Response:
    """The meter is then as it is said here. Registers are the catalogue's unless they are told."""
    wanted = Meter(
        named("meter", serial),
        meter.model,
        meter.line,
        meter.address,
        meter.gateway,
        meter.period,
        meter.options,
        meter.verified_until,
    )
    try:
        specs = [RegisterSpec(one.channel, one.digits, one.decimals, one.max_rate) for one in meter.registers]
    except ValueError as e:
        raise invalid(Fault("registers", None, "invalid_value", reason=str(e))) from e
    registers = {spec.channel: spec for spec in specs}
    async with _changing(here, caller.author) as conn:
        return await _apply_one(conn, here, caller, Fleet(meters={serial: FleetMeter(wanted, registers)}), query)


@router.post(
    "/points/{code}/installations",
    operation_id="putInstallation",
    summary="Put a meter up at a point, or take it down",
    response_model=DifferenceOut,
    responses=errors(400, 404, 409, 413),
    openapi_extra=STAFF,
)
async def put_installation(
    code: str, installation: InstallationIn, query: Annotated[DryRun, Query()], here: Here, caller: Engineer
) -> Response:
    """A new installation, or a correction of the stored one of the same meter and `since`.

    For another meter in place of one use POST …/exchange, for other transformers POST …/ratio.
    """
    async with _changing(here, caller.author) as conn:
        point = (await see(conn, caller, code)).point
        wanted = _installation(point, installation)
        return await _apply_one(conn, here, caller, Fleet(points={code: point}, installations=[wanted]), query)


def _installation(point: MeteringPoint, said: InstallationIn) -> Installation:
    since = resolve(said.since, point.tz)
    until = None if said.until is None else resolve(said.until, point.tz)
    try:
        return Installation(point.code, said.meter, since, until, said.ct, said.vt, said.opening, said.closing)
    except ValueError as e:
        raise invalid(Fault("until", said.until, "refused", reason=str(e))) from e


@router.post(
    "/points/{code}/contracts",
    operation_id="putContract",
    summary="Say whose a point is",
    response_model=DifferenceOut,
    responses=errors(400, 404, 409, 413),
    openapi_extra=STAFF,
)
async def put_contract(
    code: str, contract: ContractIn, query: Annotated[DryRun, Query()], here: Here, caller: Engineer
) -> Response:
    """A new contract, or another end of the stored one of the same consumer and `since`."""
    async with _changing(here, caller.author) as conn:
        point = (await see(conn, caller, code)).point
        until = None if contract.until is None else resolve(contract.until, point.tz)
        wanted = Contract(contract.consumer, code, resolve(contract.since, point.tz), until)
        return await _apply_one(conn, here, caller, Fleet(points={code: point}, contracts=[wanted]), query)


@contextlib.asynccontextmanager
async def _changing(here: Context, author: str | None) -> AsyncIterator[Any]:
    """One transaction in which nobody else changes the fleet; refusals of its rules are said as problems."""
    with refusals():
        async with here.database.connection() as conn:
            await lock_fleet(conn, author)
            yield conn


async def _apply_one(conn: Any, here: Context, caller: Caller, wanted: Fleet, query: DryRun) -> Response:
    """The same as a file that says just this."""
    text = write_toml(wanted, here.knowledge.models(), secrets=True)
    return await _apply(conn, here, caller, text, dry_run=query.dry_run)


async def _apply(conn: Any, here: Context, caller: Caller, text: str, *, dry_run: bool) -> Response:
    knowledge = here.knowledge
    difference = await fleet.apply(
        conn,
        text,
        knowledge.models(),
        dry_run=dry_run,
        check_line=knowledge.check_line,
        check_meter=knowledge.check_meter,
        author=caller.author,
    )
    return json_answer(difference_json(difference, dry_run=dry_run))
