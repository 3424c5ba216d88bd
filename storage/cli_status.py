"""`amr status`: which meters are silent, which part of the road is at fault, since when, and what to try first."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ingest.remedies import remedy
from storage.cli_words import console, moment, opened, run
from storage.database import Database
from storage.health import Health, look, seconds
from storage.health_words import health_json

_MOST = 12


def status(
    context: typer.Context,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Keep showing it, until Ctrl-C.")] = False,
    every: Annotated[float, typer.Option(help="Seconds between two looks.", min=0.5)] = 5.0,
    as_json: Annotated[bool, typer.Option("--json", help="For other programs.")] = False,
) -> None:
    """Show what is silent and why, and how the processes are. Ends with 1 when anything is at fault."""

    async def work() -> None:
        async with opened(context.obj) as database:
            health = await _look(database)
            if as_json:
                console.print_json(json.dumps(health_json(health)))
            elif not watch:
                console.print(page(health))
            else:
                with Live(page(health), console=console, auto_refresh=False) as live:
                    while True:
                        await asyncio.sleep(every)
                        live.update(page(await _look(database)), refresh=True)
        if health.faults:
            raise typer.Exit(1)

    run(work())


def page(health: Health) -> RenderableType:
    """The whole picture, the worst first."""
    return Group(*_summary(health), *_faults(health), *_notes(health), _processes(health))


def _summary(health: Health) -> list[RenderableType]:
    day = health.yesterday
    silent = f"{health.silent} silent" if health.silent else "none silent"
    lines = [Text(f"{health.meters} meters heard by themselves, {silent}", "bold red" if health.silent else "bold")]
    if day.expected:
        share = 100 * day.received / day.expected
        came = f"{day.day}: {share:.2f} % of what was due came"
        lines.append(Text(f"{came}; {day.lacking} of {day.points} points lack some"))
    return list(lines)


def _faults(health: Health) -> list[RenderableType]:
    if not health.faults:
        return []
    table = Table("at fault", "where", "why", "last heard", "meters", "what to try", box=None)
    for fault in health.faults:
        shown = ", ".join(fault.meters[:_MOST])
        more = f" and {len(fault.meters) - _MOST} more" if len(fault.meters) > _MOST else ""
        cells = (fault.level.value, fault.place, fault.cause, moment(fault.since) or "never", shown + more)
        table.add_row(*(Text(cell) for cell in (*cells, remedy(fault.cause).en)))
    return [table]


def _notes(health: Health) -> list[RenderableType]:
    notes = [f"quarantine: {health.quarantine.rows} rows, {health.quarantine.share:.0%} full: amr quarantine list"]
    notes = notes if health.quarantine.rows else []
    notes += [f"verification of meter {due.meter} at {due.point} ends {due.last}" for due in health.due]
    notes += [f"clock of meter {one.meter} at {one.point}: {seconds(one.ahead)}" for one in health.drifts]
    return [Text(note) for note in notes]


def _processes(health: Health) -> RenderableType:
    if not health.processes:
        return Text("no process has reported yet: amr collect and amr serve do, every 10 seconds")
    table = Table("process", "name", "since", "seen", "says", box=None)
    for one in health.processes:
        seen = f"{(health.at - one.seen_at).total_seconds():.0f} s ago"
        says = ", ".join(f"{part} {_said(value)}" for part, value in one.state.items() if value not in ("", []))
        style = "" if one.alive else "red"
        table.add_row(*(Text(cell) for cell in (one.role, one.name, moment(one.started_at), seen, says)), style=style)
    return table


def _said(value: object) -> str:
    if isinstance(value, dict):
        return "(" + ", ".join(f"{name} {_said(inner)}" for name, inner in value.items()) + ")"
    return f"{value:g}" if isinstance(value, float) else str(value)


async def _look(database: Database) -> Health:
    async with database.connection() as conn:
        return await look(conn, datetime.now(UTC))
