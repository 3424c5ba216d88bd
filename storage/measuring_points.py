"""Measuring points as other companies name them, and the load profile that was imported for them."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

import psycopg

from ingest.model import Source

# The official code comes first: ours may by chance be somebody else's number.
_STAYS = """
SELECT asked.code, p.code, m.serial, i.since, i.until, i.ct * i.vt,
       ARRAY(SELECT channel FROM register WHERE meter_id = m.id)
FROM unnest(%(codes)s::text[]) AS asked(code)
CROSS JOIN LATERAL (
    SELECT id, code FROM point WHERE official_code = asked.code OR code = asked.code
    ORDER BY (official_code IS NOT DISTINCT FROM asked.code) DESC LIMIT 1) p
LEFT JOIN installation i ON i.point_id = p.id AND i.since < %(until)s AND (i.until IS NULL OR i.until > %(since)s)
LEFT JOIN meter m ON m.id = i.meter_id
ORDER BY asked.code, i.since
"""

_IMPORTED = """
SELECT m.serial, r.channel, x.start, x.seconds, x.energy
FROM meter m JOIN register r ON r.meter_id = m.id
JOIN interval_reading x ON x.register_id = r.id AND x.source = %(source)s
    AND x.start >= %(since)s AND x.start < %(until)s
WHERE m.serial = ANY(%(meters)s)
"""


class Stay(NamedTuple):
    """The meter that stood at a point over [since, until): K, and the channels it has."""

    point: str
    meter: str
    since: datetime
    until: datetime | None
    ratio: Decimal
    channels: frozenset[str]


class Imported(NamedTuple):
    """An interval that was imported before: seconds, and millionths before K."""

    seconds: int
    micro: int


async def stays(
    conn: psycopg.AsyncConnection[Any], codes: Collection[str], since: datetime, until: datetime
) -> dict[str, list[Stay]]:
    """Who stood there within [since, until), by the code asked for: the official one, else ours.

    A code that nobody knows is left out; a point without a meter then has an empty list.
    """
    asked = {"codes": sorted(codes), "since": since, "until": until}
    found: dict[str, list[Stay]] = {}
    for code, point, meter, begin, end, ratio, channels in await (await conn.execute(_STAYS, asked)).fetchall():
        of_code = found.setdefault(code, [])
        if meter is not None:
            of_code.append(Stay(point, meter, begin, end, ratio, frozenset(channels)))
    return found


async def imported(
    conn: psycopg.AsyncConnection[Any], meters: Collection[str], since: datetime, until: datetime
) -> dict[tuple[str, str, datetime], Imported]:
    """Intervals of these meters that files gave, by meter, channel and start."""
    asked = {"meters": sorted(meters), "source": int(Source.IMPORT), "since": since, "until": until}
    rows = await (await conn.execute(_IMPORTED, asked)).fetchall()
    return {(meter, channel, start): Imported(seconds, micro) for meter, channel, start, seconds, micro in rows}
