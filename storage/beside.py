"""What surrounds the readings: what could not become one, when a meter last answered, what somebody should look at."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import psycopg

from ingest.delivery import Contact, Reject

_QUARANTINE = """
INSERT INTO quarantine (digest, origin, reason, detail, raw, meter, channel)
VALUES (%s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (digest) DO UPDATE SET times = quarantine.times + 1, last_at = now()
"""

_CONTACT = """
INSERT INTO last_contact AS c (meter_id, tried_at, answered_at, failure, detail, failed_turns)
SELECT m.id, %(tried_at)s, CASE WHEN %(failure)s::text IS NULL THEN %(tried_at)s END, %(failure)s, %(detail)s,
       CASE WHEN %(failure)s::text IS NULL THEN 0 ELSE 1 END
FROM meter m WHERE m.serial = %(meter)s
ON CONFLICT (meter_id) DO UPDATE SET
    tried_at = excluded.tried_at,
    answered_at = coalesce(excluded.answered_at, c.answered_at),
    failure = excluded.failure,
    detail = excluded.detail,
    failed_turns = CASE WHEN excluded.failure IS NULL THEN 0 ELSE c.failed_turns + 1 END
WHERE excluded.tried_at >= c.tried_at
"""

_ZONE_MISMATCH = """
INSERT INTO event (at, kind, meter_id, detail)
SELECT %(at)s, 'zone_sum', r.meter_id, jsonb_build_object('channel', r.channel)
FROM register r
WHERE r.id = ANY(%(registers)s) AND NOT EXISTS (
    SELECT FROM event e WHERE e.kind = 'zone_sum' AND e.meter_id = r.meter_id AND e.at > %(at)s - interval '1 day')
"""


async def quarantine(conn: psycopg.AsyncConnection[Any], refused: Sequence[tuple[str, Reject]]) -> None:
    """Keep refused pieces whole; the same piece refused for the same reason from the same origin is counted.

    Written in the order of their keys, so that two writers never wait for each other in a circle.
    """
    rows = sorted((_quarantined(origin, reject) for origin, reject in refused), key=lambda row: row[0])
    async with conn.cursor() as cursor:
        await cursor.executemany(_QUARANTINE, rows)


def _quarantined(origin: str, reject: Reject) -> tuple[bytes, str, str, str, bytes, str | None, str | None]:
    digest = hashlib.sha256(b"\0".join((origin.encode(), reject.reason.encode(), reject.raw)))
    for part in (reject.meter, reject.channel):
        digest.update(b"\0" + (part or "").encode())
    # PostgreSQL's text holds no NUL; what is broken in that way is still whole in raw.
    texts = [None if t is None else t.replace("\0", "�") for t in (reject.detail, reject.meter, reject.channel)]
    return digest.digest(), origin.replace("\0", "�"), reject.reason, texts[0] or "", reject.raw, texts[1], texts[2]


async def contacts(conn: psycopg.AsyncConnection[Any], attempts: Sequence[Contact]) -> None:
    """Note the latest attempt to reach each meter; attempts at unknown meters are nobody's."""
    ordered = sorted(attempts, key=lambda contact: (contact.meter, contact.tried_at))
    async with conn.cursor() as cursor:
        await cursor.executemany(
            _CONTACT,
            [{"meter": c.meter, "tried_at": c.tried_at, "failure": c.failure, "detail": c.detail} for c in ordered],
        )


async def zone_mismatch(conn: psycopg.AsyncConnection[Any], registers: Sequence[int], at: datetime) -> None:
    """Raise the event that zones do not sum to their total, at most once a meter and day."""
    await conn.execute(_ZONE_MISMATCH, {"registers": list(registers), "at": at})
