"""The verbs of what is stored: `amr storage status | retain | adopt-timescale | backup | restore`."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Protocol

import typer
from rich.table import Table

from storage import backup as files
from storage.cli_words import HasStorage, console
from storage.database import Database, open_database
from storage.migrate import migrate
from storage.policy import StoragePolicy
from storage.retention import retain as thin
from storage.status import StorageStatus, TableStatus, storage_status
from storage.timescale_layout import adapt

storage = typer.Typer(
    no_args_is_help=True, help="How much is stored and how; retention; backup; the move to TimescaleDB."
)


@storage.command()
def status(
    context: typer.Context,
    exact: Annotated[bool, typer.Option(help="Count the rows instead of estimating them: reads everything.")] = False,
) -> None:
    """Show sizes, rows, chunks, the compressed share and bytes per reading."""

    async def work(database: Database, policy: StoragePolicy) -> None:
        async with database.connection() as conn:
            found = await storage_status(conn, exact=exact)
        for line in described(found, policy):
            console.print(line, highlight=False)
        console.print(_table(found.tables))

    _run(context.obj, work)


@storage.command()
def retain(context: typer.Context) -> None:
    """Thin and forget what is older than the policy keeps, now; running services do so every night."""

    async def work(database: Database, policy: StoragePolicy) -> None:
        done = await thin(database, policy)
        console.print("another process is at it" if done is None else str(done), highlight=False, soft_wrap=True)

    _run(context.obj, work)


@storage.command("adopt-timescale")
def adopt(context: typer.Context) -> None:
    """Move the history to TimescaleDB's tables, whatever its size; writers wait until it is done, nothing is lost."""

    async def work(database: Database, policy: StoragePolicy) -> None:
        await migrate(database, StoragePolicy(timescale=False))
        said = await adapt(database, policy)
        async with database.connection() as conn:
            found = await storage_status(conn)
        if not said and found.timescale is None:
            said = ["the server has no TimescaleDB; install it there first (docs/backup.md)"]
        console.print("\n".join(said) or "the history is in TimescaleDB's tables already", highlight=False)

    _run(context.obj, work)


@storage.command()
def backup(
    context: typer.Context, file: Annotated[Path, typer.Argument(help="A new file, read by its owner only.")]
) -> None:
    """Write the whole database into one file (pg_dump's custom format) while the service goes on."""

    async def work(database: Database, policy: StoragePolicy) -> None:
        console.print("\n".join(await files.backup(database, file)), highlight=False, soft_wrap=True)

    _run(context.obj, work)


@storage.command()
def restore(
    context: typer.Context,
    file: Annotated[
        Path, typer.Argument(help="What `amr storage backup` or pg_dump --format=custom wrote.", exists=True)
    ],
) -> None:
    """Fill a new, empty database (AMR_DATABASE_URL, or the folder AMR_DATA) from a backup."""

    async def work(database: Database, policy: StoragePolicy) -> None:
        console.print("\n".join(await files.restore(database, file, policy)), highlight=False, soft_wrap=True)

    _run(context.obj, work)


def described(found: StorageStatus, policy: StoragePolicy) -> list[str]:
    """The database in a few sentences: server, extension and its licence, retention."""
    lines = [f"PostgreSQL {found.server}, {_bytes(found.size)} in all"]
    if found.timescale is None:
        lines.append("no TimescaleDB: plain tables, nothing is compressed")
    else:
        store = "compresses" if found.timescale.columnstore else "build under the Apache licence: it cannot compress"
        lines.append(f"TimescaleDB {found.timescale.version}, licence {found.timescale.license}: {store}")
    thinned = "" if policy.keep is None else ", then the first of every day for ever"
    lines.append(f"every reading is kept {_span(policy.keep)}{thinned}")
    lines.append(f"finished requests and completeness are kept {_span(policy.notes)}, acts {_span(policy.audit_kept)}")
    if found.thinned_at is not None:
        lines.append(
            f"retention ran last at {found.thinned_at:%Y-%m-%d %H:%M} UTC; {found.removed} rows removed so far"
        )
    return lines


def _span(kept: timedelta | None) -> str:
    return "for ever" if kept is None else f"for {kept.days} days"


def _table(tables: tuple[TableStatus, ...]) -> Table:
    shown = Table("table", "rows", "size", "bytes/row", "chunks", "compressed", "bytes/compressed row")
    for one in tables:
        chunks = "plain" if one.chunks is None else f"{one.chunks}, {one.compressed_chunks} compressed"
        share = "" if one.compressed_share is None else f"{one.compressed_share:.1%} of rows"
        per_row = [
            "" if n is None else f"{n:.1f}" for n in (one.bytes_per_row, one.bytes_per_compressed_row)
        ]  # fmt: skip
        shown.add_row(one.name, f"{one.rows}", _bytes(one.size), per_row[0], chunks, share, per_row[1])
    return shown


def _bytes(size: int) -> str:
    return f"{size / 1024**3:.1f} GiB" if size >= 1024**3 else f"{size / 1024**2:.1f} MiB"


class _Work(Protocol):
    def __call__(self, database: Database, policy: StoragePolicy) -> Coroutine[Any, Any, None]: ...


def _run(settings: HasStorage, work: _Work) -> None:
    async def main() -> None:
        async with open_database(settings.database) as database:
            await work(database, settings.storage)

    asyncio.run(main())
