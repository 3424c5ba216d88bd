"""Rows to the server by binary COPY."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Any

import psycopg

_BEGINNING = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_ENDING = b"\xff\xff"
_TOGETHER = 1000


async def copy_packed(conn: psycopg.AsyncConnection[Any], statement: str, rows: Iterable[bytes]) -> None:
    """COPY rows by `statement` (… FROM STDIN (FORMAT BINARY)); they are packed as PostgreSQL's manual on COPY says."""
    rows = iter(rows)
    async with conn.cursor() as cursor, cursor.copy(statement.encode()) as copy:
        await copy.write(_BEGINNING)
        while some := b"".join(islice(rows, _TOGETHER)):  # the server is at work on them while the next are packed
            await copy.write(some)
        await copy.write(_ENDING)
