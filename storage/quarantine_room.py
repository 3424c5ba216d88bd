"""How full the quarantine is: the limits, the alert when they come near, and the count of what was no longer kept.

The limits live in the database, so that every process that writes obeys them alike. The oldest stay: what comes while
the quarantine is full is counted by road and reason instead of kept (docs/decisions/0030).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from ingest.errors import Misconfigured

_log = logging.getLogger(__name__)

ROOM, FILLING, FULL = range(3)
FILLS = 0.8
"""The share of a limit at which the alert comes while there is still room."""
CALM = 0.7
"""The share below which the next alert may come: not at every row around a limit."""

_KINDS = {FILLING: "quarantine_filling", FULL: "quarantine_full"}

_LOOK = "SELECT rows, bytes, most_rows, most_bytes, level FROM quarantine_room"
_RISE = "UPDATE quarantine_room SET level = %(level)s WHERE level < %(level)s"
_FALL = "UPDATE quarantine_room SET level = %(level)s WHERE level > %(level)s"
_LIMIT = """
UPDATE quarantine_room SET most_rows = coalesce(%(rows)s, most_rows), most_bytes = coalesce(%(bytes)s, most_bytes)
"""
_EVENT = "INSERT INTO event (kind, detail) VALUES (%s, %s)"
_UNKEPT = """
SELECT road, reason, times, bytes, first_at, last_at, last_origin, last_detail FROM quarantine_unkept
ORDER BY last_at DESC
"""
_SETTLE = "DELETE FROM quarantine_unkept RETURNING road, reason, times"

_Conn = psycopg.AsyncConnection[Any]


@dataclass(frozen=True, slots=True)
class Room:
    """Rows and raw bytes held, and how many may be. `told` is the level that was last told."""

    rows: int
    bytes: int
    most_rows: int
    most_bytes: int
    told: int = ROOM

    @property
    def share(self) -> float:
        """How full it is, 1 at the nearer of the two limits."""
        return max(self.rows / self.most_rows, self.bytes / self.most_bytes)

    @property
    def level(self) -> int:
        return FULL if self.share >= 1 else FILLING if self.share >= FILLS else ROOM


@dataclass(frozen=True, slots=True)
class Unkept:
    """What came by one road for one reason while the quarantine was full, and how often."""

    road: str
    reason: str
    times: int
    bytes: int
    first_at: datetime
    last_at: datetime
    last_origin: str
    last_detail: str


async def look(conn: _Conn) -> Room:
    """The state now."""
    row = await (await conn.execute(_LOOK)).fetchone()
    assert row is not None, "the migration puts the only row there"
    return Room(*row)


async def tell(conn: _Conn) -> Room:
    """Raise the alert when a level is reached for the first time: an event and one line in the log."""
    room = await look(conn)
    if room.level > room.told and (await conn.execute(_RISE, {"level": room.level})).rowcount:
        detail = {"rows": room.rows, "bytes": room.bytes, "most_rows": room.most_rows, "most_bytes": room.most_bytes}
        await conn.execute(_EVENT, (_KINDS[room.level], Jsonb(detail)))
        _log.warning("%s", _words(room))
    elif room.told and room.share < CALM:
        await conn.execute(_FALL, {"level": ROOM})
    return room


def _words(room: Room) -> str:
    held = f"{room.rows} of {room.most_rows} rows, {room.bytes} of {room.most_bytes} bytes"
    if room.level == FULL:
        return (
            f"the quarantine is full ({held}): what is refused from now on is counted, not kept; replay or drop what "
            "lies there, or give it more room with `amr quarantine room`"
        )
    return f"the quarantine fills up ({held}); look at it with `amr quarantine list`"


async def limit(conn: _Conn, rows: int | None, bytes_: int | None) -> Room:
    """Give the quarantine other limits (None: as before)."""
    for name, value in (("rows", rows), ("bytes", bytes_)):
        if value is not None and value < 1:
            raise Misconfigured(f"{name} {value} is no limit of the quarantine; write a number above zero")
    await conn.execute(_LIMIT, {"rows": rows, "bytes": bytes_})
    return await tell(conn)


async def unkept(conn: _Conn) -> Sequence[Unkept]:
    """What came while there was no room, by the latest."""
    return [Unkept(*row) for row in await (await conn.execute(_UNKEPT)).fetchall()]


async def settle(conn: _Conn, author: str | None = None) -> int:
    """Take note of what was not kept and begin counting anew; an event keeps the numbers. Gives how much it was."""
    rows = await (await conn.execute(_SETTLE)).fetchall()
    if rows:
        counted = {f"{road} {reason}": times for road, reason, times in rows}
        await conn.execute(_EVENT, ("quarantine_unkept", Jsonb({"times": counted, "author": author})))
    return sum(times for _, _, times in rows)
