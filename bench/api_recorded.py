"""The SQL that our pages run, written down once for each point, for a bare route to run again."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import httpx
import psycopg

from api.app import create_app
from api.context import ApiSettings
from ingest.intake import Intake
from storage.arrays import Numbers
from storage.database import Database
from storage.readings import PostgresStore


class Column(NamedTuple):
    """Numbers that are packed for each question."""

    kind: type[Numbers]
    numbers: list[int]


class Statement(NamedTuple):
    """One question to the database as it was asked."""

    query: Any
    parameters: Any
    binary: bool | None


def packed(parameters: Any) -> Any:
    """As they are sent."""
    if not isinstance(parameters, Mapping):
        return parameters
    return {name: one.kind(one.numbers) if isinstance(one, Column) else one for name, one in parameters.items()}


class Page(NamedTuple):
    """What one page took, and its bytes."""

    statements: list[Statement]
    body: bytes


Recorded = dict[str, Page]
"""Pages by address."""


async def recorded(
    database: Database, token: str, now: datetime, paths: Sequence[str], points: Sequence[str]
) -> Recorded:
    """Every page asked for once, with what it asked the database after the caller was known."""
    app = create_app(database, Intake(PostgresStore(database)), settings=ApiSettings(rate=0), now=lambda: now)
    transport = httpx.ASGITransport(app)
    found: Recorded = {}
    async with httpx.AsyncClient(transport=transport, base_url="http://b") as client:
        headers = {"Authorization": f"Bearer {token}"}
        await client.get("/api/v1/points", headers=headers)
        for path in (path.format(code=code) for path in paths for code in points):
            statements: list[Statement] = []
            with _written_down(statements):
                answer = await client.get(path, headers=headers)
            assert answer.status_code == 200, answer.text
            found[path] = Page(statements, answer.content)
    return found


def _unpacked(parameters: Any) -> Any:
    """With columns as what they were made of: whoever asks has to pack them."""
    if not isinstance(parameters, Mapping):
        return parameters
    return {
        name: Column(type(one), one.unpacked()) if isinstance(one, Numbers) else one for name, one in parameters.items()
    }


@contextlib.contextmanager
def _written_down(statements: list[Statement]) -> Iterator[None]:
    execute: Callable[..., Any] = psycopg.AsyncCursor.execute

    async def noted(self: Any, query: Any, params: Any = None, *, binary: bool | None = None, **more: Any) -> Any:
        statements.append(Statement(query, _unpacked(params), binary))
        return await execute(self, query, params, binary=binary, **more)

    psycopg.AsyncCursor.execute = noted  # type: ignore[method-assign]
    try:
        yield
    finally:
        psycopg.AsyncCursor.execute = execute  # type: ignore[method-assign]
