"""How much is stored and how: what `amr storage status` shows, and what a gauge may export."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import psycopg

from storage import timescale

_SERVER = "SELECT current_setting('server_version'), pg_database_size(current_database())"
_PLAIN = "SELECT greatest(reltuples, 0)::bigint, pg_total_relation_size(oid) FROM pg_class WHERE oid = %s::regclass"
_RETENTION = "SELECT thinned_until, ran_at, removed FROM retention"
_SMALL = 256 * 1024**2


@dataclass(frozen=True, slots=True)
class TableStatus:
    """One history table, by the name it is read by. `rows` is the planner's estimate unless it was counted; sizes are
    bytes with indexes.

    `chunks` is None for a plain table. `compressed_rows` lie in the columnstore, in `compressed_size` bytes.
    """

    name: str
    rows: int
    size: int
    chunks: int | None = None
    compressed_chunks: int = 0
    compressed_rows: int = 0
    compressed_size: int = 0

    @property
    def bytes_per_row(self) -> float | None:
        return self.size / self.rows if self.rows else None

    @property
    def compressed_share(self) -> float | None:
        """The share of the rows that is compressed, 0 to 1; None for a plain table or an empty one."""
        return self.compressed_rows / self.rows if self.chunks is not None and self.rows else None

    @property
    def bytes_per_compressed_row(self) -> float | None:
        return self.compressed_size / self.compressed_rows if self.compressed_rows else None


@dataclass(frozen=True, slots=True)
class StorageStatus:
    """The whole database. `thinned_until`: every reading younger than that is kept; None: never thinned yet."""

    server: str
    size: int
    timescale: timescale.Extension | None
    tables: tuple[TableStatus, ...]
    thinned_until: datetime | None
    thinned_at: datetime | None
    removed: int


async def storage_status(conn: psycopg.AsyncConnection[Any], *, exact: bool = False) -> StorageStatus:
    """Look at the database. Rows of a small table, and with `exact` of any, are counted: that reads all of it."""
    row = await (await conn.execute(_SERVER)).fetchone()
    assert row
    tables = [await _table(conn, name, exact=exact) for name in timescale.HISTORY]
    thinned = await (await conn.execute(_RETENTION)).fetchone() or (None, None, 0)
    return StorageStatus(row[0], row[1], await timescale.extension(conn), tuple(tables), *thinned)


async def _table(conn: psycopg.AsyncConnection[Any], table: str, *, exact: bool) -> TableStatus:
    sizes = await timescale.sizes(conn, table)
    name = table.removeprefix("stored_")
    if sizes is None:
        row = await (await conn.execute(_PLAIN, (table,))).fetchone()
        assert row
        found = TableStatus(name, *row)
    else:
        found = TableStatus(name, *sizes)
    if exact or found.size < _SMALL:
        row = await (await conn.execute(f"SELECT count(*) FROM {table}".encode())).fetchone()
        assert row
        found = replace(found, rows=row[0])
    return found
