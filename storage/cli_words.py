"""What the verbs of the database share: a connection, and what is typed at a prompt read strictly."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine
from datetime import UTC, date, datetime, time
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, Protocol
from zoneinfo import ZoneInfo

import psycopg
import typer
from rich.console import Console

from ingest.channel import check_channel
from ingest.errors import Misconfigured
from ingest.model import Line, Meter
from storage import migrate as migrations
from storage.database import Database, DatabaseSettings, open_database
from storage.fleet_model import Models
from storage.policy import StoragePolicy

console = Console(markup=False, emoji=False)  # what meters and people wrote is no markup of ours

Author = Annotated[str | None, typer.Option(help="Who says so, for the record.")]


class HasStorage(Protocol):
    """Where the database is and how it is laid out, of the settings in the context."""

    @property
    def database(self) -> DatabaseSettings: ...

    @property
    def storage(self) -> StoragePolicy: ...


class HasStore(HasStorage, Protocol):
    """And what the verbs of the fleet need of them."""

    def models(self) -> Models: ...

    def check_line(self, line: Line) -> object: ...

    def check_meter(self, line: Line, meter: Meter) -> object: ...


@contextlib.asynccontextmanager
async def opened(settings: HasStorage) -> AsyncIterator[Database]:
    """The database; an embedded one is brought up to date first, a configured one is its owner's business."""
    async with open_database(settings.database) as database:
        await _prepare(database, settings)
        yield database


@contextlib.asynccontextmanager
async def connection(settings: HasStore) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
    """One transaction in that database."""
    async with opened(settings) as database, database.connection() as conn:
        yield conn


async def _prepare(database: Database, settings: HasStorage) -> None:
    if settings.database.url is None:
        await migrations.migrate(database, settings.storage)


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


def say(text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def moment(instant: datetime | None) -> str:
    return "" if instant is None else instant.astimezone(UTC).strftime("%Y-%m-%d %H:%MZ")


def values(option: str, given: list[str]) -> dict[str, Decimal]:
    """Option values like 1.8.0=12345.6 by channel."""
    found: dict[str, Decimal] = {}
    for one in given:
        channel, equals, text = one.partition("=")
        try:
            number = Decimal(text.strip())
            check_channel(channel.strip())
        except (InvalidOperation, ValueError) as e:
            raise Misconfigured(f"--{option} {one!r} is no reading; write CHANNEL=VALUE like 1.8.0=12345.6") from e
        if not equals or not number.is_finite() or channel.strip() in found:
            raise Misconfigured(f"--{option} {one!r}: write each channel once, like 1.8.0=12345.6")
        found[channel.strip()] = number
    return found


def parsed(option: str, text: str, zone: ZoneInfo) -> datetime:
    try:
        if len(text) == len("2026-11-20"):
            return datetime.combine(date.fromisoformat(text), time(), zone).astimezone(UTC)
        instant = datetime.fromisoformat(text)
    except ValueError as e:
        raise Misconfigured(
            f"--{option} {text!r} is no instant; write a date like 2026-11-20, or 2026-11-20T14:30+04:00"
        ) from e
    if instant.utcoffset() is None:
        raise Misconfigured(f"--{option} {text!r} has no time zone; write it with its offset, like {text}+04:00")
    return instant.astimezone(UTC)
