"""Requests to whoever owns a line: read a meter, scan it, watch it. The owner's answers are rows beside them.

queued -> working -> done | failed. Whoever asks looks at the answers every moment, and so shows that it is still there:
an owner stops working for somebody who left. Everything is forgotten after a day.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

ASKED, TOLD = "amr_line_request", "amr_line_told"
"""Channels of NOTIFY, with the schema and the request's number: there is something to do; something was told."""

PATIENCE = timedelta(seconds=20)
"""How long a request waits for an owner, and how long either side waits for a sign of the other."""
MOST = 20_000
"""Answers of one request at most."""

_FACTS = "id, line, kind, wanted, asked_by, state, failure, detail"
_FORGET = "DELETE FROM line_request WHERE asked_at < now() - interval '1 day'"
_ASK = f"INSERT INTO line_request (line, kind, wanted, asked_by) VALUES (%s, %s, %s, %s) RETURNING {_FACTS}"
_TELL = "SELECT pg_notify(%s, current_schema() || ' ' || %s)"
_TAKE = f"""
UPDATE line_request r SET state = 'working', taken_at = now(), told_at = now(), taken_by = %(by)s
FROM (SELECT id FROM line_request WHERE state = 'queued' AND line = ANY(%(lines)s) ORDER BY id LIMIT %(limit)s
      FOR UPDATE SKIP LOCKED) q
WHERE r.id = q.id RETURNING {", ".join("r." + one for one in _FACTS.split(", "))}
"""
_GIVE_BACK = (
    "UPDATE line_request SET state = 'queued', taken_at = NULL, taken_by = NULL WHERE id = %s AND taken_by = %s"
)
_STILL = """
UPDATE line_request SET told_at = now()
WHERE id = %(id)s AND state = 'working' AND taken_by = %(by)s AND heard_at > now() - %(patience)s::interval
RETURNING id
"""
_ANSWER = """
INSERT INTO line_answer (request_id, number, body)
SELECT %(id)s, (SELECT count(*) FROM line_answer WHERE request_id = %(id)s) + n, body
FROM unnest(%(bodies)s::jsonb[]) WITH ORDINALITY AS u(body, n)
"""
_FINISH = """
UPDATE line_request SET state = CASE WHEN %(failure)s::text IS NULL THEN 'done' ELSE 'failed' END,
    finished_at = now(), failure = %(failure)s, detail = %(detail)s
WHERE id = %(id)s AND state IN ('queued', 'working')
"""
_EXPIRE = """
UPDATE line_request SET state = 'failed', finished_at = now(),
    failure = CASE state WHEN 'queued' THEN 'not_taken' ELSE 'abandoned' END,
    detail = CASE state
        WHEN 'queued' THEN 'nobody took it for line ' || line || '; somebody else may be at work on the line'
        ELSE 'collector ' || taken_by || ' fell silent over it; ask again' END
WHERE id = %(id)s AND state IN ('queued', 'working') AND told_at < now() - %(patience)s::interval
"""
_HEARD = f"UPDATE line_request SET heard_at = now() WHERE id = %s RETURNING {_FACTS}"
_ANSWERS = "SELECT number, body FROM line_answer WHERE request_id = %s AND number > %s ORDER BY number LIMIT 1000"

_Conn = psycopg.AsyncConnection[Any]


@dataclass(frozen=True, slots=True)
class LineRequest:
    """One request. `wanted` is what its kind takes; `failure` a stable code, `detail` for people."""

    id: int
    line: str
    kind: str
    wanted: Mapping[str, Any]
    asked_by: str
    state: str
    failure: str | None
    detail: str | None

    @property
    def open(self) -> bool:
        return self.state in ("queued", "working")


async def ask(conn: _Conn, line: str, kind: str, wanted: Mapping[str, Any], by: str) -> LineRequest:
    """Ask the owner of a line; collectors hear of it at the commit."""
    await conn.execute(_FORGET)
    row = await (await conn.execute(_ASK, (line, kind, Jsonb(dict(wanted)), by))).fetchone()
    assert row is not None
    await conn.execute(_TELL, (ASKED, row[0]))
    return LineRequest(*row)


async def take(conn: _Conn, lines: Collection[str], by: str, limit: int = 20) -> list[LineRequest]:
    """Queued requests for these lines, the oldest first; they are `by`'s now."""
    taken = await conn.execute(_TAKE, {"lines": sorted(lines), "by": by, "limit": limit})
    return sorted((LineRequest(*row) for row in await taken.fetchall()), key=lambda request: request.id)


async def give_back(conn: _Conn, request: LineRequest, by: str) -> None:
    """Its line is owned elsewhere by now."""
    await conn.execute(_GIVE_BACK, (request.id, by))
    await conn.execute(_TELL, (ASKED, request.id))


async def tell(conn: _Conn, request: LineRequest, by: str, bodies: Sequence[Mapping[str, Any]]) -> bool:
    """Put down answers, perhaps none, as a sign of life; False when nobody reads them any more."""
    still = await conn.execute(_STILL, {"id": request.id, "by": by, "patience": PATIENCE})
    if await still.fetchone() is None:
        return False
    if bodies:
        await conn.execute(_ANSWER, {"id": request.id, "bodies": [Jsonb(dict(body)) for body in bodies]})
        await conn.execute(_TELL, (TOLD, request.id))
    return True


async def finish(conn: _Conn, request: LineRequest, failure: str | None = None, detail: str | None = None) -> None:
    """It is over: done, or failed with a stable code. Who asked does the same to leave."""
    await conn.execute(_FINISH, {"id": request.id, "failure": failure, "detail": detail})
    await conn.execute(_TELL, (TOLD, request.id))


async def look(
    conn: _Conn, request: LineRequest, after: int
) -> tuple[LineRequest, list[tuple[int, Mapping[str, Any]]]]:
    """The request as it stands, and its answers after that number; shows that somebody still waits for them."""
    await conn.execute(_EXPIRE, {"id": request.id, "patience": PATIENCE})
    row = await (await conn.execute(_HEARD, (request.id,))).fetchone()
    answers = await (await conn.execute(_ANSWERS, (request.id, after))).fetchall()
    return request if row is None else LineRequest(*row), answers
