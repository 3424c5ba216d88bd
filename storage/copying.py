"""Rows into a stage by binary COPY, at the speed of the formatter."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import psycopg


async def copy_rows(
    conn: psycopg.AsyncConnection[Any], statement: str, types: Sequence[str], rows: Iterable[Sequence[int]]
) -> None:
    """COPY integer rows by `statement` (… FROM STDIN (FORMAT BINARY)), their columns being of `types`.

    Only a full buffer is awaited: a coroutine for every row would cost as much as the row.
    """
    async with conn.cursor() as cursor, cursor.copy(statement.encode()) as copy:
        copy.set_types(types)
        write_row = copy.formatter.write_row
        for row in rows:
            if full := write_row(row):
                await copy.write(full)


_BEGINNING = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_ENDING = b"\xff\xff"


async def copy_packed(conn: psycopg.AsyncConnection[Any], statement: str, rows: Iterable[bytes]) -> None:
    """The same of rows that are in PostgreSQL's binary format already (see its manual on COPY, "Binary Format")."""
    async with conn.cursor() as cursor, cursor.copy(statement.encode()) as copy:
        await copy.write(b"".join((_BEGINNING, *rows, _ENDING)))
