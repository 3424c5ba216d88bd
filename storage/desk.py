"""What commissioning at a meter needs of the stored fleet: a line kept quiet meanwhile, and an addition to it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from ingest.errors import Busy, FleetConflict
from ingest.model import Line
from storage import fleet
from storage import migrate as migrations
from storage.cli_words import HasStore
from storage.database import Database, open_database
from storage.fleet_model import Mentioned
from storage.fleet_stored import load
from storage.ownership import claim_line

_NOTHING: frozenset[str] = frozenset()
_OWN_CONNECTION = "modbus-tcp"
"""The kind of line on which everybody has a connection of their own and disturbs nobody."""


class Desk:
    """An open database with the questions and the one change that commissioning brings."""

    def __init__(self, database: Database, settings: HasStore) -> None:
        self._database = database
        self._settings = settings

    @contextlib.asynccontextmanager
    async def line(self, name: str) -> AsyncIterator[Line | None]:
        """The stored line, None when there is none. Inside the block no collector speaks on its wire.

        Raises Busy when one does: a wire bears one who asks.
        """
        async with self._database.connection() as conn:
            line = (await load(conn, Mentioned(frozenset({name}), _NOTHING, _NOTHING))).lines.get(name)
        async with self._database.own_connection() as conn:
            if line is not None and line.kind != _OWN_CONNECTION and not await claim_line(conn, name):
                raise Busy(
                    f"a collector speaks on line {name!r}, and a wire bears only one who asks; stop `amr collect` "
                    "meanwhile, or add the meter with `amr fleet apply` and look at its first reading"
                )
            yield line

    async def has_point(self, code: str) -> bool:
        """Whether a point of this code is stored."""
        async with self._database.connection() as conn:
            return code in (await load(conn, Mentioned(_NOTHING, frozenset({code}), _NOTHING))).points

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
    async with open_database(settings.database) as database:
        if settings.database.url is None:
            await migrations.migrate(database)
        yield Desk(database, settings)
