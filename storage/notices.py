"""Following notices of the database: numbers told by NOTIFY in this schema, through the database's absence."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator

from ingest.errors import StoreUnavailable
from storage.database import Database

_log = logging.getLogger(__name__)

_PAUSE = 1.0


async def notices(database: Database, channel: str, *, every: float) -> AsyncGenerator[int | None, None]:
    """Numbers told on a channel as `<schema> <number>`; None: something may have been missed, look at everything.

    None comes at the start, after an absence of the database, and every so many seconds.
    """
    away = False
    while True:
        try:
            async with database.own_connection() as conn:
                await conn.execute(f"LISTEN {channel}".encode())  # before the first look: nothing in between is missed
                [[schema]] = await (await conn.execute("SELECT current_schema()")).fetchall()
                if away:
                    _log.warning("following %s again", channel)
                away = False
                yield None
                while True:
                    async for notice in conn.notifies(timeout=every):
                        told, _, number = notice.payload.rpartition(" ")
                        if told == schema and number.isdecimal():
                            yield int(number)
                    await conn.execute("SELECT 1")  # a dead connection is silent, not broken
                    yield None
        except StoreUnavailable as error:
            if not away:
                _log.warning("%s cannot be followed: %s", channel, error)
            away = True
            await asyncio.sleep(_PAUSE)
