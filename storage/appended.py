"""What simply follows its series, in one stage for two statements: the rows to insert and the ends they move."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import Any

import psycopg

from ingest.store import Appended, MovedEnd
from storage.copying import copy_packed
from storage.instants import TO_POSTGRES

STAGE = "stage_appended"
"""Temporary, one a connection. `version` is the one an end was read at; null in rows between it and the new end."""

_STAGE = f"""
CREATE TEMP TABLE IF NOT EXISTS {STAGE} (
    register_id integer, source smallint, taken_at timestamptz, value bigint, version integer,
    quality smallint DEFAULT 0, reasons smallint DEFAULT 0
) ON COMMIT DELETE ROWS
"""
_COPY = f"COPY {STAGE} (register_id, source, taken_at, value, version) FROM STDIN (FORMAT BINARY)"

_END = struct.Struct(">hiiihiqiqii")
"""A row on the wire: the number of columns, then each column after its length."""
_BETWEEN = struct.Struct(">hiiihiqiqi")
"""The same without the last column: its length is that of null."""
_NULL = -1


async def stage(conn: psycopg.AsyncConnection[Any], rows: Sequence[Appended], ends: Sequence[MovedEnd]) -> None:
    """Bring rows to the server; the last of each series is its new end, and is known by its version."""
    await conn.execute(_STAGE.encode())
    await copy_packed(conn, _COPY, _packed(rows, ends))


def _packed(rows: Sequence[Appended], ends: Sequence[MovedEnd]) -> Iterator[bytes]:
    """Formatted here, because all columns are numbers of known width: half the price of a formatter for any row."""
    shift, pack = TO_POSTGRES, _END.pack
    yield from [
        pack(5, 4, register, 2, source, 8, at - shift, 8, value, 4, version)
        for register, source, at, value, version in ends
    ]
    if len(rows) > len(ends):
        last, pack = {end[:4] for end in ends}, _BETWEEN.pack
        yield from [
            pack(5, 4, row[0], 2, row[1], 8, row[2] - shift, 8, row[3], _NULL) for row in rows if row not in last
        ]
