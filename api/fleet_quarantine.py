"""What could not become a reading, for engineers: looked at, brought in again, thrown away."""

from __future__ import annotations

import base64
import re
from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Query, Response

from api.answers import json_answer
from api.context import Here
from api.faults import Fault
from api.fields import Input
from api.fleet_answers import piece_json, replayed_json
from api.fleet_inputs import Choice, Name, ReplayChoice
from api.fleet_refusals import STAFF, Engineer, refusals
from api.problems import invalid
from api.quarantine_schemas import DroppedOut, PieceCard, QuarantinePage, ReplayedOut
from api.queries import Cursor, Limit, Number
from api.responses import errors
from api.route import CabinetRoute
from storage import quarantine as stored
from storage import quarantine_room
from storage.quarantine import Refusal, Which
from storage.quarantine_room import Room, Unkept
from storage.replay import replay

router = APIRouter(tags=["quarantine"], route_class=CabinetRoute)

MOST_REPLAYED = 1_000
"""Pieces tried by one request, about: the next one goes on where it ended."""
MOST_DROPPED = 10_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CURSOR = re.compile(r"(\d{1,17})[.](\d{1,18})", re.ASCII)
_MICROSECOND = timedelta(microseconds=1)


class QuarantineQuery(Input):
    """Which pieces, and which page of them."""

    reason: Name | None = None
    meter: Name | None = None
    origin: Name | None = None
    limit: Limit = 50
    cursor: Cursor | None = None


@router.get(
    "/quarantine",
    operation_id="listQuarantine",
    summary="What lies in quarantine",
    response_model=QuarantinePage,
    responses=errors(),
    openapi_extra=STAFF,
)
async def list_pieces(query: Annotated[QuarantineQuery, Query()], here: Here, caller: Engineer) -> Response:
    """Pieces that meet everything given, the last seen first; how much there is of each reason; how full it is."""
    which = Which(None, query.reason, query.meter, query.origin)
    before = None if query.cursor is None else _position(query.cursor)
    async with here.database.connection() as conn:
        found = await stored.find(conn, which, limit=query.limit + 1, before=before)
        summed = await stored.summary(conn)
        room, unkept = await quarantine_room.look(conn), await quarantine_room.unkept(conn)
    more = len(found) > query.limit
    found = found[: query.limit]
    return json_answer(
        {
            "items": [piece_json(one) for one in found],
            "next": _cursor(found[-1]) if more else None,
            "reasons": [
                {"reason": s.reason, "rows": s.rows, "times": s.times, "first_at": s.first_at, "last_at": s.last_at}
                for s in summed
            ],
            "room": _room_json(room),
            "unkept": [_unkept_json(one) for one in unkept],
        }
    )


@router.get(
    "/quarantine/{number}",
    operation_id="getQuarantinePiece",
    summary="One piece and what came",
    response_model=PieceCard,
    responses=errors(404),
    openapi_extra=STAFF,
)
async def get_piece(number: Number, here: Here, caller: Engineer) -> Response:
    """Where it came from, why it was refused, and every byte of it."""
    with refusals():
        async with here.page() as conn:
            one, raw = await stored.get(conn, number)
    text = raw.decode("utf-8", "backslashreplace")
    return json_answer({**piece_json(one), "text": text, "raw": base64.b64encode(raw).decode()})


@router.post(
    "/quarantine/replay",
    operation_id="replayQuarantine",
    summary="Bring pieces in again",
    response_model=ReplayedOut,
    responses=errors(400, 413),
    openapi_extra=STAFF,
)
async def replay_pieces(choice: ReplayChoice, here: Here, caller: Engineer) -> Response:
    """With their original times, after what was wrong was put right; the oldest first.

    About a thousand are tried at once. When `next` is not null, send the same choice again with it as `after`.
    """
    said = await replay(here.database, here.knowledge.parse, _chosen(choice), after=choice.after, most=MOST_REPLAYED)
    return json_answer(replayed_json(said))


@router.post(
    "/quarantine/drop",
    operation_id="dropQuarantine",
    summary="Throw pieces away",
    response_model=DroppedOut,
    responses=errors(400, 413),
    openapi_extra=STAFF,
)
async def drop_pieces(choice: Choice, here: Here, caller: Engineer) -> Response:
    """For good. An event keeps how many of which reason they were, and who did it.

    Ten thousand go at once; while `more` is true, send the same choice again.
    """
    async with here.database.connection() as conn:
        gone = await stored.drop(conn, _chosen(choice), caller.author, most=MOST_DROPPED)
    return json_answer({"dropped": len(gone), "more": len(gone) == MOST_DROPPED})


def _chosen(choice: Choice) -> Which:
    which = Which(choice.ids, choice.reason, choice.meter, choice.origin)
    if choice.all == (which != Which()):
        raise invalid(
            Fault("all", choice.all, "refused", reason="name ids, a reason, a meter or an origin, or say all")
        )
    return which


def _cursor(last: Refusal) -> str:
    return f"{(last.last_at - _EPOCH) // _MICROSECOND}.{last.id}"


def _position(cursor: str) -> tuple[datetime, int]:
    found = _CURSOR.fullmatch(cursor)
    if found is None:
        raise invalid(Fault("cursor", cursor, "bad_cursor"))
    try:
        return _EPOCH + int(found[1]) * _MICROSECOND, int(found[2])
    except OverflowError as e:
        raise invalid(Fault("cursor", cursor, "bad_cursor")) from e


def _room_json(room: Room) -> dict[str, object]:
    return {
        "rows": room.rows,
        "bytes": room.bytes,
        "most_rows": room.most_rows,
        "most_bytes": room.most_bytes,
        "share": f"{room.share:.4f}",
    }


def _unkept_json(one: Unkept) -> dict[str, object]:
    return {
        "road": one.road,
        "reason": one.reason,
        "times": one.times,
        "first_at": one.first_at,
        "last_at": one.last_at,
        "last_origin": one.last_origin,
    }
