"""Compression at once, as the policy will do it when chunks are old enough."""

from __future__ import annotations

from storage.database import Database
from storage.timescale import chunks


async def compress(database: Database, table: str = "stored_reading") -> int:
    """Put every chunk of a table into the columnstore; gives their number, 0 for a plain table."""
    async with database.own_connection() as conn:
        found = await chunks(conn, table) or []
        for chunk in found:
            await conn.execute(f"CALL public.convert_to_columnstore('{chunk.name}')".encode())
    return len(found)
