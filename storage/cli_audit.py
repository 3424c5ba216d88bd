"""`amr audit`: who asked what."""

from __future__ import annotations

import csv
import sys
from datetime import UTC, datetime, timedelta
from typing import Annotated
from zoneinfo import ZoneInfo

import typer
from rich.table import Table

from ingest.errors import Misconfigured
from storage.audit import Act, find
from storage.cli_words import connection, console, parsed, run, say

_UTC = ZoneInfo("UTC")
_MOST = 100_000


def audit(
    context: typer.Context,
    since: Annotated[str | None, typer.Option(help="First instant; a date is UTC. Default: a week ago.")] = None,
    until: Annotated[str | None, typer.Option(help="Instant after the last. Default: now.")] = None,
    who: Annotated[str | None, typer.Option(help="Name of a token, or a consumer of the identity provider.")] = None,
    point: Annotated[str | None, typer.Option(help="Code of a metering point.")] = None,
    limit: Annotated[int, typer.Option(help="At most so many, the newest.")] = 100,
    as_csv: Annotated[bool, typer.Option("--csv", help="Comma-separated, for other programs.")] = False,
) -> None:
    """Show the requests of staff and everybody's writes, newest first."""
    last = datetime.now(UTC) if until is None else parsed("until", until, _UTC)
    first = last - timedelta(days=7) if since is None else parsed("since", since, _UTC)
    if first >= last:
        raise Misconfigured(f"--since {first.isoformat()} is not before --until {last.isoformat()}")
    if not 1 <= limit <= _MOST:
        raise Misconfigured(f"--limit {limit} is out of range; write 1 to {_MOST}")

    async def work() -> None:
        async with connection(context.obj) as conn:
            found = await find(conn, since=first, until=last, actor=who, point=point, limit=limit)
        _print_csv(found) if as_csv else _print_table(found)

    run(work())


def _row(act: Act) -> list[str]:
    at = act.at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    return [at, act.actor, act.role, act.operation, act.point or "", str(act.status), act.detail, act.client or ""]


_HEADINGS = ("at", "who", "role", "operation", "point", "status", "detail", "from")


def _print_table(found: list[Act]) -> None:
    table = Table(*_HEADINGS, box=None)
    for act in found:
        table.add_row(*_row(act))
    console.print(table)
    if not found:
        say("nothing is on record there")


def _print_csv(found: list[Act]) -> None:
    """What clients sent stays text in a spreadsheet: a cell that begins like a formula gets an apostrophe."""
    writer = csv.writer(sys.stdout)
    writer.writerow(_HEADINGS)
    for act in found:
        writer.writerow([f"'{cell}" if cell[:1] in ("=", "+", "-", "@", "\t", "\r") else cell for cell in _row(act)])
