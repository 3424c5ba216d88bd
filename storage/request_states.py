"""What reading requests are, and how they move from state to state.

queued -> polling -> done | failed        manual -> done | failed
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import psycopg

_log = logging.getLogger(__name__)

PATIENCE = timedelta(minutes=5)
"""How long a request waits for a collector before it fails."""
LONGEST = timedelta(minutes=3)
"""How long a collector may take over it."""

OPEN = ("queued", "polling", "manual")
EVERY = (*OPEN, "done", "failed")
ASKED, MOVED = "amr_request", "amr_request_moved"

FACTS = """
r.id, m.serial, p.code, l.name, r.asked_at, r.asked_by, r.state, r.taken_at, r.finished_at, r.read_at, r.failure,
r.detail
"""
JOINED = "JOIN meter m ON m.id = r.meter_id LEFT JOIN line l ON l.id = m.line_id LEFT JOIN point p ON p.id = r.point_id"
_TELL = "SELECT pg_notify(%s, current_schema() || ' ' || id) FROM unnest(%s::bigint[]) AS u(id)"

_TAKE = f"""
WITH taken AS (
    UPDATE reading_request r SET state = 'polling', taken_at = now(), taken_by = %(by)s
    FROM (SELECT r.id FROM reading_request r JOIN meter m ON m.id = r.meter_id JOIN line l ON l.id = m.line_id
          WHERE r.state = 'queued' AND l.name = ANY(%(lines)s)
          ORDER BY r.asked_at, r.id LIMIT %(limit)s FOR UPDATE OF r SKIP LOCKED) q
    WHERE r.id = q.id RETURNING r.*)
SELECT {FACTS} FROM taken r {JOINED} ORDER BY r.asked_at, r.id
"""
_GIVE_BACK = """
UPDATE reading_request SET state = 'queued', taken_at = NULL, taken_by = NULL
WHERE id = ANY(%s) AND state = 'polling' AND taken_by = %s RETURNING id
"""
_FINISH = """
UPDATE reading_request
SET state = CASE WHEN %(failure)s::text IS NULL THEN 'done' ELSE 'failed' END, finished_at = now(),
    finished_by = %(by)s, read_at = %(read_at)s, failure = %(failure)s, detail = %(detail)s
WHERE id = ANY(%(ids)s) AND state IN ('queued', 'polling', 'manual') RETURNING id
"""
_ANSWER_MANUAL = """
UPDATE reading_request r SET state = 'done', finished_at = now(), finished_by = %(by)s, read_at = %(read_at)s
FROM point p WHERE p.id = r.point_id AND p.code = %(point)s AND r.state = 'manual' AND r.asked_at <= %(read_at)s
RETURNING r.id
"""
_EXPIRE = """
UPDATE reading_request r
SET state = 'failed', finished_at = now(),
    failure = CASE r.state WHEN 'queued' THEN 'not_taken' ELSE 'abandoned' END,
    detail = CASE r.state
        WHEN 'queued' THEN coalesce('no collector took it for line ' || o.line, 'its meter is on no line any more')
            || ' within ' || %(patience)s::interval || '; see that `amr collect` runs'
        ELSE 'collector ' || r.taken_by || ' took it and said nothing within ' || %(longest)s::interval
            || '; ask again' END
FROM (SELECT r.id, l.name AS line
      FROM reading_request r JOIN meter m ON m.id = r.meter_id LEFT JOIN line l ON l.id = m.line_id
      WHERE r.state IN ('queued', 'polling') AND CASE r.state
          WHEN 'queued' THEN r.asked_at < now() - %(patience)s::interval
          ELSE r.taken_at < now() - %(longest)s::interval END
      ORDER BY r.id FOR UPDATE OF r SKIP LOCKED) o
WHERE r.id = o.id RETURNING r.id
"""

_Conn = psycopg.AsyncConnection[Any]


@dataclass(frozen=True, slots=True)
class Request:
    """One request. `read_at` is the instant of the readings it brought, `failure` a stable code, `detail` for staff.

    `line` is where the meter is asked; `point` is None when the meter itself was asked for.
    """

    id: int
    meter: str
    point: str | None
    line: str | None
    asked_at: datetime
    asked_by: str
    state: str
    taken_at: datetime | None
    finished_at: datetime | None
    read_at: datetime | None
    failure: str | None
    detail: str | None

    @property
    def open(self) -> bool:
        return self.state in OPEN


async def take(conn: _Conn, lines: Collection[str], by: str, *, limit: int = 100) -> list[Request]:
    """Queued requests for meters on these lines, the oldest first; they are `by`'s now, and `polling`."""
    asked = {"lines": sorted(lines), "by": by, "limit": limit}
    taken = [Request(*row) for row in await (await conn.execute(_TAKE, asked)).fetchall()]
    await tell_moved(conn, [request.id for request in taken])
    return taken


async def give_back(conn: _Conn, ids: Sequence[int], by: str) -> None:
    """Requests that `by` took and could not serve: whoever owns the line by now takes them."""
    rows = await (await conn.execute(_GIVE_BACK, (list(ids), by))).fetchall()
    back = [number for (number,) in rows]
    await tell_asked(conn, back)
    await tell_moved(conn, back)


async def finish(
    conn: _Conn,
    ids: Sequence[int],
    *,
    read_at: datetime | None = None,
    failure: str | None = None,
    detail: str | None = None,
    by: str | None = None,
) -> list[int]:
    """Write down what became of requests: readings of that instant, or a failure. Gives those that were open."""
    asked = {"ids": list(ids), "read_at": read_at, "failure": failure, "detail": detail, "by": by}
    rows = await (await conn.execute(_FINISH, asked)).fetchall()
    finished = sorted(number for (number,) in rows)
    await tell_moved(conn, finished)
    return finished


async def answer_manual(conn: _Conn, point: str, read_at: datetime, by: str) -> list[int]:
    """Staff read the meter at the point: its open manual requests from before that are done."""
    asked = {"point": point, "read_at": read_at, "by": by}
    rows = await (await conn.execute(_ANSWER_MANUAL, asked)).fetchall()
    answered = sorted(number for (number,) in rows)
    await tell_moved(conn, answered)
    return answered


async def expire(conn: _Conn, *, patience: timedelta = PATIENCE, longest: timedelta = LONGEST) -> list[int]:
    """Fail what nobody took, and what a collector took and never finished."""
    rows = await (await conn.execute(_EXPIRE, {"patience": patience, "longest": longest})).fetchall()
    expired = sorted(number for (number,) in rows)
    if expired:
        _log.warning("reading requests %s waited too long", expired)
        await tell_moved(conn, expired)
    return expired


async def tell_asked(conn: _Conn, ids: Sequence[int]) -> None:
    """Tell collectors of queued requests, at the commit."""
    if ids:
        await conn.execute(_TELL, (ASKED, list(ids)))


async def tell_moved(conn: _Conn, ids: Sequence[int]) -> None:
    """Tell whoever waits that these changed their state, at the commit."""
    if ids:
        await conn.execute(_TELL, (MOVED, list(ids)))
