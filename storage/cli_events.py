"""`amr events`: what happened to the fleet."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from storage.cli_words import connection, console, moment, run, say
from storage.events import find


def events(
    context: typer.Context,
    kind: Annotated[str | None, typer.Option(help="Only these, like swapped_meter or exchange.")] = None,
    meter: Annotated[str | None, typer.Option(help="Serial number: only of this meter.")] = None,
    limit: Annotated[int, typer.Option(help="At most so many.", min=1, max=10_000)] = 50,
) -> None:
    """Show exchanges, swapped meters, applied fleets and the like, the newest first."""

    async def work() -> None:
        async with connection(context.obj) as conn:
            found = await find(conn, kind=kind, meter=meter, limit=limit)
        table = Table("at", "what", "point", "meter", "details", box=None)
        for one in found:
            detail = json.dumps(dict(one.detail), ensure_ascii=False)
            table.add_row(
                *(Text(cell) for cell in (moment(one.at), one.kind, one.point or "", one.meter or "", detail))
            )
        console.print(table)
        if not found:
            say("nothing is on record there")

    run(work())
