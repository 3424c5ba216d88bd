"""`amr line release` and `amr meter missed`: what is left to decide and to know after something was away."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer
from rich.table import Table

from storage.cli_words import HasStore, connection, console, run, say
from storage.missed import missing
from storage.ownership import release


def release_lines(
    context: typer.Context,
    collector: Annotated[str, typer.Argument(help="Name of a collector that is gone for good, as the log says it.")],
) -> None:
    """Let other collectors take the lines of one that is gone; be sure that it does not poll any more."""
    settings: HasStore = context.obj

    async def work() -> None:
        async with connection(settings) as conn:
            lines = await release(conn, collector)
        say(f"collector {collector} keeps nothing any more: {', '.join(lines) or 'it had no line'}")

    run(work())


def missed_polls(
    context: typer.Context,
    serial: Annotated[str, typer.Argument(help="Serial number of the meter.")],
    hours: Annotated[float, typer.Option(help="How far back to look.")] = 24.0,
) -> None:
    """Show when the schedule brought no reading of a meter, and why: not_asked means that no collector ran."""
    settings: HasStore = context.obj
    until = datetime.now(UTC)

    async def work() -> None:
        async with connection(settings) as conn:
            found = await missing(conn, serial, until - timedelta(hours=hours), until)
        table = Table("since", "until", "polls", "cause", "what was heard", box=None)
        for one in found:
            table.add_row(_shown(one.since), _shown(one.until), str(one.slots), one.cause, one.detail or "")
        console.print(table if found else f"nothing is missing of meter {serial} in the last {hours:g} hours")

    run(work())


def _shown(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")
