"""What TimescaleDB makes of the history, where the server has it: version and licence, chunks, their sizes and end.

With `storage.timescale_layout` the only place that knows the difference; every reading and writing statement of the
house works on both kinds of table without asking.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import psycopg
from psycopg import sql

HISTORY = {"stored_reading": "taken_at", "interval_reading": "start", "midnight": "cut"}
"""The tables that grow with time, and the column that says when."""

SESSION = "timescaledb.max_tuples_decompressed_per_dml_transaction=0"
"""For every session of ours: a batch of late readings opens compressed pieces of many registers, and may (the default
stops at 100 000 rows, which are a hundred registers). A server without TimescaleDB ignores it."""

_EXTENSION = """
SELECT e.extversion, n.nspname, coalesce(current_setting('timescaledb.license', true), 'apache')
FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'timescaledb'
"""
HYPERTABLES = """
SELECT hypertable_name, compression_enabled FROM timescaledb_information.hypertables
WHERE hypertable_schema = current_schema()
"""
_CHUNKS = """
SELECT format('%%I.%%I', chunk_schema, chunk_name), range_start, range_end, is_compressed
FROM timescaledb_information.chunks
WHERE hypertable_schema = current_schema() AND hypertable_name = %s
ORDER BY range_start
"""
_SIZES = """
SELECT {ts}.approximate_row_count(%(table)s::text::regclass), {ts}.hypertable_size(%(table)s::text::regclass), count(*),
       count(z.chunk_id), coalesce(sum(z.numrows_pre_compression), 0)::bigint,
       coalesce(sum(z.compressed_heap_size + z.compressed_toast_size + z.compressed_index_size), 0)::bigint
FROM timescaledb_information.chunks i
JOIN _timescaledb_catalog.chunk c ON (c.schema_name, c.table_name) = (i.chunk_schema, i.chunk_name)
LEFT JOIN _timescaledb_catalog.compression_chunk_size z ON z.chunk_id = c.id
WHERE i.hypertable_schema = current_schema() AND i.hypertable_name = %(table)s::text
"""


@dataclass(frozen=True, slots=True)
class Extension:
    """TimescaleDB as this database has it. `schema` is where its functions are."""

    version: str
    schema: str
    license: str

    @property
    def columnstore(self) -> bool:
        """Whether this build can compress: Apache-only builds cannot."""
        return self.license == "timescale"


class Chunk(NamedTuple):
    """One piece of a hypertable: readings of [begin, end). `name` is quoted, with its schema."""

    name: str
    begin: datetime
    end: datetime
    compressed: bool


class Sizes(NamedTuple):
    """A hypertable in numbers: rows as estimated, sizes in bytes with indexes."""

    rows: int
    size: int
    chunks: int
    compressed_chunks: int
    compressed_rows: int
    compressed_size: int


async def extension(conn: psycopg.AsyncConnection[Any]) -> Extension | None:
    """The TimescaleDB of this database, None where it has none."""
    row = await (await conn.execute(_EXTENSION)).fetchone()
    return row and Extension(*row)


async def chunks(conn: psycopg.AsyncConnection[Any], table: str) -> list[Chunk] | None:
    """The chunks of a history table, oldest first; None where it is a plain table."""
    if await extension(conn) is None:
        return None
    if table not in dict(await (await conn.execute(HYPERTABLES)).fetchall()):
        return None
    return [Chunk(*row) for row in await (await conn.execute(_CHUNKS, (table,))).fetchall()]


async def sizes(conn: psycopg.AsyncConnection[Any], table: str) -> Sizes | None:
    """How much a history table holds and how; None where it is a plain table."""
    found = await extension(conn)
    if found is None or await chunks(conn, table) is None:
        return None
    row = await (await conn.execute(qualified(_SIZES, found), {"table": table})).fetchone()
    return row and Sizes(*row)


async def drop_chunk(conn: psycopg.AsyncConnection[Any], table: str, chunk: Chunk) -> None:
    """Drop one chunk with everything in it, in the open transaction."""
    found = await extension(conn)
    assert found is not None
    await conn.execute(
        qualified("SELECT {ts}.drop_chunks(%s::regclass, older_than => %s, newer_than => %s)", found),
        (table, chunk.end, chunk.begin),
    )


def qualified(text: str, found: Extension, **more: sql.Composable) -> sql.Composed:
    """A statement with {ts} as the schema of the extension's functions, whatever the search path is."""
    return sql.SQL(text).format(ts=sql.Identifier(found.schema), **more)
