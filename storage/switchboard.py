"""Who may speak on a line that somebody stands at: he himself, or only its owner, who is then asked through here."""

from __future__ import annotations

import asyncio
import contextlib
import getpass
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

from ingest.errors import Misconfigured, Unreachable
from ingest.model import Line
from storage import line_requests
from storage.cli_words import HasStore
from storage.database import Database, open_database
from storage.embedded import is_served
from storage.ownership import claim_line

_LOOK = 0.3
_LINES = "SELECT name, kind, address, options FROM line WHERE name = %(name)s OR address = %(address)s ORDER BY name"


@dataclass(frozen=True, slots=True)
class Reached:
    """A stored line. With `owner` a collector polls it: ask there. Without, nobody else speaks on it for now."""

    line: Line
    owner: Owner | None


class Owner:
    """The collector that polls a line, asked through the database."""

    def __init__(self, database: Database, line: str) -> None:
        self._database = database
        self._line = line

    async def ask(self, kind: str, wanted: Mapping[str, Any]) -> AsyncGenerator[Mapping[str, Any], None]:
        """What the owner tells, as it comes; leaving early ends the errand. Raises what it failed with."""
        async with self._database.connection() as conn:
            request = await line_requests.ask(conn, self._line, kind, wanted, f"cli:{getpass.getuser()}")
        number = 0
        try:
            while True:
                async with self._database.connection() as conn:
                    request, answers = await line_requests.look(conn, request, number)
                for number, body in answers:  # noqa: B007 - the last one is where to go on
                    yield body
                if not request.open and not answers:
                    break
                if not answers:
                    await asyncio.sleep(_LOOK)
        finally:
            if request.open:
                async with self._database.connection() as conn:
                    await line_requests.finish(conn, request, "left", "whoever asked went away")
        if request.failure is not None:
            failed = Unreachable(f"line {request.line}: {request.failure}: {request.detail}")
            failed.code = request.failure
            raise failed


@contextlib.asynccontextmanager
async def reach(settings: HasStore, *, name: str | None, address: str | None) -> AsyncIterator[Reached | None]:
    """The stored line of that name or address; None when none is stored or there is no database: speak yourself.

    Inside the block nobody else begins to speak on a line that was free. Raises StoreUnavailable when the configured
    database is away, because then nobody can tell who speaks.
    """
    database_settings = settings.database
    if database_settings.url is None and not is_served(database_settings.data):
        if name is not None:
            raise Misconfigured(
                f"--line {name!r} needs the database it is stored in; set AMR_DATABASE_URL, or --address"
            )
        yield None
        return
    async with open_database(database_settings) as database:
        line = await _find(database, name, address)
        if line is None:
            yield None
            return
        async with database.own_connection() as conn:
            free = await claim_line(conn, line.name)
            yield Reached(line, None if free else Owner(database, line.name))


async def _find(database: Database, name: str | None, address: str | None) -> Line | None:
    async with database.connection() as conn:
        rows = await (await conn.execute(_LINES, {"name": name, "address": address})).fetchall()
    if name is not None:
        rows = [row for row in rows if row[0] == name]
        if not rows:
            raise Misconfigured(f"--line {name!r} is not stored; `amr fleet show` lists the lines, or give --address")
    return Line(*rows[0]) if rows else None
