"""What stays missing of meters' readings, listed: of one point, of one meter, or of all."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg

from ingest.errors import NotFound
from ingest.gaps import Gap
from storage.conditions import conditions

# A gap belongs to whoever's point the meter stood at when it began, or else stands at.
_GAPS = """
SELECT p.code, coalesce(p.zone, 'UTC'), m.serial, m.model, g.since, g.until, g.what, g.why, g.found_at
FROM gap g JOIN meter m ON m.id = g.meter_id
LEFT JOIN LATERAL (
    SELECT point_id FROM installation
    WHERE meter_id = m.id AND since <= greatest(g.until, g.since) AND coalesce(until, 'infinity') > g.since
    ORDER BY since LIMIT 1) i ON true
LEFT JOIN point p ON p.id = i.point_id
WHERE {conditions}
ORDER BY p.code NULLS LAST, m.serial, g.what, g.since
"""
# Gaps are found by their meters: the one of that number, or all that ever stood at the point of that code.
_OF_ONE = """(p.code = %(name)s OR m.serial = %(name)s) AND g.meter_id IN (
    SELECT id FROM meter WHERE serial = %(name)s
    UNION SELECT meter_id FROM installation JOIN point ON point.id = point_id WHERE code = %(name)s)"""
_KNOWN = "SELECT 1 FROM point WHERE code = %(name)s UNION ALL SELECT 1 FROM meter WHERE serial = %(name)s"


@dataclass(frozen=True, slots=True)
class Missing:
    """One gap with its place: `point` is None for a meter that stood nowhere, `zone` is the point's."""

    point: str | None
    zone: str
    meter: str
    model: str
    gap: Gap
    found_at: datetime


async def missing(conn: psycopg.AsyncConnection[Any], name: str | None = None) -> list[Missing]:
    """The gaps of the point with this code or the meter with this serial number; of all without. Raises NotFound."""
    if name is not None and await (await conn.execute(_KNOWN, {"name": name})).fetchone() is None:
        raise NotFound(f"{name!r} is neither a point's code nor a meter's serial number; `amr fleet show` lists them")
    question = _GAPS.format(conditions=conditions((name, _OF_ONE)))
    rows = await (await conn.execute(question.encode(), {"name": name})).fetchall()
    return [
        Missing(point, zone, meter, model, Gap(*gap), found_at) for point, zone, meter, model, *gap, found_at in rows
    ]
