"""Values that people corrected: what was there before, whose it was, and who put another in its place."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import psycopg

from ingest.channel import from_micro
from ingest.model import Quality, Reason, Source

_PAGE = """
SELECT x.id, m.serial, r.channel, x.taken_at, x.source, x.value, x.quality, x.reasons, x.received_at, x.author, x.note,
       x.superseded_at, x.superseded_by
FROM point p JOIN installation i ON i.point_id = p.id JOIN meter m ON m.id = i.meter_id
JOIN register r ON r.meter_id = m.id JOIN superseded_reading x ON x.register_id = r.id
    AND x.taken_at >= i.since AND (i.until IS NULL OR x.taken_at < i.until)
WHERE p.code = %(point)s AND x.id < %(before)s AND EXISTS (
    SELECT FROM unnest(%(since)s::timestamptz[], %(until)s::timestamptz[]) AS s(since, until)
    WHERE x.taken_at >= s.since AND x.taken_at < s.until)
ORDER BY x.id DESC LIMIT %(limit)s
"""


@dataclass(frozen=True, slots=True)
class Corrected:
    """A value that stands no more; `author` typed it in, `superseded_by` put another in its place."""

    id: int
    meter: str
    channel: str
    taken_at: datetime
    source: Source
    value: Decimal
    quality: Quality
    reasons: Reason
    received_at: datetime
    author: str | None
    note: str | None
    superseded_at: datetime
    superseded_by: str | None


async def page(
    conn: psycopg.AsyncConnection[Any],
    point: str,
    parts: list[tuple[datetime, datetime]],
    *,
    before: int,
    limit: int,
) -> tuple[list[Corrected], bool]:
    """Corrected values of readings taken within these parts of time, the youngest first, and whether there are more."""
    asked = {
        "point": point,
        "since": [since for since, _ in parts],
        "until": [until for _, until in parts],
        "before": before,
        "limit": limit + 1,
    }
    rows = await (await conn.execute(_PAGE, asked)).fetchall()
    return [_corrected(*row) for row in rows[:limit]], len(rows) > limit


def _corrected(
    number: int, meter: str, channel: str, at: datetime, source: int, value: int, quality: int, reasons: int, *rest: Any
) -> Corrected:
    return Corrected(
        number, meter, channel, at, Source(source), from_micro(value), Quality(quality), Reason(reasons), *rest
    )
