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
# What is stored of a meter and cause lies apart, so that of the earlier ones only the last can reach as far. All that
# attempts touch or bridge becomes one row; it stays where it began, or what begins later makes room for it.
_NOTE = """
WITH attempt AS (
    SELECT m.id AS meter_id, u.failure, greatest(2 * m.period, interval '5 seconds') AS near, u.since, u.until, u.detail
    FROM unnest(%(meters)s::text[], %(gateways)s::text[], %(failures)s::text[], %(since)s::timestamptz[],
                %(until)s::timestamptz[], %(details)s::text[]) AS u(meter, gateway, failure, since, until, detail)
    JOIN meter m ON m.serial = u.meter AND (u.gateway IS NULL OR m.gateway = u.gateway)
), piece AS (
    SELECT *, true AS new FROM attempt
    UNION ALL
    SELECT a.meter_id, a.failure, a.near, k.since, k.until, k.detail, false
    FROM (SELECT meter_id, failure, near, min(since) AS since, max(until) AS until FROM attempt GROUP BY 1, 2, 3) a
    CROSS JOIN LATERAL (
        (SELECT since, until, detail FROM missed_poll WHERE meter_id = a.meter_id AND failure = a.failure
            AND since < a.since - a.near ORDER BY since DESC LIMIT 1)
        UNION ALL
        SELECT since, until, detail FROM missed_poll WHERE meter_id = a.meter_id AND failure = a.failure
            AND since >= a.since - a.near AND since <= a.until + a.near) k
), apart AS (
    SELECT *, since > near + max(until) OVER (PARTITION BY meter_id, failure ORDER BY since, until
                                              ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS begins FROM piece
), numbered AS (
    SELECT *, count(*) FILTER (WHERE begins) OVER (PARTITION BY meter_id, failure ORDER BY since, until
                                                   ROWS UNBOUNDED PRECEDING) AS number FROM apart
), stretch AS (
    SELECT meter_id, failure, min(since) AS since, max(until) AS until,
           (array_agg(detail ORDER BY until DESC, new DESC))[1] AS detail
    FROM numbered GROUP BY meter_id, failure, number HAVING bool_or(new)
), taken_in AS (
    DELETE FROM missed_poll k USING stretch s
    WHERE k.meter_id = s.meter_id AND k.failure = s.failure AND k.since > s.since AND k.since <= s.until
)
INSERT INTO missed_poll AS k (meter_id, failure, since, until, detail)
SELECT meter_id, failure, since, until, detail FROM stretch ORDER BY meter_id, failure, since
ON CONFLICT (meter_id, failure, since) DO UPDATE SET until = greatest(k.until, excluded.until), detail = excluded.detail
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
    """Keep attempts that failed, at least one; at meters that are unknown or another gateway's they are nobody's."""
    rows = [
        (one.meter, one.gateway, one.failure, one.since or one.tried_at, one.tried_at, one.detail) for one in failed
    ]
    names = ("meters", "gateways", "failures", "since", "until", "details")
    await conn.execute(_NOTE, dict(zip(names, map(list, zip(*rows, strict=True)), strict=True)))


async def missing(conn: psycopg.AsyncConnection[Any], meter: str, since: datetime, until: datetime) -> list[Missing]:
    """The gaps of a meter within [since, until), oldest first. Raises NotFound."""
    if await (await conn.execute(_KNOWN, (meter,))).fetchone() is None:
        raise NotFound(f"no meter has the serial number {meter!r}; see `amr fleet show`")
    found = await conn.execute(_GAPS, {"meter": meter, "since": since, "until": until})
    return [Missing(*row) for row in await found.fetchall()]
