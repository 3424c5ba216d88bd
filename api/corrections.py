"""Corrections: every value that somebody typed in and that another one stands in place of."""

from __future__ import annotations

from typing import Annotated
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Query, Response

from api.access import Asking, everything, see
from api.answers import json_answer, plain
from api.context import Here
from api.correction_schemas import CorrectionsPage
from api.doorkeeper import Caller
from api.fields import Input
from api.queries import Cursor, Limit, number_cursor, number_position
from api.responses import errors
from api.route import CabinetRoute
from ingest.channel import unit_of
from storage import corrections
from storage.corrections import Corrected

router = APIRouter(tags=["readings"], route_class=CabinetRoute)


class CorrectionsQuery(Input):
    """Which page of the list."""

    limit: Limit = 100
    cursor: Cursor | None = None


@router.get(
    "/points/{code}/readings/corrections",
    operation_id="listCorrections",
    summary="Values that were corrected",
    response_model=CorrectionsPage,
    responses=errors(404),
)
async def list_corrections(
    code: str, query: Annotated[CorrectionsQuery, Query()], here: Here, caller: Asking
) -> Response:
    """What stood before a correction, the youngest correction first. What stands now is among the readings."""
    before = number_position(query.cursor)
    async with here.page() as conn:
        seen = await see(conn, caller, code)
        parts = [(part.since, part.until) for part in everything(seen)]
        found, more = await corrections.page(conn, code, parts, before=before, limit=query.limit)
    items = [_correction_json(one, seen.point.tz, caller) for one in found]
    return json_answer({"items": items, "next": number_cursor(found[-1].id) if more else None})


def _correction_json(one: Corrected, zone: ZoneInfo, caller: Caller) -> dict[str, object]:
    shown = caller.staff or one.author == caller.consumer
    return {
        "meter": one.meter,
        "channel": one.channel,
        "taken_at": one.taken_at.astimezone(zone),
        "value": plain(one.value),
        "unit": unit_of(one.channel),
        "source": one.source.label,
        "quality": one.quality.label,
        "reasons": one.reasons.labels,
        "received_at": one.received_at.astimezone(zone),
        "author": one.author if shown else None,
        "note": one.note if shown else None,
        "corrected_at": one.superseded_at.astimezone(zone),
        "corrected_by": one.superseded_by if caller.staff or one.superseded_by == caller.consumer else None,
    }
