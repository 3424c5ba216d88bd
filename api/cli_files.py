"""Files written by verbs: whole or not at all, on record, with the API's problems said in one line."""

from __future__ import annotations

import getpass
import os
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

from api.doorkeeper import Role
from api.export_selection import Pages
from api.problems import Problem
from ingest.errors import Misconfigured, NotFound
from storage import audit
from storage.cli_words import HasStore, opened, run, say
from storage.database import Database
from storage.plans import keep_plans

STANDARD_OUTPUT = Path("-")


class Use(NamedTuple):
    """What is put on record of a file: the operation of the contract, what was asked, and the point if it is one."""

    operation: str
    asked: Mapping[str, object]
    point: str | None = None


def write_file(settings: HasStore, use: Use, pieces: Callable[[Pages], AsyncIterator[bytes]], to: Path) -> None:
    """Write what the database gives; the file appears when it is complete. Raises Misconfigured where it cannot be.

    The use is put on record before anything is shown, and so is a refused one, as the API does it.
    """

    async def work() -> None:
        async with opened(settings) as database:
            with said():
                size = await _save(_recorded(database, use, pieces(pages_of(database))), to)
        if to != STANDARD_OUTPUT:
            say(f"wrote {to} ({size} bytes)")

    run(work())


def pages_of(database: Database) -> Pages:
    """Connections for one page each, as the API takes them."""

    @asynccontextmanager
    async def page() -> AsyncIterator[Any]:
        async with database.connection() as conn:
            await keep_plans(conn)
            yield conn

    return page


@contextmanager
def said() -> Iterator[None]:
    """Let the API's problems end a verb as our errors do."""
    try:
        yield
    except Problem as problem:
        detail = str(problem.render("en")["detail"])
        raise (NotFound if problem.status_code == 404 else Misconfigured)(detail) from problem


async def _recorded(database: Database, use: Use, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The pieces, once it is on record that somebody has them."""
    try:
        first = await anext(pieces, b"")
    except Problem as problem:
        await _record(database, use, problem.status_code)
        raise
    await _record(database, use, 200)
    yield first
    async for piece in pieces:
        yield piece


async def _record(database: Database, use: Use, status: int) -> None:
    asked = {name: value for name, value in use.asked.items() if value not in (None, [])}
    async with database.connection() as conn:
        await audit.write(
            conn,
            actor=f"cli:{_who()}",
            role=Role.ADMIN.value,
            operation=use.operation,
            point=use.point,
            status=status,
            detail=urlencode(asked, doseq=True),
        )


def _who() -> str:
    """The account of whoever typed; its number where it has no name, as in many containers."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


async def _save(pieces: AsyncIterator[bytes], to: Path) -> int:
    if to == STANDARD_OUTPUT:
        return sum([sys.stdout.buffer.write(piece) async for piece in pieces])
    part = to.with_name(f"{to.name}.part")
    try:
        with part.open("wb") as file:
            size = sum([file.write(piece) async for piece in pieces])
        os.replace(part, to)
    except OSError as error:
        raise Misconfigured(f"{to} cannot be written: {error.strerror}; choose another file by --output") from error
    finally:
        part.unlink(missing_ok=True)
    return size
