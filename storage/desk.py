"""What commissioning at a meter needs of the stored fleet: a line kept quiet meanwhile, and an addition to it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from ingest.errors import FleetConflict
from storage import fleet
from storage.cli_words import HasStore, opened
from storage.database import Database
from storage.fleet_file import read_fleet
from storage.fleet_model import Mentioned
from storage.fleet_names import mentioned, parse
from storage.fleet_stored import load
from storage.ownership import claim_line
from storage.switchboard import Owner, Reached

_NOTHING: frozenset[str] = frozenset()


class Desk:
    """An open database with the questions and the one change that commissioning brings."""

    def __init__(self, database: Database, settings: HasStore) -> None:
        self._database = database
        self._settings = settings

    @contextlib.asynccontextmanager
    async def line(self, name: str) -> AsyncIterator[Reached | None]:
        """The stored line, None when there is none; with its owner when a collector polls it.

        Inside the block nobody else begins to speak on a line that was free.
        """
        async with self._database.connection() as conn:
            line = (await load(conn, Mentioned(frozenset({name}), _NOTHING, _NOTHING))).lines.get(name)
        if line is None:
            yield None
            return
        async with self._database.own_connection() as conn:
            free = await claim_line(conn, name)
            yield Reached(line, None if free else Owner(self._database, name))

    async def has_point(self, code: str) -> bool:
        """Whether a point of this code is stored."""
        async with self._database.connection() as conn:
            return code in (await load(conn, Mentioned(_NOTHING, frozenset({code}), _NOTHING))).points

    async def check(self, text: str) -> None:
        """Read a fleet file and change nothing. Raises FleetMistakes with all that is wrong in itself."""
        settings = self._settings
        async with self._database.connection() as conn:
            stored = await load(conn, mentioned(parse(text)))
        read_fleet(text, settings.models(), stored, settings.check_line, settings.check_meter)

    async def add(self, text: str, author: str | None) -> str:
        """Apply a fleet file in one transaction; what became different, in words. Errors as of `fleet.apply`.

        Adding takes nothing away: a FleetConflict when another meter's installation would have to change.
        """
        settings = self._settings
        async with self._database.connection() as conn:
            difference = await fleet.apply(
                conn,
                text,
                settings.models(),
                check_line=settings.check_line,
                check_meter=settings.check_meter,
                author=author,
            )
            taken = [item for item in difference.items if item.kind == "installation" and not item.added]
            if taken:
                raise FleetConflict(
                    f"{taken[0].name}: another meter was put up there at the same moment; "
                    "give another --point, or use `amr meter exchange`"
                )
        return difference.text()


@contextlib.asynccontextmanager
async def open_desk(settings: HasStore) -> AsyncIterator[Desk]:
    """A desk before the settings' database; an embedded one is brought up to date first."""
    async with opened(settings) as database:
        yield Desk(database, settings)
