"""Which metering points there are, and what stands at one of them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Query, Request, Response

from api.access import Asking, see
from api.answers import SAID, json_answer, maybe_local, plain
from api.billing import billing_json
from api.context import Here
from api.fields import Input
from api.language import language_of
from api.queries import Cursor, Limit, name_cursor, name_position
from api.responses import errors
from api.route import CabinetRoute
from api.schemas import PointCard, PointsPage
from ingest.channel import is_counter
from ingest.model import MeteringPoint, Register
from storage import points
from storage.points import Contacted, Listed, Seen, Standing

router = APIRouter(tags=["points"], route_class=CabinetRoute)


class PointsQuery(Input):
    """Which page of the list."""

    limit: Limit = 100
    cursor: Cursor | None = None


@router.get(
    "/points", operation_id="listPoints", summary="Points you may see", response_model=PointsPage, responses=errors()
)
async def list_points(query: Annotated[PointsQuery, Query()], here: Here, caller: Asking) -> Response:
    """In the order of their codes. A consumer's list holds the points of their contracts, past ones too."""
    after = name_position(query.cursor)
    async with here.look() as conn:
        listed, more = await points.page(conn, caller.consumer, after=after, limit=query.limit)
    following = name_cursor(listed[-1].point.code) if more else None
    return json_answer({"items": [_summary(item, staff=caller.staff) for item in listed], "next": following})


@router.get(
    "/points/{code}",
    operation_id="getPoint",
    summary="One point and what stands there",
    response_model=PointCard,
    responses=errors(404),
)
async def get_point(code: str, request: Request, here: Here, caller: Asking) -> Response:
    """The meter, its channels, and since when it has not answered. After a contract: as it was at its end."""
    now = here.now()
    async with here.look() as conn:
        seen = await see(conn, caller, code)
        at = _last_instant(seen, now)
        found = await points.standing(conn, code, at)
    zone = seen.point.tz
    contact = found.contact if found and at == now else None
    periods = None if seen.periods is None else [_period(*period, zone) for period in seen.periods]
    return json_answer(
        {
            **_identity(seen.point),
            "visible": periods,
            "installation": None if found is None else _installation(found, seen, zone),
            "contact": None if found is None or at != now else contact_json(contact, found.remote, zone, caller.staff),
            "billing": billing_json(here, seen.point, language_of(request)),
        },
        headers=SAID,
    )


def _last_instant(seen: Seen, now: datetime) -> datetime:
    """Now, or the last instant of a contract that is over."""
    if seen.periods is None or seen.periods[-1][1] is None or seen.periods[-1][1] > now:
        return now
    return seen.periods[-1][1] - datetime.resolution


def _identity(point: MeteringPoint) -> dict[str, object]:
    return {
        "code": point.code,
        "name": point.name,
        "address": point.address,
        "zone": point.zone,
        "category": point.category,
        "official_code": point.official_code,
    }


def _summary(item: Listed, *, staff: bool) -> dict[str, object]:
    zone = item.point.tz
    return {
        **_identity(item.point),
        "visible": None if item.since is None else _period(item.since, item.until, zone),
        "meter": item.meter,
        "model": item.model,
        "contact": None if item.meter is None else contact_json(item.contact, item.remote, zone, staff),
    }


def _period(since: datetime, until: datetime | None, zone: ZoneInfo) -> dict[str, object]:
    return {"since": since.astimezone(zone), "until": maybe_local(until, zone)}


def _installation(found: Standing, seen: Seen, zone: ZoneInfo) -> dict[str, object]:
    over = seen.periods[-1][1] if seen.periods else None
    until = found.until if over is None or (found.until is not None and found.until <= over) else None
    return {
        "meter": found.meter,
        "model": found.model,
        "since": found.since.astimezone(zone),
        "until": maybe_local(until, zone),
        "ct": plain(found.ct),
        "vt": plain(found.vt),
        "ratio": plain(found.ct * found.vt),
        "channels": [_channel(register) for register in found.registers],
    }


def _channel(register: Register) -> dict[str, object]:
    return {
        "channel": register.channel,
        "unit": register.unit,
        "kind": "counter" if is_counter(register.channel) else "momentary",
        "digits": register.digits,
        "decimals": register.decimals,
    }


_NEVER_ASKED: dict[str, object] = {
    "tried_at": None,
    "answered_at": None,
    "failure": None,
    "failed_turns": 0,
    "clock_drift": None,
    "detail": None,
}


def contact_json(contact: Contacted | None, remote: bool, zone: ZoneInfo, staff: bool) -> dict[str, object]:
    """Whether the meter answers; what names wires is for staff only."""
    if contact is None:
        return {"state": "waiting" if remote else "manual", **_NEVER_ASKED}
    return {
        "state": "answering" if contact.failure is None else "silent",
        "tried_at": contact.tried_at.astimezone(zone),
        "answered_at": maybe_local(contact.answered_at, zone),
        "failure": contact.failure,
        "failed_turns": contact.failed_turns,
        "clock_drift": None if contact.drift is None else round(contact.drift.total_seconds()),
        "detail": contact.detail if staff else None,
    }
