"""What moved for a cabinet to show: the states of reading requests and of service requests, in the order of commits."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg

from storage.conditions import conditions
from storage.database import Database
from storage.notices import notices

READING, SERVICE = "reading_request", "service_request"

_EVENTS = """
SELECT e.id, e.at, e.kind, e.number, p.code, p.zone, e.consumer, e.state, e.reason
FROM cabinet_event e LEFT JOIN point p ON p.id = e.point_id
"""
_AFTER = f"{_EVENTS} WHERE e.id > %(after)s AND {{conditions}} ORDER BY e.id LIMIT %(limit)s"
_BEFORE = f"{_EVENTS} WHERE e.id < %(before)s AND {{conditions}} ORDER BY e.id DESC LIMIT %(limit)s"
_OF_ONE = f"{_EVENTS} WHERE e.kind = %s AND e.number = %s ORDER BY e.id"
_LAST = "SELECT coalesce(max(id), 0) FROM cabinet_event"

_Conn = psycopg.AsyncConnection[Any]


@dataclass(frozen=True, slots=True)
class CabinetEvent:
    """A request (`kind`, `number`) came to a state. `consumer` None: it is staff's; `point` None: of a bare meter."""

    id: int
    at: datetime
    kind: str
    number: int
    point: str | None
    zone: str | None
    consumer: str | None
    state: str
    reason: str | None


async def after(
    conn: _Conn, number: int, *, consumer: str | None = None, point: str | None = None, limit: int = 1_000
) -> list[CabinetEvent]:
    """The oldest events after a number, of one consumer (None: of everybody), at one point (None: at all)."""
    asked = {"after": number, "consumer": consumer, "point": point, "limit": limit}
    question = _AFTER.format(conditions=_chosen(consumer, point, None))
    return [CabinetEvent(*row) for row in await (await conn.execute(question.encode(), asked)).fetchall()]


async def page(
    conn: _Conn, *, consumer: str | None, point: str | None, kind: str | None, before: int, limit: int
) -> tuple[list[CabinetEvent], bool]:
    """The youngest events before a number, and whether there are more."""
    asked = {"before": before, "consumer": consumer, "point": point, "kind": kind, "limit": limit + 1}
    question = _BEFORE.format(conditions=_chosen(consumer, point, kind))
    rows = await (await conn.execute(question.encode(), asked)).fetchall()
    return [CabinetEvent(*row) for row in rows[:limit]], len(rows) > limit


def _chosen(consumer: str | None, point: str | None, kind: str | None) -> str:
    return conditions(
        (consumer, "e.consumer = %(consumer)s"),
        (point, "e.point_id = (SELECT id FROM point WHERE code = %(point)s)"),
        (kind, "e.kind = %(kind)s"),
    )


async def of_request(conn: _Conn, kind: str, number: int) -> list[CabinetEvent]:
    """Every state one request came to, oldest first."""
    return [CabinetEvent(*row) for row in await (await conn.execute(_OF_ONE, (kind, number))).fetchall()]


async def last(conn: _Conn) -> int:
    """The number of the youngest event, 0 for none."""
    row = await (await conn.execute(_LAST)).fetchone()
    return int(row[0]) if row else 0


def told(database: Database, *, every: float = 10.0) -> AsyncGenerator[int | None, None]:
    """The number of each new event, and None whenever it is time to look at all."""
    return notices(database, "amr_cabinet", every=every)
