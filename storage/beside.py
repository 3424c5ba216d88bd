"""What surrounds the readings: when a meter last answered, what somebody should look at."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import psycopg

from ingest.delivery import Contact
from storage import missed

_CONTACT = """
INSERT INTO last_contact AS c (meter_id, tried_at, answered_at, failure, detail, failed_turns, drift, drift_at)
SELECT m.id, %(tried_at)s, CASE WHEN %(failure)s::text IS NULL THEN %(tried_at)s END, %(failure)s, %(detail)s,
       CASE WHEN %(failure)s::text IS NULL THEN 0 ELSE 1 END,
       %(drift)s, CASE WHEN %(drift)s::interval IS NOT NULL THEN %(tried_at)s END
FROM meter m WHERE m.serial = %(meter)s AND (%(gateway)s::text IS NULL OR m.gateway = %(gateway)s)
ON CONFLICT (meter_id) DO UPDATE SET
    tried_at = excluded.tried_at,
    answered_at = coalesce(excluded.answered_at, c.answered_at),
    failure = excluded.failure,
    detail = excluded.detail,
    failed_turns = CASE WHEN excluded.failure IS NULL THEN 0 ELSE c.failed_turns + 1 END,
    drift = coalesce(excluded.drift, c.drift),
    drift_at = coalesce(excluded.drift_at, c.drift_at)
WHERE excluded.tried_at >= c.tried_at
"""

_ZONE_MISMATCH = """
INSERT INTO event (at, kind, meter_id, detail)
SELECT %(at)s, 'zone_sum', r.meter_id, jsonb_build_object('channel', r.channel)
FROM register r
WHERE r.id = ANY(%(registers)s) AND NOT EXISTS (
    SELECT FROM event e WHERE e.kind = 'zone_sum' AND e.meter_id = r.meter_id AND e.at > %(at)s - interval '1 day')
"""


async def contacts(conn: psycopg.AsyncConnection[Any], attempts: Sequence[Contact]) -> None:
    """Note the latest attempt to reach each meter; at unknown meters, or told by a strange gateway, it is nobody's."""
    ordered = sorted(attempts, key=lambda contact: (contact.meter, contact.tried_at))
    async with conn.cursor() as cursor:
        await cursor.executemany(
            _CONTACT,
            [
                {name: getattr(c, name) for name in ("meter", "tried_at", "failure", "detail", "gateway", "drift")}
                for c in ordered
            ],
        )
    if failed := [contact for contact in ordered if contact.failure is not None]:
        await missed.note(conn, failed)


async def zone_mismatch(conn: psycopg.AsyncConnection[Any], registers: Sequence[int], at: datetime) -> None:
    """Raise the event that zones do not sum to their total, at most once a meter and day."""
    await conn.execute(_ZONE_MISMATCH, {"registers": list(registers), "at": at})
