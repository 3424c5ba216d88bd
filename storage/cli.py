"""The verbs of the database: `amr migrate`, `amr fleet …`, `amr token …`, `amr meter exchange|ratio`."""

from __future__ import annotations

import os
import stat
import sys
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from ingest.errors import Misconfigured
from storage import fleet as stored_fleet
from storage import migrate as migrations
from storage.cli_meter import change_ratio, exchange_meter
from storage.cli_token import token
from storage.cli_words import Author, HasStore, connection, console, moment, run, say
from storage.database import open_database
from storage.fleet_words import show_number

_TOGETHER = 200
"""Lines printed at once: one by one a region's take twice as long, all at once they take gigabytes."""

__all__ = ["change_ratio", "exchange_meter", "fleet", "migrate", "token"]

fleet = typer.Typer(no_args_is_help=True, help="Points, meters, installations, lines and contracts, as a TOML file.")


def migrate(context: typer.Context) -> None:
    """Bring the database up to this version; safe at any time and from several processes."""

    async def work() -> None:
        async with open_database(context.obj.database) as database:
            applied = await migrations.migrate(database, context.obj.storage)
        console.print("\n".join(f"applied {name}" for name in applied) or "the database is up to date")

    run(work())


@fleet.command("apply")
def apply_file(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="Fleet file, TOML.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the difference, change nothing.")] = False,
    author: Author = None,
) -> None:
    """Make the stored fleet what FILE says. What the file does not name is left alone; nothing is deleted."""
    settings: HasStore = context.obj
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as e:
        raise Misconfigured(f"{file} cannot be read: {e}; give the path of a fleet file, TOML in UTF-8") from e

    async def work() -> None:
        async with connection(settings) as conn:
            difference = await stored_fleet.apply(
                conn,
                text,
                settings.models(),
                dry_run=dry_run,
                check_line=settings.check_line,
                check_meter=settings.check_meter,
                author=author,
            )
        lines = difference.lines()
        while some := list(islice(lines, _TOGETHER)):
            say("\n".join(some))
        if dry_run:
            say("dry run: nothing was changed")

    run(work())


@fleet.command("export")
def export_file(
    context: typer.Context,
    registers: Annotated[bool, typer.Option("--registers", help="Write the catalogue's registers out too.")] = False,
    secrets: Annotated[
        bool, typer.Option("--secrets", help="Write passwords out too: the file then is one to be locked away.")
    ] = False,
) -> None:
    """Write the stored fleet as TOML that applies back without a difference; passwords as stars, which keep them."""
    if secrets:
        _lock_away()

    async def work() -> None:
        async with connection(context.obj) as conn:
            models = {} if registers else context.obj.models()
            typer.echo(await stored_fleet.export(conn, models, secrets=secrets), nl=False)

    run(work())


def _lock_away() -> None:
    """A file that the output goes to becomes its owner's alone before the first byte."""
    try:
        into = sys.stdout.fileno()
    except OSError:  # no file at all
        return
    if stat.S_ISREG(os.fstat(into).st_mode):
        try:
            os.fchmod(into, 0o600)
        except OSError as e:
            raise Misconfigured(
                f"the output cannot be kept from others: {e.strerror}; write into a file of yours"
            ) from e


@fleet.command("show")
def show_fleet(context: typer.Context) -> None:
    """Every point with the meter that stands there now."""

    async def work() -> None:
        async with connection(context.obj) as conn:
            rows = await stored_fleet.show(conn)
        names = "point", "name", "zone", "meter", "model", "reached by", "K", "since", "last answer", "clock"
        table = Table(*names, "verified", box=None)
        for row in rows:
            table.add_row(
                row.point or "-",
                row.name,
                row.zone,
                row.meter or "no meter",
                row.model,
                _road(row),
                "" if row.ratio is None else show_number(row.ratio),
                moment(row.since),
                row.failure or moment(row.answered_at),
                "" if row.drift is None else f"{row.drift.total_seconds():+.0f} s",
                "" if row.verified_until is None else row.verified_until.isoformat(),
            )
        console.print(table)

    run(work())


def _road(row: stored_fleet.Shown) -> str:
    if row.meter is None:
        return ""
    if row.line is not None:
        return f"{row.line}/{row.address}"
    return "people" if row.gateway is None else f"gateway {row.gateway}"
