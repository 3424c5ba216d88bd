"""What simply follows its series: the ends it moves, and its rows, straight to where they lie."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import psycopg
from psycopg.errors import UniqueViolation

from ingest.store import Appended, MovedEnd, Stale
from storage import stored
from storage.arrays import Bigints, Instants, Integers, Smallints
from storage.copying import copy_packed

_Conn = psycopg.AsyncConnection[Any]

# From an ordered subquery, so that writers reach for the rows in one order.
_MOVE = """
UPDATE newest n SET taken_at = u.taken_at, value = u.value, version = n.version + 1
FROM (SELECT * FROM unnest(%s, %s, %s, %s, %s) AS u(register_id, source, taken_at, value, version)
      ORDER BY register_id, source) u
WHERE n.register_id = u.register_id AND n.source = u.source AND n.version = u.version
"""

_FLEET = "SELECT number FROM fleet_version"

# Before it is asked whether it is a hypertable: TimescaleDB's COPY asks that and then waits for a table that is just
# becoming one, and its rows would lie where nobody looks. ONLY: pieces are locked as they are written to.
_LOCK = "LOCK TABLE ONLY stored_reading IN ROW EXCLUSIVE MODE"
_COPY_ROWS = f"COPY stored_reading ({stored.COLUMNS}) FROM STDIN (FORMAT BINARY)"


async def fleet_version(conn: _Conn) -> int:
    """A number that changes with the fleet."""
    return await _number(await conn.execute(_FLEET))


async def move_ends(conn: _Conn, ends: Sequence[MovedEnd], fleet: int) -> None:
    """Put ends further, each only if it still has the version it was read at; held until the commit.

    Stale when one has not, or the fleet has another version. It is the first that a batch asks, in one breath, and the
    server is busy with it for long: meanwhile others get on.
    """
    registers, sources, ats, values, versions = zip(*ends, strict=True)
    given = Integers(registers), Smallints(sources), Instants(ats), Bigints(values), Integers(versions)
    async with conn.pipeline():
        moved = await conn.execute(_MOVE, given)
        found = await conn.execute(_FLEET)
        await conn.execute(_LOCK)
    if await _number(found) != fleet or moved.rowcount != len(ends):
        raise Stale


async def _number(found: psycopg.AsyncCursor[Any]) -> int:
    row = await found.fetchone()
    return int(row[0]) if row else 0


async def insert(conn: _Conn, rows: Sequence[Appended], received_at: datetime) -> None:
    """Bring rows whose ends are held to their table; Stale when one of them is there already.

    An INSERT from a stage, which can pass over a key that is there, is twice the work for the server.
    """
    try:
        await copy_packed(conn, _COPY_ROWS, stored.pack_good(rows, received_at))
    except UniqueViolation as error:
        raise Stale from error
