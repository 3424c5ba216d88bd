"""Which sources give readings and profiles of which registers: so that nobody looks for what was never there.

In a long history cut into chunks the most expensive question is the one whose answer is "none".
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import psycopg

from ingest.model import Source
from ingest.settle import written
from ingest.store import Change
from storage import midnights
from storage.instants import FROM_MICROS

Present = Sequence[tuple[int, int]]
"""(register, source) of which there are readings."""


# A new series has its midnights before it; in an old one those beside what was written have to be looked at again.
_NOTE = f"""
INSERT INTO series AS s (register_id, source, midnights_until)
SELECT register_id, source, {FROM_MICROS.format("first")} - interval '{midnights.WIDEST}'
FROM unnest(%(registers)s::int[], %(sources)s::smallint[], %(first)s::bigint[]) AS u(register_id, source, first)
ORDER BY register_id, source
ON CONFLICT (register_id, source) DO UPDATE
SET midnights_until = least(s.midnights_until, excluded.midnights_until)
WHERE s.midnights_to >= excluded.midnights_until
RETURNING register_id, source
"""

_NOTE_PROFILES = """
INSERT INTO profile_series (register_id, source)
SELECT register_id, source FROM unnest(%s::int[], %s::smallint[]) AS u(register_id, source)
ORDER BY register_id, source
ON CONFLICT DO NOTHING
"""

# For a register that nobody took notice of: its readings may have been put there by hand.
_LOOK = """
SELECT r.id, s.id FROM unnest(%(registers)s::int[]) AS r(id) CROSS JOIN unnest(%(sources)s::smallint[]) AS s(id)
CROSS JOIN LATERAL (SELECT FROM reading WHERE register_id = r.id AND source = s.id ORDER BY taken_at LIMIT 1) one
ORDER BY r.id, s.id
"""


async def note(conn: psycopg.AsyncConnection[Any], changes: Iterable[Change]) -> None:
    """Take notice of what a thorough look wrote; the registers are locked. What merely follows need not be noticed."""
    spans: dict[tuple[int, int], tuple[int, int]] = {}
    for change in changes:
        for row in written(change.settlement):
            key = (change.register_id, int(row.source))
            first, last = spans.get(key, (row.at, row.at))
            spans[key] = (min(first, row.at), max(last, row.at))
    if not spans:
        return
    asked = {
        "registers": [register for register, _ in spans],
        "sources": [source for _, source in spans],
        "first": [first for first, _ in spans.values()],
    }
    disturbed = await (await conn.execute(_NOTE, asked, binary=True)).fetchall()
    await midnights.forget(conn, [(*key, *spans[key]) for key in disturbed])


async def note_profiles(conn: psycopg.AsyncConnection[Any], series: Collection[tuple[int, int]]) -> None:
    """Take notice that load profiles of these (register, source) were written."""
    await conn.execute(_NOTE_PROFILES, ([register for register, _ in series], [source for _, source in series]))


async def sources(conn: psycopg.AsyncConnection[Any], noticed: Mapping[int, Sequence[int]]) -> Present:
    """Which sources ever gave readings of these registers: those noticed, and for a register without any a look."""
    found = [(register, source) for register, sources in noticed.items() for source in sources]
    unnoticed = sorted(register for register, sources in noticed.items() if not sources)
    if unnoticed:
        asked = {"registers": unnoticed, "sources": [int(source) for source in Source]}
        found += await (await conn.execute(_LOOK, asked, binary=True)).fetchall()
    return found
