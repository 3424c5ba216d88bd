"""What the registers showed: pages of history, and the last readings that count."""

from __future__ import annotations

import re
from datetime import UTC
from email.utils import format_datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from pydantic import Field

from api.access import Asking, everything, see, visible
from api.answers import as_of_json, json_answer, reading_json
from api.context import Here
from api.doorkeeper import Caller
from api.faults import Fault
from api.fields import Channel, Input
from api.instants import MOST_YEARS, Range, When, resolve
from api.problems import invalid
from api.queries import Cursor, Limit
from api.responses import errors
from api.route import CabinetRoute
from api.schemas import LatestReadings, ReadingsPage
from ingest.consumption import Policy
from ingest.errors import Malformed
from storage import history, points
from storage.history import Counted, StoredReading
from storage.points import Seen

router = APIRouter(tags=["readings"], route_class=CabinetRoute)
_CURSOR = re.compile(r"(\d{1,4})[.](.{0,200})", re.ASCII)


class ReadingsQuery(Input):
    """Which readings, and which page of them."""

    channel: Channel | None = None
    since: When | None = Field(None, alias="from", description="the first instant; a date begins in the point's zone")
    until: When | None = Field(None, alias="to", description="the instant after the last")
    limit: Limit = 500
    cursor: Cursor | None = None


@router.get(
    "/points/{code}/readings",
    operation_id="listReadings",
    summary="Readings of a point",
    response_model=ReadingsPage,
    responses=errors(404),
)
async def list_readings(code: str, query: Annotated[ReadingsQuery, Query()], here: Here, caller: Asking) -> Response:
    """Every reading of every source and quality within [from, to), oldest first."""
    async with here.look() as conn:
        seen = await see(conn, caller, code)
        parts = _asked(seen, query)
        if query.channel is not None:
            await check_channel_known(conn, seen, "channel", query.channel)
        items, following = await _page(conn, code, query, parts)
        newest = await _newest(conn, code, parts, query.channel, here.settings.policy)
    zone = seen.point.tz
    return json_answer(
        {
            "point": code,
            "zone": seen.point.zone,
            "channel": query.channel,
            "from": parts[0].since.astimezone(zone) if parts else None,
            "to": parts[-1].until.astimezone(zone) if parts else None,
            "as_of": as_of_json(newest, zone),
            "items": [reading_json(item, zone, caller) for item in items],
            "next": following,
        }
    )


@router.get(
    "/points/{code}/readings/latest",
    operation_id="getLatestReadings",
    summary="The last readings that count",
    response_model=LatestReadings,
    responses=errors(404),
)
async def get_latest(code: str, here: Here, caller: Asking) -> Response:
    """For each channel the newest reading that counts, and beside it the newest of every other source."""
    async with here.look() as conn:
        seen = await see(conn, caller, code)
        counted = await latest_of(conn, code, everything(seen), here.settings.policy)
    return json_answer(counted_json(seen, counted, caller), headers=_last_modified(counted))


def _last_modified(counted: list[Counted]) -> dict[str, str]:
    """When the newest of them came in; a change of judgement alone changes the ETag only."""
    came = [one.received_at for item in counted for one in (item.reading, *item.others)]
    return {"Last-Modified": format_datetime(max(came).astimezone(UTC), usegmt=True)} if came else {}


def counted_json(seen: Seen, counted: list[Counted], caller: Caller) -> dict[str, object]:
    """The last readings that count, and those beside them."""
    zone = seen.point.tz
    items = [
        {
            **reading_json(item.reading, zone, caller),
            "beside": [reading_json(other, zone, caller) for other in item.others],
        }
        for item in counted
    ]
    as_of = as_of_json([item.reading for item in counted], zone)
    return {"point": seen.point.code, "zone": seen.point.zone, "as_of": as_of, "items": items}


async def latest_of(conn: Any, code: str, parts: list[Range], policy: Policy) -> list[Counted]:
    """The last readings that count within the parts of time: of the newest part that has any."""
    for part in reversed(parts):
        counted = await history.latest(conn, code, since=part.since, until=part.until, policy=policy)
        if counted:
            return counted
    return []


async def check_channel_known(conn: Any, seen: Seen, field: str, channel: str) -> None:
    """Raise the 422 naming the point's channels when this is none of them, nor a total its zones make up.

    A point that never had a meter knows no channels and refuses none: its amounts are missing, not wrong.
    """
    span = everything(seen)
    known = await points.channels(conn, seen.point.code, span[0].since, span[-1].until) if span else []
    quantity, _, tariff = channel.rpartition(".")
    summed = tariff == "0" and any(other.startswith(f"{quantity}.") for other in known)
    if known and channel not in known and not summed:
        raise invalid(Fault(field, channel, "unknown_channel", known=", ".join(known)))


def _asked(seen: Seen, query: ReadingsQuery) -> list[Range]:
    """The parts of time asked for that may be seen."""
    whole, zone = everything(seen), seen.point.tz
    if not whole:
        return []
    since = whole[0].since if query.since is None else resolve(query.since, zone)
    until = whole[-1].until if query.until is None else resolve(query.until, zone)
    if since >= until:
        if query.since is not None and query.until is not None:
            raise invalid(Fault("from", query.since.isoformat(), "not_before"))
        return []
    if query.since is not None and query.until is not None and (until - since).days > 366 * MOST_YEARS:
        raise invalid(Fault("to", query.until.isoformat(), "range_too_long", most=MOST_YEARS))
    return visible(seen, Range(since, until))


async def _page(
    conn: Any, code: str, query: ReadingsQuery, parts: list[Range]
) -> tuple[list[StoredReading], str | None]:
    """One page, never across two contracts: the cursor leads on to the next one."""
    number, after = _position(query.cursor, len(parts))
    while number < len(parts):
        part = parts[number]
        try:
            items, following = await history.page(
                conn,
                code,
                channel=query.channel,
                since=part.since,
                until=part.until,
                limit=query.limit,
                after=after,
            )
        except Malformed as e:
            raise invalid(Fault("cursor", query.cursor, "bad_cursor")) from e
        if following is not None:
            return items, f"{number}.{following}"
        number, after = number + 1, None
        if items:
            return items, f"{number}." if number < len(parts) else None
    return [], None


def _position(cursor: str | None, parts: int) -> tuple[int, str | None]:
    if cursor is None:
        return 0, None
    found = _CURSOR.fullmatch(cursor)
    if not found or int(found[1]) >= max(1, parts):
        raise invalid(Fault("cursor", cursor, "bad_cursor"))
    return int(found[1]), found[2] or None


async def _newest(conn: Any, code: str, parts: list[Range], channel: str | None, policy: Policy) -> list[StoredReading]:
    counted = await latest_of(conn, code, parts, policy)
    return [item.reading for item in counted if channel in (None, item.reading.channel)]
