"""What surrounds the readings: when a meter last answered, what somebody should look at."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import psycopg

from ingest.delivery import Contact
from ingest.instants import micros
from storage import missed
from storage.arrays import Instants, Texts

# Ordered, so that two writers never wait for each other in a circle.
_ANSWERED = """
UPDATE last_contact c SET tried_at = u.at, answered_at = u.at, failure = NULL, detail = NULL, failed_turns = 0
FROM (SELECT m.id, u.at FROM unnest(%s, %s) AS u(meter, at) JOIN meter m ON m.serial = u.meter ORDER BY m.id) u
WHERE c.meter_id = u.id AND c.tried_at <= u.at
"""
"""What nearly every contact says, of meters that were reached before."""

_CONTACTS = """
INSERT INTO last_contact AS c (meter_id, tried_at, answered_at, failure, detail, failed_turns, drift, drift_at)
SELECT m.id, u.tried_at, CASE WHEN u.failure IS NULL THEN u.tried_at END, u.failure, u.detail,
       CASE WHEN u.failure IS NULL THEN 0 ELSE 1 END, u.drift, CASE WHEN u.drift IS NOT NULL THEN u.tried_at END
FROM unnest(%s::text[], %s::timestamptz[], %s::text[], %s::text[], %s::interval[], %s::text[])
     AS u(meter, tried_at, failure, detail, drift, gateway)
JOIN meter m ON m.serial = u.meter AND (u.gateway IS NULL OR m.gateway = u.gateway)
ORDER BY m.id
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

SWAPPED = "swapped_meter"
"""The failure of a meter that stated another serial number, and the event of it."""

# Once for as long as it stays so: told again when another stranger answers, or after it had answered as itself.
_SWAPPED_EVENT = f"""
INSERT INTO event (at, kind, point_id, meter_id, detail)
SELECT u.at, '{SWAPPED}', i.point_id, m.id, jsonb_build_object('serial', m.serial, 'detail', u.detail)
FROM unnest(%(meters)s::text[], %(at)s::timestamptz[], %(details)s::text[]) AS u(meter, at, detail)
JOIN meter m ON m.serial = u.meter
LEFT JOIN installation i ON i.meter_id = m.id AND i.since <= u.at AND (i.until IS NULL OR i.until > u.at)
WHERE NOT EXISTS (
    SELECT FROM event e LEFT JOIN last_contact c ON c.meter_id = e.meter_id
    WHERE e.kind = '{SWAPPED}' AND e.meter_id = m.id AND e.detail ->> 'detail' = u.detail
      AND e.at > coalesce(c.answered_at, '-infinity'))
ORDER BY m.id, u.at
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
    for some in _once_each(ordered):
        plain = [contact for contact in some if _is_plain(contact)]
        others = [contact for contact in some if not _is_plain(contact)]
        if plain and not await _answered(conn, plain):
            others = some
        if others:
            await _tell_swapped(conn, [contact for contact in others if contact.failure == SWAPPED])
            rows = [(c.meter, c.tried_at, c.failure, c.detail, c.drift, c.gateway) for c in others]
            await conn.execute(_CONTACTS, [list(column) for column in zip(*rows, strict=True)])
    if failed := [contact for contact in ordered if contact.failure is not None]:
        await missed.note(conn, failed)


def _is_plain(contact: Contact) -> bool:
    """A meter of ours answered, and that is all."""
    _, _, failure, detail, drift, gateway, _ = contact
    return failure is None and detail is None and drift is None and gateway is None


async def _answered(conn: psycopg.AsyncConnection[Any], plain: Sequence[Contact]) -> bool:
    """Note that they answered; whether all of them were meters that had been reached before, and not since."""
    instants = Instants(micros(contact.tried_at) for contact in plain)
    noted = await conn.execute(_ANSWERED, (Texts(contact.meter for contact in plain), instants))
    return noted.rowcount == len(plain)


def _once_each(ordered: Sequence[Contact]) -> list[list[Contact]]:
    """Attempts in their order, no meter twice in one list: one statement can write a row but once."""
    lists: list[list[Contact]] = []
    meter, count = None, 0
    for contact in ordered:
        count = count + 1 if contact.meter == meter else 0
        meter = contact.meter
        if count == len(lists):
            lists.append([])
        lists[count].append(contact)
    return lists


async def _tell_swapped(conn: psycopg.AsyncConnection[Any], contacts: Sequence[Contact]) -> None:
    """Raise the event that another meter answers at a meter's address, when that is news."""
    if contacts:
        columns = zip(*[(c.meter, c.tried_at, c.detail) for c in contacts], strict=True)
        await conn.execute(_SWAPPED_EVENT, dict(zip(("meters", "at", "details"), map(list, columns), strict=True)))


async def zone_mismatch(conn: psycopg.AsyncConnection[Any], registers: Sequence[int], at: datetime) -> None:
    """Raise the event that zones do not sum to their total, at most once a meter and day."""
    await conn.execute(_ZONE_MISMATCH, {"registers": list(registers), "at": at})
