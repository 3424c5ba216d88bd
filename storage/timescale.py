"""TimescaleDB, where the server has it: the only file that knows the difference.

The history tables become hypertables, chunks older than the policy says are compressed by register and source in the
order of time. Builds under the Apache licence have chunks only, which is recognised and said. Everything else in the
house works on both kinds of table without asking.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

import psycopg
from psycopg import sql

from storage.policy import StoragePolicy

if TYPE_CHECKING:
    from storage.database import Database

_log = logging.getLogger(__name__)

HISTORY = {"reading": "taken_at", "interval_reading": "start"}
"""The tables that grow with time, and the column that says when."""

SMALL = 512 * 1024**2
"""Bytes up to which starting a service may move a plain table (seconds); a larger one waits to be told."""

SESSION = "timescaledb.max_tuples_decompressed_per_dml_transaction=0"
"""For every session of ours: a batch of late readings opens compressed pieces of many registers, and may (the default
stops at 100 000 rows, which are a hundred registers). A server without TimescaleDB ignores it."""

_LOCK = "SELECT pg_advisory_lock(hashtextextended('amr timescale ' || current_schema(), 0))"
_OFFERED = "SELECT name FROM pg_available_extensions WHERE name = 'timescaledb'"
_EXTENSION = """
SELECT e.extversion, n.nspname, coalesce(current_setting('timescaledb.license', true), 'apache')
FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'timescaledb'
"""
_HYPERTABLES = """
SELECT hypertable_name, compression_enabled FROM timescaledb_information.hypertables
WHERE hypertable_schema = current_schema()
"""
_CHUNK_LENGTH = """
SELECT time_interval FROM timescaledb_information.dimensions
WHERE hypertable_schema = current_schema() AND hypertable_name = %s
"""
_COMPRESS_AFTER = """
SELECT (config->>'compress_after')::interval FROM timescaledb_information.jobs
WHERE proc_name = 'policy_compression' AND hypertable_schema = current_schema() AND hypertable_name = %s
"""
_CHUNKS = """
SELECT format('%%I.%%I', chunk_schema, chunk_name), range_start, range_end, is_compressed
FROM timescaledb_information.chunks
WHERE hypertable_schema = current_schema() AND hypertable_name = %s
ORDER BY range_start
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


async def extension(conn: psycopg.AsyncConnection[Any]) -> Extension | None:
    """The TimescaleDB of this database, None where it has none."""
    row = await (await conn.execute(_EXTENSION)).fetchone()
    return row and Extension(*row)


async def adapt(database: Database, policy: StoragePolicy, *, largest: int | None = None) -> list[str]:
    """Lay the history out as the policy says, as far as the server can; gives what was done or could not be, as text.

    Safe to repeat and to run from two processes at once. A plain table with readings is moved without losing any, in
    one transaction that writers wait for; one larger than `largest` bytes stays plain, and the answer says so.
    """
    if not policy.timescale:
        return []
    async with database.own_connection() as conn:
        said = await _offered(database, conn)
        found = await extension(conn)
        if found is None:
            return said
        await conn.execute(_LOCK)
        said += await arrange(conn, found, policy, largest)
    return said


async def _offered(database: Database, conn: psycopg.AsyncConnection[Any]) -> list[str]:
    """Create the extension where the server has it ready and this database does not use it yet."""
    if await extension(conn) or await (await conn.execute(_OFFERED)).fetchone() is None:
        return []
    try:
        async with await psycopg.AsyncConnection.connect(database.dsn, autocommit=True) as own:
            await own.execute("CREATE EXTENSION IF NOT EXISTS timescaledb")
    except psycopg.Error as e:  # not preloaded ends the session, missing rights do not: neither stops a plain database
        return [f"the server offers TimescaleDB but it cannot be used ({str(e).strip()}); the tables stay plain"]
    return ["created the extension timescaledb"]


async def arrange(
    conn: psycopg.AsyncConnection[Any], found: Extension, policy: StoragePolicy, largest: int | None = None
) -> list[str]:
    """Hypertables, chunk length, columnstore and its policy, each only where it is not so already."""
    said = []
    length = policy.chunk_for(await _count(conn, "SELECT count(*) FROM register"))
    for table, column in HISTORY.items():
        hypertables = dict(await (await conn.execute(_HYPERTABLES)).fetchall())
        if table not in hypertables:
            size = await _count(conn, "SELECT pg_table_size(%s::regclass)", table)
            if largest is not None and size > largest:
                said.append(
                    f"{table} stays a plain table: it is large ({size >> 20} MiB); move it to TimescaleDB in a quiet "
                    "hour with `amr storage adopt-timescale`"
                )
                continue
            await _become_hypertable(conn, found, table, column, length)
            said.append(f"{table} is a hypertable with chunks of {length.days} days")
        else:
            said += await _set_length(conn, found, table, length)
        if found.columnstore:
            said += await _compress(conn, found, table, column, policy.compress_after, hypertables.get(table, False))
    if not found.columnstore:
        said.append(
            f"TimescaleDB {found.version} is a build under the Apache licence: it has chunks but no columnstore, so "
            "nothing is compressed; the community build needs a twentieth of the disk"
        )
    return said


async def _become_hypertable(
    conn: psycopg.AsyncConnection[Any], found: Extension, table: str, column: str, length: timedelta
) -> None:
    _log.info("making %s a hypertable; its readings are moved, writers wait", table)
    await conn.execute(
        _with(
            "SELECT {ts}.create_hypertable(%s::regclass, {ts}.by_range(%s, %s::interval),"
            " create_default_indexes => false, migrate_data => true)",
            found,
        ),
        (table, column, length),
    )
    await conn.execute(_with("ANALYZE {table}", found, table))


async def _set_length(conn: psycopg.AsyncConnection[Any], found: Extension, table: str, length: timedelta) -> list[str]:
    row = await (await conn.execute(_CHUNK_LENGTH, (table,))).fetchone()
    if row and row[0] == length:
        return []
    await conn.execute(_with("SELECT {ts}.set_chunk_time_interval(%s::regclass, %s::interval)", found), (table, length))
    return [f"new chunks of {table} cover {length.days} days"]


async def _compress(
    conn: psycopg.AsyncConnection[Any], found: Extension, table: str, column: str, after: timedelta, enabled: bool
) -> list[str]:
    """Columnstore by register and source in the order of time, and the policy that says when, both stated."""
    if not enabled:
        await conn.execute(
            _with(
                "ALTER TABLE {table} SET (timescaledb.enable_columnstore,"
                " timescaledb.segmentby = 'register_id, source', timescaledb.orderby = {column})",
                found,
                table,
                column=sql.Literal(column),
            )
        )
    row = await (await conn.execute(_COMPRESS_AFTER, (table,))).fetchone()
    if row and row[0] == after:
        return []
    if row:
        await conn.execute(_with("CALL {ts}.remove_columnstore_policy({name}, if_exists => true)", found, table))
    # Not at once: what was just moved or restored is compressed when its users have had their first look.
    await conn.execute(
        _with(
            "CALL {ts}.add_columnstore_policy({name}, after => {after}::interval, initial_start => now() + '1 hour')",
            found,
            table,
            after=sql.Literal(after),
        )
    )
    return [f"{table} is compressed after {after.days} days"]


async def chunks(conn: psycopg.AsyncConnection[Any], table: str) -> list[Chunk] | None:
    """The chunks of a history table, oldest first; None where it is a plain table."""
    if await extension(conn) is None:
        return None
    if table not in dict(await (await conn.execute(_HYPERTABLES)).fetchall()):
        return None
    return [Chunk(*row) for row in await (await conn.execute(_CHUNKS, (table,))).fetchall()]


async def drop_chunk(conn: psycopg.AsyncConnection[Any], table: str, chunk: Chunk) -> None:
    """Drop one chunk with everything in it, in the open transaction."""
    found = await extension(conn)
    assert found is not None
    await conn.execute(
        _with("SELECT {ts}.drop_chunks(%s::regclass, older_than => %s, newer_than => %s)", found),
        (table, chunk.end, chunk.begin),
    )


def _with(text: str, found: Extension, table: str = "", **more: sql.Composable) -> sql.Composed:
    return sql.SQL(text).format(
        ts=sql.Identifier(found.schema), table=sql.Identifier(table or "-"), name=sql.Literal(table), **more
    )


async def _count(conn: psycopg.AsyncConnection[Any], statement: str, *asked: object) -> int:
    row = await (await conn.execute(statement.encode(), asked or None)).fetchone()
    assert row
    return int(row[0])
