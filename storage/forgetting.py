"""What the running leaves behind, forgotten after its time: why slots are empty, verdicts that changed, who asked what.

Nothing here proves a bill: readings, who typed them in, what they were corrected to, exchanges, contracts and midnights
stay (docs/operations.md lists every table). In slices, each a transaction of its own, none of which holds anybody up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import psycopg

from storage.policy import StoragePolicy

SLICE = 10_000
"""Rows at a time where they are found by their age."""
GROUP = 500
"""Meters at a time where they are found by their meter."""

_METERS = "SELECT id FROM meter WHERE id > %s ORDER BY id LIMIT %s"

# As old as thinned readings: what says why one is missing, or was judged anew, outlives none of them.
_OF_METERS = {
    "missed_poll": "DELETE FROM missed_poll WHERE meter_id = ANY(%(meters)s) AND until < %(before)s",
    "gap": """
        DELETE FROM gap WHERE meter_id = ANY(%(meters)s) AND what IN ('profile', 'polls') AND until < %(before)s""",
    "rejudgement": """
        DELETE FROM rejudgement WHERE register_id = ANY(ARRAY(SELECT id FROM register WHERE meter_id = ANY(%(meters)s)))
            AND taken_at < %(before)s""",
}
# What is old enough comes as an array: there is but one way to look that up, however much there is.
# Exchanges, other ratios, applied files and what was dropped on purpose are on record for ever.
_PASSING = ("zone_sum", "swapped_meter", "quarantine_filling", "quarantine_full")
_EVENTS = """
DELETE FROM event WHERE id = ANY(ARRAY(
    SELECT id FROM event WHERE at < %(before)s AND kind = ANY(%(passing)s) ORDER BY at LIMIT %(most)s))
"""

_NOTES = {
    "completeness": """
        DELETE FROM completeness WHERE ctid = ANY(ARRAY(
            SELECT ctid FROM completeness WHERE day < (%(before)s AT TIME ZONE 'UTC')::date
            ORDER BY day, point_id LIMIT %(most)s))""",
    "reading_request": """
        DELETE FROM reading_request WHERE id = ANY(ARRAY(
            SELECT id FROM reading_request WHERE finished_at < %(before)s ORDER BY finished_at LIMIT %(most)s))""",
    "cabinet_event": """
        DELETE FROM cabinet_event WHERE id = ANY(ARRAY(
            SELECT id FROM cabinet_event WHERE at < %(before)s ORDER BY at LIMIT %(most)s))""",
}
_AUDIT = "SELECT forget_audit(%s, %s)"

_Conn = psycopg.AsyncConnection[Any]


async def forget(conn: _Conn, policy: StoragePolicy, now: datetime) -> dict[str, int]:
    """Take away what is older than the policy keeps; gives how many rows of which table. For one process at a time."""
    gone: dict[str, int] = {}
    if policy.keep is not None:
        gone |= await _of_meters(conn, now - policy.keep)
        gone["event"] = await _aged(conn, _EVENTS, now - policy.keep, {"passing": list(_PASSING)})
    if policy.notes is not None:
        for table, statement in _NOTES.items():
            gone[table] = await _aged(conn, statement, now - policy.notes)
    if policy.audit_kept is not None:
        gone["audit"] = await _audit(conn, now - policy.audit_kept)
    return {table: rows for table, rows in gone.items() if rows}


async def _of_meters(conn: _Conn, before: datetime) -> dict[str, int]:
    gone = dict.fromkeys(_OF_METERS, 0)
    after = 0
    while meters := [number for (number,) in await (await conn.execute(_METERS, (after, GROUP))).fetchall()]:
        for table, statement in _OF_METERS.items():
            gone[table] += (await conn.execute(statement.encode(), {"meters": meters, "before": before})).rowcount
        after = meters[-1]
    return gone


async def _aged(conn: _Conn, statement: str, before: datetime, more: Mapping[str, Sequence[str]] | None = None) -> int:
    gone, last = 0, SLICE
    while last == SLICE:
        asked = {"before": before, "most": SLICE, **(more or {})}
        last = (await conn.execute(statement.encode(), asked)).rowcount
        gone += last
    return gone


async def _audit(conn: _Conn, before: datetime) -> int:
    gone, last = 0, SLICE
    while last == SLICE:
        row = await (await conn.execute(_AUDIT, (before, SLICE))).fetchone()
        last = row[0] if row else 0
        gone += last
    return gone
