"""Why slots of the schedule hold no reading: attempts that failed, kept as stretches, and the gaps they explain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg

from ingest.delivery import Contact
from ingest.errors import NotFound
from ingest.model import Source

NOT_ASKED = "not_asked"
"""The cause of a slot that nobody tried to fill: no collector ran, or none that may speak on the line."""

# Stretches of one cause that lie within two periods of each other are one: a reading in between fills its own slot.
_NOTE = """
WITH attempt AS (
    SELECT id AS meter_id, greatest(2 * period, interval '5 seconds') AS near,
           %(since)s::timestamptz AS since, %(until)s::timestamptz AS until
    FROM meter WHERE serial = %(meter)s AND (%(gateway)s::text IS NULL OR gateway = %(gateway)s)
), stretch AS (
    SELECT k.meter_id, k.since FROM missed_poll k JOIN attempt a ON k.meter_id = a.meter_id
    WHERE k.failure = %(failure)s AND k.since <= a.until + a.near AND k.until >= a.since - a.near
    ORDER BY k.until DESC LIMIT 1
), longer AS (
    UPDATE missed_poll k SET until = greatest(k.until, a.until), since = least(k.since, a.since), detail = %(detail)s
    FROM stretch s, attempt a
    WHERE k.meter_id = s.meter_id AND k.failure = %(failure)s AND k.since = s.since RETURNING 1
)
INSERT INTO missed_poll (meter_id, failure, since, until, detail)
SELECT meter_id, %(failure)s, since, until, %(detail)s FROM attempt WHERE NOT EXISTS (SELECT FROM longer)
ON CONFLICT (meter_id, failure, since) DO UPDATE SET until = greatest(missed_poll.until, excluded.until)
"""

# Slots of the meter's period, counted from the beginning asked about; one register stands for the meter.
_GAPS = f"""
WITH m AS (SELECT id, period FROM meter WHERE serial = %(meter)s),
g AS (SELECT r.id FROM register r JOIN m ON r.meter_id = m.id ORDER BY r.channel <> '1.8.0', r.channel LIMIT 1),
slot AS (
    SELECT n, %(since)s::timestamptz + n * m.period AS a, %(since)s::timestamptz + (n + 1) * m.period AS b
    FROM m, generate_series(0, ceil(extract(epoch FROM %(until)s::timestamptz - %(since)s::timestamptz)
                                    / extract(epoch FROM m.period))::int - 1) AS n
), held AS (
    SELECT DISTINCT floor(extract(epoch FROM x.taken_at - %(since)s::timestamptz)
                          / extract(epoch FROM m.period))::int AS n
    FROM reading x, g, m WHERE x.register_id = g.id AND x.source = {int(Source.AUTOMATIC)}
      AND x.taken_at >= %(since)s AND x.taken_at < %(until)s
), empty AS (
    SELECT slot.n, slot.a, least(slot.b, %(until)s) AS b, why.failure, why.detail
    FROM slot LEFT JOIN held USING (n)
    LEFT JOIN LATERAL (
        SELECT failure, detail FROM missed_poll k, m
        WHERE k.meter_id = m.id AND k.since < slot.b AND k.until >= slot.a ORDER BY k.until DESC LIMIT 1) why ON true
    WHERE held.n IS NULL
), island AS (
    SELECT *, n - row_number() OVER (PARTITION BY failure ORDER BY n) AS run FROM empty
)
SELECT min(a), max(b), count(*)::int, coalesce(failure, '{NOT_ASKED}'), max(detail)
FROM island GROUP BY failure, run ORDER BY min(a)
"""
_KNOWN = "SELECT 1 FROM meter WHERE serial = %s"


@dataclass(frozen=True, slots=True)
class Missing:
    """Adjacent slots [since, until) of one meter without a reading, and why: a stable code and the last error's words.

    `detail` is None when nobody asked.
    """

    since: datetime
    until: datetime
    slots: int
    cause: str
    detail: str | None


async def note(conn: psycopg.AsyncConnection[Any], failed: Sequence[Contact]) -> None:
    """Keep attempts that failed; at meters that are unknown or another gateway's they are nobody's."""
    async with conn.cursor() as cursor:
        await cursor.executemany(_NOTE, [_named(one) for one in failed])


def _named(one: Contact) -> dict[str, Any]:
    return {
        "meter": one.meter,
        "gateway": one.gateway,
        "failure": one.failure,
        "detail": one.detail,
        "since": one.since or one.tried_at,
        "until": one.tried_at,
    }


async def missing(conn: psycopg.AsyncConnection[Any], meter: str, since: datetime, until: datetime) -> list[Missing]:
    """The gaps of a meter within [since, until), oldest first. Raises NotFound."""
    if await (await conn.execute(_KNOWN, (meter,))).fetchone() is None:
        raise NotFound(f"no meter has the serial number {meter!r}; see `amr fleet show`")
    found = await conn.execute(_GAPS, {"meter": meter, "since": since, "until": until})
    return [Missing(*row) for row in await found.fetchall()]
