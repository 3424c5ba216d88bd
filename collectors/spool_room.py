"""What a full spool lets go of: what lies between the first and the last reading of a day, never silently."""

from __future__ import annotations

import logging
import sqlite3

from collectors.spool_items import SpoolFull

log = logging.getLogger(__name__)

ROOM = 0.05
"""Share of the limit that is made free at once, so that making room is rare."""

ROW = 100
"""Bytes a row takes beside its body, its index entry with it."""

_RANKED = """
WITH ranked AS (
    SELECT id, row_number() OVER (PARTITION BY series, day ORDER BY at, id) = 1 AS first,
        row_number() OVER (PARTITION BY series, day ORDER BY at DESC, id DESC) = 1 AS last,
        day = max(day) OVER (PARTITION BY series) AS newest
    FROM item WHERE series IS NOT NULL
)
SELECT i.id, length(i.body) FROM ranked r JOIN item i ON i.id = r.id WHERE
"""
_BETWEEN = _RANKED + " NOT r.first AND NOT r.last AND i.put_at < ? ORDER BY i.id DESC"
_LASTS = _RANKED + " r.last AND NOT r.first AND NOT r.newest AND i.put_at < ? ORDER BY i.id DESC"
_ALWAYS = 1 << 62
_NOTE_LOST = """
INSERT INTO lost SELECT series, day, ?, min(at), max(at), count(*) FROM item WHERE id IN (SELECT id FROM dropped)
GROUP BY series, day
ON CONFLICT (series, day, cause) DO UPDATE SET
    since = min(since, excluded.since), until = max(until, excluded.until), items = items + excluded.items
"""


def make_room(conn: sqlite3.Connection, wanted: int, limit: int) -> int:
    """The rule of a full spool: what lies between a day's first and last goes first, the newest before the oldest.

    Then the last of each day that has a day after it, whose first stands beside it; then `put` is refused. Gives
    how many items were dropped.
    """
    dropped = 0
    enough = wanted + int(limit * ROOM)
    for statement in (_BETWEEN, _LASTS):
        if used_bytes(conn) + wanted <= limit:
            break
        dropped += _drop(conn, statement, _ALWAYS, "spool_full", enough)
    if used_bytes(conn) + wanted > limit:
        raise SpoolFull(
            f"the spool holds its limit of {limit >> 20} MB and nothing but boundaries of days; bring back what it"
            " waits for, or allow it more"
        )
    if dropped:
        log.warning("a spool is full: %d items between the boundaries of days were dropped", dropped)
    return dropped


def drop_older(conn: sqlite3.Connection, before: int) -> int:
    """Of what was put before an instant (µs) only the boundaries of days stay; gives how many items were dropped."""
    oldest = conn.execute("SELECT put_at FROM item ORDER BY id LIMIT 1").fetchone()
    if oldest is None or oldest[0] >= before:
        return 0
    return _drop(conn, _BETWEEN, before, "spool_age", None)


def used_bytes(conn: sqlite3.Connection) -> int:
    """Bytes of the file that hold something; what was freed inside it is used again first."""
    pages, free, size = (
        conn.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
    )
    return int((pages - free) * size)


def _drop(conn: sqlite3.Connection, statement: str, before: int, cause: str, enough: int | None) -> int:
    """Delete in the statement's order until enough bytes are free (None: all), and note what is lost; says how many."""
    freed, ids = 0, []
    for one, size in conn.execute(statement, (before,)):
        ids.append((one,))
        freed += size + ROW
        if enough is not None and freed >= enough:
            break
    if ids:
        conn.execute("CREATE TEMP TABLE IF NOT EXISTS dropped (id INTEGER PRIMARY KEY)")
        conn.execute("DELETE FROM dropped")
        conn.executemany("INSERT INTO dropped VALUES (?)", ids)
        conn.execute(_NOTE_LOST, (cause,))
        conn.execute("DELETE FROM item WHERE id IN (SELECT id FROM dropped)")
    return len(ids)
