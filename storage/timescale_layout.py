"""The layout of the history on TimescaleDB: hypertables, columnstore and compression as the policy states them.

Chunks older than the policy says are compressed by register and source in the order of time. Builds under the Apache
licence have chunks only, which is recognised and said.
"""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

import psycopg
from psycopg import sql

from storage.database import Database
from storage.policy import StoragePolicy
from storage.timescale import HISTORY, HYPERTABLES, Extension, extension, qualified

_log = logging.getLogger(__name__)

SMALL = 512 * 1024**2
"""Bytes up to which starting a service may move a plain table (seconds); a larger one waits to be told."""

_LONGER = {"midnight": 3}
"""One row a day needs fewer chunks than one every half-hour."""

_LOCK = "SELECT pg_advisory_lock(hashtextextended('amr timescale ' || current_schema(), 0))"
_OFFERED = "SELECT name FROM pg_available_extensions WHERE name = 'timescaledb'"
_CHUNK_LENGTH = """
SELECT time_interval FROM timescaledb_information.dimensions
WHERE hypertable_schema = current_schema() AND hypertable_name = %s
"""
_COMPRESS_AFTER = """
SELECT (config->>'compress_after')::interval FROM timescaledb_information.jobs
WHERE proc_name = 'policy_compression' AND hypertable_schema = current_schema() AND hypertable_name = %s
"""


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
        chunk = length * _LONGER.get(table, 1)
        hypertables = dict(await (await conn.execute(HYPERTABLES)).fetchall())
        if table not in hypertables:
            size = await _count(conn, "SELECT pg_table_size(%s::regclass)", table)
            if largest is not None and size > largest:
                said.append(
                    f"{table} stays a plain table: it is large ({size >> 20} MiB); move it to TimescaleDB in a quiet "
                    "hour with `amr storage adopt-timescale`"
                )
                continue
            await _become_hypertable(conn, found, table, column, chunk)
            said.append(f"{table} is a hypertable with chunks of {chunk.days} days")
        else:
            said += await _set_length(conn, found, table, chunk)
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


def _with(text: str, found: Extension, table: str = "", **more: sql.Composable) -> sql.Composed:
    return qualified(text, found, table=sql.Identifier(table or "-"), name=sql.Literal(table), **more)


async def _count(conn: psycopg.AsyncConnection[Any], statement: str, *asked: object) -> int:
    row = await (await conn.execute(statement.encode(), asked or None)).fetchone()
    assert row
    return int(row[0])
