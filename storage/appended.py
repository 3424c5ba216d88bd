"""What simply follows its series: the ends it moves, through a stage, and its rows, straight to where they lie."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

import psycopg
from psycopg.errors import UniqueViolation

from ingest.store import Appended, MovedEnd, Stale
from storage import stored
from storage.copying import copy_packed
from storage.instants import TO_POSTGRES

# Temporary, one a connection.
_STAGE = """
CREATE TEMP TABLE IF NOT EXISTS stage_ends (
    register_id integer, source smallint, taken_at timestamptz, value bigint, version integer
) ON COMMIT DELETE ROWS
"""
_COPY_ENDS = "COPY stage_ends (register_id, source, taken_at, value, version) FROM STDIN (FORMAT BINARY)"
_END = struct.Struct(">hiiihiqiqii")
"""A row of it on the wire (see `stored`)."""

# From an ordered subquery, so that writers reach for the rows in one order.
_MOVE = """
UPDATE newest n SET taken_at = s.taken_at, value = s.value, version = n.version + 1
FROM (SELECT * FROM stage_ends ORDER BY register_id, source) s
WHERE n.register_id = s.register_id AND n.source = s.source AND n.version = s.version
"""

# Before it is asked whether it is a hypertable: TimescaleDB's COPY asks that and then waits for a table that is just
# becoming one, and its rows would lie where nobody looks. ONLY: pieces are locked as they are written to.
_LOCK = "LOCK TABLE ONLY stored_reading IN ROW EXCLUSIVE MODE"
_COPY_ROWS = f"COPY stored_reading ({stored.COLUMNS}) FROM STDIN (FORMAT BINARY)"


async def move_ends(conn: psycopg.AsyncConnection[Any], ends: Sequence[MovedEnd]) -> None:
    """Put ends further, each only if it still has the version it was read at; held until the commit.

    Stale when one has not.
    """
    await conn.execute(_STAGE)
    await copy_packed(conn, _COPY_ENDS, _packed(ends))
    if (await conn.execute(_MOVE)).rowcount != len(ends):
        raise Stale


async def insert(conn: psycopg.AsyncConnection[Any], rows: Sequence[Appended], received_at: datetime) -> None:
    """Bring rows whose ends are held to their table; Stale when one of them is there already.

    An INSERT from a stage, which can pass over a key that is there, is twice the work for the server.
    """
    await conn.execute(_LOCK)
    try:
        await copy_packed(conn, _COPY_ROWS, stored.pack_good(rows, received_at))
    except UniqueViolation as error:
        raise Stale from error


def _packed(ends: Sequence[MovedEnd]) -> Iterator[bytes]:
    shift, pack = TO_POSTGRES, _END.pack
    return (
        pack(5, 4, register_id, 2, source, 8, at - shift, 8, value, 4, version)
        for register_id, source, at, value, version in ends
    )
