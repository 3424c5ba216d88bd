"""What a thorough look changes: readings inserted, judged again and superseded, breaks to watch, who typed them in."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import psycopg

from ingest.instants import instant
from ingest.model import Source
from ingest.settle import Row
from ingest.store import Change
from storage import series, stored
from storage.arrays import Bigints, Integers, Smallints
from storage.copying import copy_packed
from storage.instants import FROM_MICROS

# Temporary, one a connection; for what was judged beside its neighbours.
_STAGE = f"""
CREATE TEMP TABLE IF NOT EXISTS stage_judged ON COMMIT DELETE ROWS AS
SELECT {stored.COLUMNS} FROM stored_reading LIMIT 0
"""
_COPY = f"COPY stage_judged ({stored.COLUMNS}) FROM STDIN (FORMAT BINARY)"
# Ordered by the key: writers never wait for each other in a circle, and pages are touched once.
_INSERT = f"""
INSERT INTO stored_reading ({stored.COLUMNS})
SELECT {stored.COLUMNS} FROM stage_judged ORDER BY register_id, source, taken_at
ON CONFLICT DO NOTHING
"""

_CHANGED = f"""
SELECT register_id, source, {FROM_MICROS.format("at")} AS taken_at, value, quality, reasons
FROM unnest(%(registers)s::int[], %(sources)s::smallint[], %(at)s::bigint[], %(values)s::bigint[],
            %(qualities)s::smallint[], %(reasons)s::smallint[])
     AS u(register_id, source, at, value, quality, reasons)
"""

_RECORD_REJUDGED = f"""
INSERT INTO rejudgement (register_id, source, taken_at, old_quality, old_reasons, new_quality, new_reasons)
SELECT r.register_id, r.source, r.taken_at, r.quality, r.reasons, c.quality, c.reasons
FROM ({_CHANGED}) c JOIN reading r USING (register_id, source, taken_at)
"""

# A compressed chunk is opened by constants, never by a join: without these it would be opened whole (decision 21). So
# these statements are not prepared either: a plan for any arrays has no constants.
_CONSTANTS = """r.register_id = ANY(%(registers)s) AND r.source = ANY(%(sources)s)
    AND r.taken_at >= %(first)s AND r.taken_at <= %(last)s"""

_REJUDGE = f"""
UPDATE stored_reading r SET quality = c.quality, reasons = c.reasons
FROM ({_CHANGED}) c
WHERE r.register_id = c.register_id AND r.source = c.source AND r.taken_at = c.taken_at AND {_CONSTANTS}
"""

_RECORD_SUPERSEDED = f"""
INSERT INTO superseded_reading
    (register_id, source, taken_at, value, quality, reasons, received_at, author, note, superseded_at, superseded_by)
SELECT r.register_id, r.source, r.taken_at, r.value, r.quality, r.reasons, r.received_at, e.author, e.note,
       %(received_at)s, %(author)s
FROM ({_CHANGED}) c JOIN reading r USING (register_id, source, taken_at)
LEFT JOIN entry e USING (register_id, source, taken_at)
"""

_SUPERSEDE = f"""
UPDATE stored_reading r SET value = c.steps, step = c.step, quality = c.quality, reasons = c.reasons,
    received_at = %(received_at)s, delay = NULL
FROM (SELECT *, {stored.STEPS} AS steps, {stored.STEP} AS step FROM ({_CHANGED}) changed) c
WHERE r.register_id = c.register_id AND r.source = c.source AND r.taken_at = c.taken_at AND {_CONSTANTS}
"""

_WATCH = f"""
INSERT INTO discontinuity (register_id, source, taken_at)
SELECT register_id, source, {FROM_MICROS.format("at")}
FROM unnest(%(registers)s::int[], %(sources)s::smallint[], %(at)s::bigint[]) AS u(register_id, source, at)
ORDER BY 1, 2, 3
ON CONFLICT DO NOTHING
"""

_UNWATCH = f"""
DELETE FROM discontinuity d
USING unnest(%(registers)s::int[], %(sources)s::smallint[], %(at)s::bigint[]) AS u(register_id, source, at)
WHERE d.register_id = u.register_id AND d.source = u.source AND d.taken_at = {FROM_MICROS.format("u.at")}
"""

_PEOPLE = "UPDATE register SET people = true WHERE id = ANY(%s) AND NOT people"

_ENTRY = """
INSERT INTO entry (register_id, source, taken_at, author, note, entered_at) VALUES (%s, %s, %s, %s, %s, %s)
ON CONFLICT (register_id, source, taken_at)
DO UPDATE SET author = excluded.author, note = excluded.note, entered_at = excluded.entered_at
"""


async def write(conn: psycopg.AsyncConnection[Any], changes: Sequence[Change], received_at: datetime) -> None:
    """See `ingest.store.BatchWork.write`."""
    judged = [(c.register_id, row) for c in changes for row in c.settlement.inserted]
    if judged:
        await conn.execute(_STAGE.encode())
        await copy_packed(conn, _COPY, stored.pack_judged(judged, received_at))
        await conn.execute(_INSERT.encode())
    rejudged = [(c.register_id, after) for c in changes for _, after in c.settlement.rejudged]
    if rejudged:
        await conn.execute(_RECORD_REJUDGED, _columns(rejudged))
        await conn.execute(_REJUDGE, _columns(rejudged), prepare=False)
    for change in changes:
        for _, after in change.settlement.superseded:
            author = change.readings[after.source, after.at].author
            row = {**_columns([(change.register_id, after)]), "received_at": received_at, "author": author}
            await conn.execute(_RECORD_SUPERSEDED, row)
            await conn.execute(_SUPERSEDE, row, prepare=False)
    watched = [(c.register_id, int(source), at) for c in changes for source, at in c.settlement.watched]
    unwatched = [(c.register_id, int(source), at) for c in changes for source, at in c.settlement.unwatched]
    for statement, keys in ((_WATCH, watched), (_UNWATCH, unwatched)):
        if keys:
            registers, sources, instants = zip(*keys, strict=True)
            given = {"registers": Integers(registers), "sources": Smallints(sources), "at": Bigints(instants)}
            await conn.execute(statement, given)
    await series.note(conn, changes)
    await _note_people(conn, changes, received_at)


async def _note_people(conn: psycopg.AsyncConnection[Any], changes: Sequence[Change], received_at: datetime) -> None:
    """Keep who stands behind typed-in readings, and that the register has such."""
    typed = [
        (change.register_id, int(source), reading.taken_at, reading.author, reading.note, reading.captured_at)
        for change in changes
        for (source, at), reading in change.readings.items()
        if source.by_person or reading.author is not None or reading.note is not None
        if any((row.source, row.at) == (source, at) for row in _written_anew(change))
    ]
    if not typed:
        return
    async with conn.cursor() as cursor:
        await cursor.executemany(_ENTRY, [(*row[:5], row[5] or received_at) for row in typed])
        await cursor.execute(_PEOPLE, ([row[0] for row in typed if Source(row[1]).by_person],))


def _written_anew(change: Change) -> list[Row]:
    return [*change.settlement.inserted, *(after for _, after in change.settlement.superseded)]


def _columns(rows: Sequence[tuple[int, Row]]) -> dict[str, Any]:
    """Rows as the arrays the set-based statements take."""
    return {
        "registers": Integers(register_id for register_id, _ in rows),
        "sources": Smallints(row.source for _, row in rows),
        "at": Bigints(row.at for _, row in rows),
        "values": Bigints(row.value for _, row in rows),
        "qualities": Smallints(row.quality for _, row in rows),
        "reasons": Smallints(row.reasons for _, row in rows),
        "first": instant(min(row.at for _, row in rows)),
        "last": instant(max(row.at for _, row in rows)),
    }
