"""`amr meter gaps`: what stays missing after meters' memories were asked, and why."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Annotated
from zoneinfo import ZoneInfo

import typer
from rich.table import Table

from ingest.errors import Misconfigured
from storage.cli_words import connection, console, run, say
from storage.gaps import Missing, missing

_WHAT = {
    "month": "00:00 of the 1st",
    "day": "00:00",
    "profile": "load profile",
    "polls": "readings",
}
_WHY = {
    "no_memory": "the model keeps nothing that could fill it",
    "too_old": "the meter's memory no longer reaches so far",
    "not_kept": "the meter was asked and does not have it",
    "not_stored": "the meter gave it, the store refused it: see amr quarantine list",
}


@dataclass(frozen=True, slots=True)
class Row:
    """One line for people: `count` midnights that follow one another, or stretches that touch."""

    first: Missing
    begin: datetime
    end: datetime
    count: int


def list_gaps(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(metavar="POINT", help="A point's code, or a meter's number.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Of all points.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Every gap, comma-separated, for other programs.")] = False,
) -> None:
    """List what stays missing of meters' readings after their memories were asked, and why."""
    if (name is None) != everything:
        raise Misconfigured("say which point: amr meter gaps POINT, or amr meter gaps --all")

    async def work() -> None:
        async with connection(context.obj) as conn:
            found = await missing(conn, name)
        _print_csv(found) if as_csv else _print_table(found)

    run(work())


def rows(found: Sequence[Missing]) -> Iterator[Row]:
    """Gaps as people read them: midnights in a row, and stretches between two readings each, are one line."""
    row: Row | None = None
    for one in found:
        begin, end = _local(one)
        if row is not None and _follows(row, one, begin):
            row = replace(row, end=end, count=row.count + 1)
            continue
        if row is not None:
            yield row
        row = Row(one, begin, end, 1)
    if row is not None:
        yield row


def _follows(row: Row, one: Missing, begin: datetime) -> bool:
    """Whether it is the midnight after the row's last (of the 1st: the next month's), or begins where that ends."""
    before, gap = row.first, one.gap
    if (before.point, before.meter, before.gap.what, before.gap.why) != (one.point, one.meter, gap.what, gap.why):
        return False
    if gap.begin != gap.end:
        return row.end == begin
    if gap.what == "month":
        return (row.end + timedelta(days=31)).replace(day=1).date() == begin.date()
    return begin.date() == (row.end + timedelta(days=1)).date()


def _local(one: Missing) -> tuple[datetime, datetime]:
    zone = ZoneInfo(one.zone)
    return one.gap.begin.astimezone(zone), one.gap.end.astimezone(zone)


def _print_table(found: Sequence[Missing]) -> None:
    if not found:
        say("nothing is missing that a meter's memory was expected to fill")
        return
    table = Table("point", "meter", "missing", "from", "to", "count", "why", box=None)
    for row in rows(found):
        one = row.first
        table.add_row(
            *(one.point or "-", one.meter, _WHAT.get(one.gap.what, one.gap.what)),
            *(f"{row.begin:%Y-%m-%d %H:%M}", f"{row.end:%Y-%m-%d %H:%M}", str(row.count), one.gap.why),
        )
    console.print(table)
    say(f"from and to are local: {', '.join(sorted({one.zone for one in found}))}")
    for why in sorted({one.gap.why for one in found}):
        say(f"{why}: {_WHY.get(why, 'unknown to this version')}")


def _print_csv(found: Sequence[Missing]) -> None:
    writer = csv.writer(sys.stdout)
    writer.writerow(("point", "meter", "model", "what", "from", "to", "why", "found_at"))
    for one in found:
        begin, end = _local(one)
        head = (one.point or "", one.meter, one.model, one.gap.what, begin.isoformat(), end.isoformat())
        writer.writerow((*head, one.gap.why, one.found_at.isoformat()))
