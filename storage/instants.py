"""Instants as whole microseconds since 1970 on both sides of the wire, without a datetime in between.

PostgreSQL's binary timestamptz is a 64-bit count of microseconds since 2000-01-01 UTC.
"""

from __future__ import annotations

import struct
from datetime import UTC, datetime
from typing import Any

import psycopg
from psycopg import pq
from psycopg.abc import Buffer
from psycopg.adapt import Loader
from psycopg.types.numeric import Int8BinaryLoader

from ingest.instants import micros

TO_POSTGRES = micros(datetime(2000, 1, 1, tzinfo=UTC))
"""Microseconds from 1970 to 2000: subtract to write a timestamptz as the int8 it is on the wire."""

FROM_MICROS = "timestamptz 'epoch' + {} * interval '1 microsecond'"
"""In SQL, a timestamptz of a bigint that counts from 1970."""

_unpack = struct.Struct("!q").unpack


class MicrosLoader(Loader):
    """timestamptz -> int."""

    format = pq.Format.BINARY

    def load(self, data: Buffer) -> int:
        return int(_unpack(data)[0]) + TO_POSTGRES


def micros_cursor(conn: psycopg.AsyncConnection[Any]) -> psycopg.AsyncCursor[tuple[Any, ...]]:
    """A binary cursor whose instants are integers."""
    cursor: psycopg.AsyncCursor[tuple[Any, ...]] = psycopg.AsyncCursor(conn)
    cursor.format = pq.Format.BINARY
    cursor.adapters.register_loader("timestamptz", MicrosLoader)
    return cursor


def raw_cursor(conn: psycopg.AsyncConnection[Any]) -> psycopg.AsyncCursor[tuple[Any, ...]]:
    """A binary cursor for thousands of rows: instants are what is on the wire, microseconds since 2000.

    Add TO_POSTGRES; the loader is psycopg's compiled one, which knows of no other beginning of time.
    """
    cursor: psycopg.AsyncCursor[tuple[Any, ...]] = psycopg.AsyncCursor(conn)
    cursor.format = pq.Format.BINARY
    cursor.adapters.register_loader("timestamptz", Int8BinaryLoader)
    return cursor
