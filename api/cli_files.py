"""Files written by verbs: whole or not at all, with the API's problems said in one line."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from api.export_selection import Pages
from api.problems import Problem
from ingest.errors import Misconfigured, NotFound
from storage.cli_words import HasStore, opened, run, say
from storage.database import Database
from storage.plans import keep_plans

STANDARD_OUTPUT = Path("-")


def write_file(settings: HasStore, pieces: Callable[[Pages], AsyncIterator[bytes]], to: Path) -> None:
    """Write what the database gives; the file appears when it is complete. Raises Misconfigured where it cannot be."""

    async def work() -> None:
        async with opened(settings) as database:
            with said():
                size = await _save(pieces(pages_of(database)), to)
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
