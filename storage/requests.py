"""Reading requests: somebody wants a meter read now.

Only the owner of a wire may speak on it, so a request is a row and a notice: the collector that owns the meter's line
takes it, polls ahead of its schedule and writes down what became of it (`storage.request_service`). A meter that
cannot be asked is left to staff. The states, and how a request moves through them: `storage.request_states`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from decimal import Decimal
from typing import Any

import psycopg

from ingest.channel import from_micro
from ingest.errors import FleetConflict, Misconfigured, NotFound
from ingest.model import Source
from storage.conditions import conditions, one_of
from storage.database import Database
from storage.notices import notices
from storage.request_states import ASKED, EVERY, FACTS, JOINED, MOVED, Request, expire, tell_asked

_GET = f"SELECT {FACTS} FROM reading_request r {JOINED} WHERE r.id = %s"
_FIND = f"""
SELECT {FACTS} FROM reading_request r {JOINED} WHERE r.id < %(before)s AND {{conditions}}
ORDER BY r.id DESC LIMIT %(limit)s
"""
_STANDING = """
SELECT p.id, m.id, m.serial FROM point p
LEFT JOIN installation i ON i.point_id = p.id AND i.since <= now() AND (i.until IS NULL OR i.until > now())
LEFT JOIN meter m ON m.id = i.meter_id
WHERE p.code = %s
"""
_METER = "SELECT m.id, l.name, m.gateway FROM meter m LEFT JOIN line l ON l.id = m.line_id WHERE m.serial = %s"
_OPEN_ONE = """
SELECT id FROM reading_request
WHERE meter_id = %s AND point_id IS NOT DISTINCT FROM %s AND asked_by = %s AND state IN ('queued', 'polling', 'manual')
ORDER BY id DESC LIMIT 1
"""
_ASK = """
INSERT INTO reading_request (meter_id, point_id, asked_by, state, detail) VALUES (%s, %s, %s, %s, %s) RETURNING id
"""
_VALUES = """
SELECT g.channel, r.value FROM meter m JOIN register g ON g.meter_id = m.id
JOIN reading r ON r.register_id = g.id AND r.source = ANY(%(sources)s) AND r.taken_at = %(at)s
WHERE m.serial = %(meter)s ORDER BY string_to_array(g.channel, '.')::int[], r.source DESC
"""

_BROUGHT = [int(Source.AUTOMATIC), int(Source.OPERATOR)]
"""Who brings a reading asked for: the meter itself, or staff; the first counts where there are both."""

_Conn = psycopg.AsyncConnection[Any]


async def ask(conn: _Conn, asked_by: str, *, point: str | None = None, meter: str | None = None) -> Request:
    """Ask for a reading of a meter, or of the one that stands at a point now.

    Who asks again while it is open gets the same request. A meter that is on no line gets one in state `manual`. Raises
    NotFound, or FleetConflict when no meter stands at the point. Collectors hear of it when the transaction commits.
    """
    if (point is None) == (meter is None):
        raise Misconfigured("ask for a point or for a meter, one of them")
    point_id, serial = (None, meter) if point is None else await _standing(conn, point)
    row = await (await conn.execute(_METER, (serial,))).fetchone()
    if row is None:
        raise NotFound(f"there is no meter {serial!r}; `amr fleet show` lists them")
    meter_id, line, gateway = row
    await expire(conn)
    known = await (await conn.execute(_OPEN_ONE, (meter_id, point_id, asked_by))).fetchone()
    if known is not None:
        return await _get(conn, known[0])
    state, detail = ("queued", None) if line is not None else ("manual", _why_manual(gateway))
    added = await (await conn.execute(_ASK, (meter_id, point_id, asked_by, state, detail))).fetchone()
    assert added is not None
    if state == "queued":
        await tell_asked(conn, [added[0]])
    return await _get(conn, added[0])


async def _standing(conn: _Conn, point: str) -> tuple[int, str]:
    row = await (await conn.execute(_STANDING, (point,))).fetchone()
    if row is None:
        raise NotFound(f"there is no point {point!r}; `amr fleet show` lists them")
    if row[2] is None:
        raise FleetConflict(f"no meter stands at point {point} now; put one up first")
    return row[0], row[2]


def _why_manual(gateway: str | None) -> str:
    if gateway is not None:
        return f"gateway {gateway} delivers when it wants to and cannot be asked; somebody has to read the meter"
    return "the meter is on no line; somebody has to read it"


async def status(conn: _Conn, number: int) -> Request:
    """A request as it stands now; one that waited too long has failed. Raises NotFound."""
    await expire(conn)
    return await _get(conn, number)


async def _get(conn: _Conn, number: int) -> Request:
    row = await (await conn.execute(_GET, (number,))).fetchone()
    if row is None:
        raise NotFound(f"there is no reading request {number}")
    return Request(*row)


async def find(
    conn: _Conn,
    *,
    states: Sequence[str] | None = None,
    point: str | None = None,
    asked_by: str | None = None,
    limit: int = 100,
    before: int = 2**62,
) -> list[Request]:
    """Requests, the youngest first; `before` is the number of the last one of a page. For staff: states=["manual"]."""
    await expire(conn)
    asked = {
        "point": point,
        "asked_by": asked_by,
        "limit": limit,
        "before": before,
    }
    chosen = conditions(
        (states, one_of("r.state", EVERY, states or ())),
        (point, "r.point_id = (SELECT id FROM point WHERE code = %(point)s)"),
        (asked_by, "r.asked_by = %(asked_by)s"),
    )
    rows = await (await conn.execute(_FIND.format(conditions=chosen).encode(), asked)).fetchall()
    return [Request(*row) for row in rows]


async def values(conn: _Conn, request: Request) -> dict[str, Decimal]:
    """What the request brought, by channel in base units; nothing while it is open or when it failed."""
    asked = {"meter": request.meter, "at": request.read_at, "sources": _BROUGHT}
    rows = await (await conn.execute(_VALUES, asked)).fetchall()
    return {channel: from_micro(value) for channel, value in rows}


def asked(database: Database, *, every: float = 10.0) -> AsyncGenerator[int | None, None]:
    """The number of each new request, and None at the start, after an absence of the database and every so often."""
    return notices(database, ASKED, every=every)


def moved(database: Database, *, every: float = 10.0) -> AsyncGenerator[int | None, None]:
    """The number of each request whose state changed; None means: look at all. One listener serves a process."""
    return notices(database, MOVED, every=every)
