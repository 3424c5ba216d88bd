"""All points at a glance: the meter that stands there, its newest active energy, and when it last answered."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import psycopg

from ingest.channel import from_micro
from ingest.model import Quality, Source
from storage.contacts import CONTACT

# The newest reading of each source that is believed, or else of any: a probe of the key each.
_OVERVIEW = f"""
SELECT p.code, p.name, m.serial, m.model, coalesce(l.name, m.gateway) AS via, r.channel,
       x.taken_at, x.value, x.source, x.quality, c.answered_at, c.failure, c.failed_turns
FROM point p
LEFT JOIN installation i ON i.point_id = p.id AND i.since <= now() AND coalesce(i.until, 'infinity') > now()
LEFT JOIN meter m ON m.id = i.meter_id
LEFT JOIN line l ON l.id = m.line_id
LEFT JOIN {CONTACT} c ON true
LEFT JOIN register r ON r.meter_id = m.id AND r.channel LIKE '1.8._'
LEFT JOIN LATERAL (
    SELECT newest.* FROM (SELECT source AS id FROM series WHERE register_id = r.id) AS s
    CROSS JOIN LATERAL (
        SELECT taken_at, value, source, quality FROM reading
        WHERE register_id = r.id AND source = s.id AND reasons & 8 = 0 AND taken_at >= i.since
        ORDER BY taken_at DESC LIMIT 1) newest
    ORDER BY newest.quality = 2, newest.taken_at DESC LIMIT 1) x ON true
ORDER BY p.code, r.channel
"""


@dataclass(frozen=True, slots=True)
class Glance:
    """One point. `value` is active energy taken in kWh: the total register, or the sum of the zones; None: no reading.

    `via` is the line or gateway that reaches the meter, None for a meter read by people. `failure` is why the last try
    to reach it failed, None when it answered or is not asked.
    """

    point: str
    name: str
    meter: str | None
    model: str | None
    via: str | None
    taken_at: datetime | None
    value: Decimal | None
    source: Source | None
    quality: Quality | None
    answered_at: datetime | None
    failure: str | None
    failed_turns: int


async def overview(conn: psycopg.AsyncConnection[Any]) -> list[Glance]:
    """Every point, by its code."""
    rows = await (await conn.execute(_OVERVIEW)).fetchall()
    by_point: dict[str, list[Any]] = {}
    for row in rows:
        by_point.setdefault(row[0], []).append(row)
    return [_glance(group) for group in by_point.values()]


def _glance(rows: list[Any]) -> Glance:
    code, name, serial, model, via, *_ = rows[0]
    known = [row for row in rows if row[7] is not None]
    total = [row for row in known if row[5] == "1.8.0"]
    shown = total or [row for row in known if row[6] == max(row[6] for row in known)]
    answered_at, failure, failed_turns = rows[0][10:13]
    if not shown:
        return Glance(
            code, name, serial, model, via, None, None, None, None, answered_at, failure, failed_turns or 0
        )  # fmt: skip
    return Glance(
        code,
        name,
        serial,
        model,
        via,
        shown[0][6],
        from_micro(sum(row[7] for row in shown)),
        Source(shown[0][8]),
        Quality(max(row[9] for row in shown)),
        answered_at,
        failure,
        failed_turns or 0,
    )
