"""Service requests: what consumers ask to have done about meters, and how staff move it on.

submitted -> in_progress -> done | refused        submitted -> done | refused
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg

from ingest.errors import Busy
from storage.conditions import conditions, one_of

OPEN = ("submitted", "in_progress")
MOVES: Mapping[str, tuple[str, ...]] = {
    "submitted": ("in_progress", "done", "refused"),
    "in_progress": ("done", "refused"),
    "done": (),
    "refused": (),
}
"""Where a request may go from each state."""

_FACTS = """
s.id, p.code, p.zone, s.kind, s.state, s.consumer, s.opened_by, s.note, s.submitted_at, s.started_at, s.finished_at,
s.moved_by, s.reason
"""
_OPENED = f"""
WITH s AS (
    INSERT INTO service_request (point_id, kind, consumer, opened_by, note)
    SELECT id, %(kind)s, %(consumer)s, %(by)s, %(note)s FROM point WHERE code = %(point)s
    ON CONFLICT DO NOTHING RETURNING *)
SELECT {_FACTS} FROM s JOIN point p ON p.id = s.point_id
"""
_STILL_OPEN = f"""
SELECT {_FACTS} FROM service_request s JOIN point p ON p.id = s.point_id
WHERE p.code = %(point)s AND s.kind = %(kind)s AND s.consumer IS NOT DISTINCT FROM %(consumer)s
    AND s.state IN ('submitted', 'in_progress')
"""
_ONE = f"SELECT {_FACTS} FROM service_request s JOIN point p ON p.id = s.point_id WHERE s.id = %s"
_LOCK = f"{_ONE} FOR NO KEY UPDATE OF s"
_MOVE = """
UPDATE service_request SET state = %(to)s, moved_by = %(by)s, reason = %(reason)s,
    started_at = CASE WHEN %(to)s = 'in_progress' THEN now() ELSE started_at END,
    finished_at = CASE WHEN %(to)s IN ('done', 'refused') THEN now() END
WHERE id = %(id)s
"""
_PAGE = f"""
SELECT {_FACTS} FROM service_request s JOIN point p ON p.id = s.point_id WHERE s.id < %(before)s AND {{conditions}}
ORDER BY s.id DESC LIMIT %(limit)s
"""

_TRIES = 5
_Conn = psycopg.AsyncConnection[Any]


@dataclass(frozen=True, slots=True)
class ServiceRequest:
    """One request. `consumer` None: of the company's own accord; `reason` is what a refused consumer reads."""

    id: int
    point: str
    zone: str
    kind: str
    state: str
    consumer: str | None
    opened_by: str
    note: str | None
    submitted_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    moved_by: str | None
    reason: str | None


async def submit(
    conn: _Conn, point: str, kind: str, *, consumer: str | None, by: str, note: str | None
) -> tuple[ServiceRequest, bool]:
    """Open a request at a stored point; gives it and True, or the open one of that kind and False."""
    asked = {"point": point, "kind": kind, "consumer": consumer, "by": by, "note": note}
    for statement, new in ((_OPENED, True), (_STILL_OPEN, False)) * _TRIES:
        row = await (await conn.execute(statement, asked)).fetchone()
        if row is not None:
            return ServiceRequest(*row), new
    raise Busy(f"requests at point {point} are opened and ended at this very moment; try again")


async def find(conn: _Conn, number: int, *, hold: bool = False) -> ServiceRequest | None:
    """One request; with `hold` nobody else moves it until the transaction ends."""
    row = await (await conn.execute(_LOCK if hold else _ONE, (number,))).fetchone()
    return None if row is None else ServiceRequest(*row)


async def move(conn: _Conn, number: int, to: str, *, by: str, reason: str | None = None) -> None:
    """Put a held request into another state, one of `MOVES` from where it is."""
    await conn.execute(_MOVE, {"id": number, "to": to, "by": by, "reason": reason})


async def page(
    conn: _Conn,
    *,
    consumer: str | None,
    point: str | None,
    kind: str | None,
    states: Sequence[str] | None,
    before: int,
    limit: int,
) -> tuple[list[ServiceRequest], bool]:
    """The youngest requests before a number, of one consumer (None: all), and whether there are more."""
    asked = {
        "consumer": consumer,
        "point": point,
        "kind": kind,
        "before": before,
        "limit": limit + 1,
    }
    chosen = conditions(
        (consumer, "s.consumer = %(consumer)s"),
        (point, "s.point_id = (SELECT id FROM point WHERE code = %(point)s)"),
        (kind, "s.kind = %(kind)s"),
        (states, one_of("s.state", tuple(MOVES), states or ())),
    )
    rows = await (await conn.execute(_PAGE.format(conditions=chosen).encode(), asked)).fetchall()
    return [ServiceRequest(*row) for row in rows[:limit]], len(rows) > limit
