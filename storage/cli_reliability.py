"""`amr line release` and `amr meter missed`: what is left to decide and to know after something was away."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer
from rich.table import Table

from ingest.remedies import remedy
from storage.cli_words import HasStore, connection, console, run, say
from storage.missed import NOT_ASKED, missing
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
        freed = f"free for other collectors: {', '.join(lines)}; one that runs begins within half a minute (amr status)"
        say(freed if lines else f"collector {collector} keeps no line")

    run(work())


def missed_polls(
    context: typer.Context,
    serial: Annotated[str, typer.Argument(help="Serial number of the meter.")],
    hours: Annotated[float, typer.Option(help="How far back to look.", min=0.0, max=50_000.0)] = 24.0,
) -> None:
    """Show when the schedule brought no reading of a meter, and why (UTC, as in the log)."""
    settings: HasStore = context.obj
    until = datetime.now(UTC)

    async def work() -> None:
        async with connection(settings) as conn:
            found = await missing(conn, serial, until - timedelta(hours=hours), until)
        table = Table("since", "until", "polls", "cause", "what was heard", box=None)
        for one in found:
            table.add_row(_shown(one.since), _shown(one.until), str(one.slots), one.cause, one.detail or "")
        console.print(table if found else f"nothing is missing of meter {serial} in the last {hours:g} hours")
        for cause in sorted({one.cause for one in found}):
            say(f"{cause}: {_WHY.get(cause) or remedy(cause).en}")

    run(work())


_WHY = {
    NOT_ASKED: "nobody polled it then: no collector ran or owned its line, or it was killed with the answer in hand",
    "spool_full": "it was read while the database was away, and the spool had no room: raise AMR_SPOOL_MB",
    "spool_age": "it was read while the database was away for longer than AMR_SPOOL_DAYS",
    "spool_failed": "it was read while the database was away, and the disk of the spool failed: look at that disk",
    "timeout": "it was asked and did not answer: check its power, wiring and address; if neighbours were silent too, "
    "the line",
}


def _shown(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")
