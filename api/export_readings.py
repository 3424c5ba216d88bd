"""Rows of exported readings: every reading of every source and quality, point by point, oldest first."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import date, datetime

from api.access import visible
from api.doorkeeper import Caller
from api.export_cells import Cell, Column
from api.export_selection import Pages, chosen
from api.instants import Range, make_range
from api.texts import Text
from ingest.channel import unit_of
from storage import history
from storage.history import StoredReading
from storage.points import Seen

When = date | datetime
_BATCH = 5_000

COLUMNS = (
    Column(Text("point", "точка учёта"), 18),
    Column(Text("name", "название"), 24),
    Column(Text("meter", "прибор учёта"), 16),
    Column(Text("channel", "канал"), 9),
    Column(Text("taken at", "снято"), 27),
    Column(Text("value", "показание"), 14),
    Column(Text("unit", "единица"), 9),
    Column(Text("source", "источник"), 12),
    Column(Text("quality", "достоверность"), 14),
    Column(Text("reasons", "причины сомнений"), 18),
    Column(Text("received at", "получено"), 27),
    Column(Text("author", "кто передал"), 16),
    Column(Text("note", "примечание"), 24),
)


async def reading_rows(
    pages: Pages,
    caller: Caller,
    codes: Sequence[str],
    channel: str | None,
    when: tuple[date | datetime, date | datetime],
) -> AsyncIterator[list[list[Cell]]]:
    """Batches of rows within [from, to), of the time the caller may see.

    Each batch is a question of its own to the database: none lasts, and none waits for whoever reads the file.
    Raises 404 and 422 before the first batch.
    """
    async for seen in chosen(pages, caller, codes):
        asked = make_range(*when, seen.point.tz)
        for part in visible(seen, asked):
            async for batch in _of_part(pages, seen, channel, part):
                yield [_row(reading, seen, caller) for reading in batch]


async def _of_part(pages: Pages, seen: Seen, channel: str | None, part: Range) -> AsyncIterator[list[StoredReading]]:
    after: str | None = None
    while True:
        async with pages() as conn:
            batch, after = await history.page(
                conn,
                seen.point.code,
                channel=channel,
                since=part.since,
                until=part.until,
                limit=_BATCH,
                after=after,
            )
        if batch:
            yield batch
        if after is None:
            return


def _row(reading: StoredReading, seen: Seen, caller: Caller) -> list[Cell]:
    """As in the JSON: consumers see the author and note of their own entries only."""
    zone = seen.point.tz
    shown = caller.staff or reading.author == caller.consumer
    return [
        seen.point.code,
        seen.point.name,
        reading.meter,
        reading.channel,
        reading.taken_at.astimezone(zone),
        reading.value,
        unit_of(reading.channel),
        reading.source.label,
        reading.quality.label,
        " ".join(reading.reasons.labels),
        reading.received_at.astimezone(zone),
        reading.author if shown else None,
        reading.note if shown else None,
    ]
