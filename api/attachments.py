"""Photos of displays: kept beside what was typed in from them, shown to whoever may see that entry."""

from __future__ import annotations

from typing import Annotated
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from api import photo_check
from api.access import Asking, Entering, everything, see
from api.answers import json_answer
from api.attachment_schemas import PhotoOut, PhotosPage
from api.context import Here
from api.doorkeeper import Caller, Role
from api.faults import Fault
from api.fields import Input
from api.instants import Instant
from api.problems import Problem, invalid
from api.queries import Cursor, Limit, Number, number_cursor, number_position
from api.responses import errors
from api.route import CabinetRoute, FileRoute
from ingest.model import Source
from storage import attachments, points
from storage.attachments import Image, Photo
from storage.points import Seen

router = APIRouter(tags=["readings"], route_class=CabinetRoute)
uploads = APIRouter(tags=["readings"], route_class=FileRoute)
MOST_OF_ONE = 5
"""Photos of one entry."""

_BINARY = {"schema": {"type": "string", "format": "binary"}}
_PHOTO = dict.fromkeys(photo_check.TYPES, _BINARY)


class PhotoQuery(Input):
    """Which entry the photo belongs to."""

    taken_at: Instant = Field(description="of the entry: the `taken_at` its readings were sent with")


class PhotosQuery(Input):
    """Which photos, and which page of them."""

    taken_at: Instant | None = Field(None, description="of the entry; left out, of every one")
    limit: Limit = 100
    cursor: Cursor | None = None


@uploads.post(
    "/points/{code}/photos",
    status_code=201,
    operation_id="addPhoto",
    summary="Add a photo of the display",
    response_model=PhotoOut,
    responses={
        **errors(404, 409, 413, 415),
        200: {"model": PhotoOut, "description": "Exactly this photo was added before; nothing changed."},
    },
    openapi_extra={"requestBody": {"required": True, "content": _PHOTO}},
)
async def add_photo(
    code: str, query: Annotated[PhotoQuery, Query()], request: Request, here: Here, caller: Entering
) -> Response:
    """The body is the file itself, a JPEG or PNG as `Content-Type` says, of at most 8 MiB and 40 megapixels.

    The readings come first: the photo is kept beside what the same person typed in for `taken_at` (staff: beside what
    operators typed in), at most five of one entry, and for as long as those readings are kept.
    """
    media_type = photo_check.check_type(request.headers.get("content-type"))
    async with here.page() as conn:
        seen = await see(conn, caller, code)
    _check_time(seen, query)
    image = await photo_check.look_at(await request.body(), media_type)
    photo, new = await _keep(here, caller, seen, query, image)
    return json_answer(photo_json(photo, code, seen.point.tz, caller), 201 if new else 200)


def _check_time(seen: Seen, query: PhotoQuery) -> None:
    if not any(part.since <= query.taken_at < part.until for part in everything(seen)):
        raise _no_entry(query, seen.point.tz)


async def _keep(here: Here, caller: Caller, seen: Seen, query: PhotoQuery, image: Image) -> tuple[Photo, bool]:
    source = Source.CONSUMER if caller.role is Role.CONSUMER else Source.OPERATOR
    code, at = seen.point.code, query.taken_at
    async with here.page() as conn:
        meter = await points.standing(conn, code, at)
        authors = [] if meter is None else await attachments.entry_authors(conn, meter.meter, source, at)
        if meter is None or not authors or not (caller.staff or caller.author in authors):
            raise _no_entry(query, seen.point.tz)
        kept = await attachments.add(conn, code, meter.meter, source, at, caller.author, image, most=MOST_OF_ONE)
    if kept is None:
        raise Problem("too_many_photos", most=MOST_OF_ONE, taken_at=at.astimezone(seen.point.tz).isoformat())
    return kept


def _no_entry(query: PhotoQuery, zone: ZoneInfo) -> Problem:
    return invalid(Fault("taken_at", query.taken_at.astimezone(zone).isoformat(), "no_entry"))


@router.get(
    "/points/{code}/photos",
    operation_id="listPhotos",
    summary="Photos of a point's displays",
    response_model=PhotosPage,
    responses=errors(404),
)
async def list_photos(code: str, query: Annotated[PhotosQuery, Query()], here: Here, caller: Asking) -> Response:
    """The youngest first; a consumer sees those of entries within the dates of the contract."""
    before = number_position(query.cursor)
    async with here.page() as conn:
        seen = await see(conn, caller, code)
        parts = [(part.since, part.until) for part in everything(seen)]
        found, more = await attachments.page(conn, code, parts, before=before, limit=query.limit, at=query.taken_at)
    items = [photo_json(photo, code, seen.point.tz, caller) for photo in found]
    return json_answer({"items": items, "next": number_cursor(found[-1].id) if more else None})


@router.get(
    "/points/{code}/photos/{number}",
    operation_id="getPhoto",
    summary="One photo",
    response_class=Response,
    responses={**errors(404), 200: {"content": _PHOTO, "description": "The file as it was sent."}},
)
async def get_photo(code: str, number: Number, request: Request, here: Here, caller: Asking) -> Response:
    """The file itself, always as a download: a browser must not take it for anything else."""
    async with here.page() as conn:
        seen = await see(conn, caller, code)
        found = await attachments.find(conn, code, number)
    if found is None or not any(part.since <= found[0].taken_at < part.until for part in everything(seen)):
        raise Problem("not_found", what=request.url.path)
    photo, content = found
    ending = photo.media_type.rpartition("/")[2].replace("jpeg", "jpg")
    headers = {
        "Content-Disposition": f'attachment; filename="photo-{photo.id}.{ending}"',
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "Cache-Control": "private, no-cache",
    }
    return Response(content, 200, headers, photo.media_type)


def photo_json(photo: Photo, point: str, zone: ZoneInfo, caller: Caller) -> dict[str, object]:
    """What is known of one photo."""
    return {
        "id": photo.id,
        "point": point,
        "meter": photo.meter,
        "taken_at": photo.taken_at.astimezone(zone),
        "source": photo.source.label,
        "media_type": photo.media_type,
        "width": photo.width,
        "height": photo.height,
        "size": photo.size,
        "added_at": photo.added_at.astimezone(zone),
        "author": photo.author if caller.staff or photo.author == caller.author else None,
    }
