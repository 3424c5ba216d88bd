"""Whether the process lives, and whether it can serve: for whoever restarts it and whoever sends it traffic."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Response

from api.answers import json_answer
from api.context import Context, Here
from api.problems import Problem
from api.responses import open_errors
from api.service_schemas import Alive, Readiness
from ingest.errors import AmrError
from storage.migrate import unapplied

router = APIRouter(tags=["health"])
_PATIENCE = 3.0


@router.get("/healthz", operation_id="getHealth", summary="Is the process alive", response_model=Alive)
async def healthz() -> Response:
    """Answers as long as the process runs; says nothing about the database."""
    return json_answer({"alive": True})


@router.get(
    "/readyz",
    operation_id="getReadiness",
    summary="Can requests be served",
    response_model=Readiness,
    responses=open_errors(503),
)
async def readyz(here: Here) -> Response:
    """The database answers, its schema is current, and the intake queue has room."""
    checks = [await _database(here), _queue(here)]
    if not all(check["ready"] for check in checks):
        reason = "; ".join(f"{check['name']}: {check['detail']}" for check in checks if not check["ready"])
        raise Problem("not_ready", reason=reason, members={"ready": False, "checks": checks})
    return json_answer({"ready": True, "checks": checks})


async def _database(here: Context) -> dict[str, object]:
    try:
        async with asyncio.timeout(_PATIENCE):
            missing = await unapplied(here.database)
    except (AmrError, TimeoutError) as e:
        return {"name": "database", "ready": False, "detail": type(e).__name__}
    if missing:
        return {"name": "database", "ready": False, "detail": f"migrations to apply: {', '.join(missing)}"}
    return {"name": "database", "ready": True, "detail": "answers, schema is current"}


def _queue(here: Context) -> dict[str, object]:
    depth = here.intake.depth
    detail = f"{depth.rows} of {depth.capacity} rows, the oldest waits {depth.oldest:.1f} s"
    return {"name": "intake", "ready": depth.rows < depth.capacity, "detail": detail}
