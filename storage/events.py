"""What happened to the fleet: exchanges, swapped meters, changed files, a quarantine that fills up. Newest first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg

from storage.conditions import conditions

_FIND = """
SELECT e.id, e.at, e.kind, p.code, m.serial, e.detail FROM event e
LEFT JOIN point p ON p.id = e.point_id LEFT JOIN meter m ON m.id = e.meter_id
WHERE e.id < %(before)s AND {conditions}
ORDER BY e.id DESC LIMIT %(limit)s
"""


@dataclass(frozen=True, slots=True)
class Event:
    """One event. `kind` is a stable code; point and meter where it concerns one; passwords in `detail` are stars."""

    number: int
    at: datetime
    kind: str
    point: str | None
    meter: str | None
    detail: Mapping[str, Any]


async def find(
    conn: psycopg.AsyncConnection[Any],
    *,
    before: int = 2**62,
    kind: str | None = None,
    meter: str | None = None,
    limit: int = 100,
) -> list[Event]:
    """The newest events with a number below `before`."""
    asked = {"before": before, "kind": kind, "meter": meter, "limit": limit}
    chosen = conditions(
        (kind, "e.kind = %(kind)s"), (meter, "e.meter_id = (SELECT id FROM meter WHERE serial = %(meter)s)")
    )
    rows = await (await conn.execute(_FIND.format(conditions=chosen).encode(), asked)).fetchall()
    return [Event(*row) for row in rows]
