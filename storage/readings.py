"""The write path: the readings of one batch, their neighbours and what their judgement changes, in one transaction."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

import psycopg

from ingest.channel import to_micro
from ingest.delivery import Contact, Reject
from ingest.judge import OUTSIDE
from ingest.model import IntervalReading, Quality, Reason, Source
from ingest.settle import Row
from ingest.store import Appended, BatchWork, Card, Change, End, MovedEnd, Span
from storage import appended, beside, ends, quarantine_write, series, settled
from storage.arrays import Bigints, Integers, Smallints
from storage.cards import find_cards
from storage.database import Database
from storage.instants import FROM_MICROS, micros_cursor

_LOCK = "SELECT id, people FROM register WHERE id = ANY(%s) ORDER BY id FOR NO KEY UPDATE"

# Rows at wrong instants are nobody's neighbours, but within the span they hold their keys.
_SURROUNDINGS = f"""
SELECT s.n, r.source, r.taken_at, r.value, r.quality, r.reasons
FROM (SELECT n, register_id, source, {FROM_MICROS.format("first")} AS first, {FROM_MICROS.format("last")} AS last
      FROM unnest(%(n)s::int[], %(registers)s::int[], %(sources)s::smallint[], %(first)s::bigint[], %(last)s::bigint[])
           AS u(n, register_id, source, first, last)) s
CROSS JOIN LATERAL (
    (SELECT source, taken_at, value, quality, reasons FROM reading
     WHERE register_id = s.register_id AND source = s.source AND taken_at < s.first AND reasons & %(outside)s = 0
     ORDER BY taken_at DESC LIMIT %(reach)s)
    UNION ALL
    (SELECT source, taken_at, value, quality, reasons FROM reading
     WHERE register_id = s.register_id AND source = s.source AND taken_at BETWEEN s.first AND s.last)
    UNION ALL
    (SELECT source, taken_at, value, quality, reasons FROM reading
     WHERE register_id = s.register_id AND source = s.source AND taken_at > s.last AND reasons & %(outside)s = 0
     ORDER BY taken_at LIMIT %(reach)s)
) r
"""

_MACHINES_AROUND = f"""
SELECT s.n, b.taken_at, b.value, a.taken_at, a.value
FROM (SELECT n, register_id, source, {FROM_MICROS.format("at")} AS at
      FROM unnest(%(n)s::int[], %(registers)s::int[], %(sources)s::smallint[], %(at)s::bigint[])
           AS u(n, register_id, source, at)) s
LEFT JOIN LATERAL (SELECT taken_at, value FROM reading WHERE register_id = s.register_id AND source = s.source
    AND taken_at <= s.at AND reasons & %(grave)s = 0 ORDER BY taken_at DESC LIMIT 1) b ON true
LEFT JOIN LATERAL (SELECT taken_at, value FROM reading WHERE register_id = s.register_id AND source = s.source
    AND taken_at > s.at AND reasons & %(grave)s = 0 ORDER BY taken_at LIMIT 1) a ON true
"""

_AT_INSTANTS = f"""
SELECT r.register_id, r.source, r.taken_at, r.value, r.quality, r.reasons
FROM unnest(%(registers)s::int[], %(sources)s::smallint[], %(at)s::bigint[]) AS u(register_id, source, at)
JOIN reading r ON r.register_id = u.register_id AND r.source = u.source AND r.taken_at = {FROM_MICROS.format("u.at")}
"""

_INTERVALS = """
INSERT INTO interval_reading (register_id, source, start, seconds, received_at, energy, quality)
VALUES (%s, %s, %s, %s, %s, %s, 0) ON CONFLICT DO NOTHING
"""


class PostgresStore:
    """Readings in PostgreSQL; safe to share by all tasks of a process."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @contextlib.asynccontextmanager
    async def batch(self) -> AsyncIterator[BatchWork]:
        """One transaction: committed when the context is left without an error."""
        async with self._database.connection() as conn:
            yield Work(conn)


class Work:
    """One open transaction (see `ingest.store.BatchWork`)."""

    def __init__(self, conn: psycopg.AsyncConnection[Any]) -> None:
        self._conn = conn

    async def fleet_version(self) -> int:
        return await appended.fleet_version(self._conn)

    async def cards(self, keys: Collection[tuple[str, str]]) -> Mapping[tuple[str, str], Card]:
        return await find_cards(self._conn, keys)

    async def ends(self, series: Sequence[tuple[int, Source]]) -> Mapping[tuple[int, Source], End]:
        return await ends.find(self._conn, series)

    async def append(
        self, rows: Sequence[Appended], ends_: Sequence[MovedEnd], fleet: int, received_at: datetime
    ) -> None:
        # The ends first: a thorough look holds them while it inserts, so that neither waits for the other in a circle.
        await appended.move_ends(self._conn, ends_, fleet)
        await appended.insert(self._conn, rows, received_at)

    async def renew_ends(self, register_ids: Collection[int]) -> None:
        await ends.renew(self._conn, sorted(register_ids))

    async def meters(self, serials: Collection[str]) -> Collection[str]:
        found = await self._conn.execute("SELECT serial FROM meter WHERE serial = ANY(%s)", (list(serials),))
        return {serial for (serial,) in await found.fetchall()}

    async def lock(self, register_ids: Sequence[int], moved: Sequence[int] = ()) -> Collection[int]:
        rows = await (await self._conn.execute(_LOCK, (Integers(register_ids),), binary=True)).fetchall()
        await ends.lock(self._conn, [*register_ids, *moved])
        return {register_id for register_id, people in rows if people}

    async def surroundings(self, spans: Sequence[Span], reach: int) -> Mapping[Span, list[Row]]:
        if not spans:
            return {}
        asked = [(n, span, source) for n, span in enumerate(spans) for source in span.sources]
        cursor = micros_cursor(self._conn)
        await cursor.execute(
            _SURROUNDINGS,
            {
                "n": Integers(n for n, _, _ in asked),
                "registers": Integers(span.register_id for _, span, _ in asked),
                "sources": Smallints(source for _, _, source in asked),
                "first": Bigints(span.first for _, span, _ in asked),
                "last": Bigints(span.last for _, span, _ in asked),
                "outside": int(OUTSIDE),
                "reach": reach,
            },
        )
        around: dict[Span, list[Row]] = {span: [] for span in spans}
        for n, *row in await cursor.fetchall():
            around[spans[n]].append(_row(row))
        return around

    async def machines_around(
        self, asks: Sequence[tuple[int, Source, int]]
    ) -> Mapping[tuple[int, Source, int], tuple[tuple[int, int] | None, tuple[int, int] | None]]:
        cursor = micros_cursor(self._conn)
        await cursor.execute(
            _MACHINES_AROUND,
            {
                "n": Integers(range(len(asks))),
                "registers": Integers(register_id for register_id, _, _ in asks),
                "sources": Smallints(source for _, source, _ in asks),
                "at": Bigints(at for _, _, at in asks),
                "grave": int(~Reason.ZONE_SUM),
            },
        )
        return {
            asks[n]: (
                None if before_at is None else (before_at, before),
                None if after_at is None else (after_at, after),
            )
            for n, before_at, before, after_at, after in await cursor.fetchall()
        }

    async def at_instants(self, keys: Collection[tuple[int, Source, int]]) -> Mapping[tuple[int, Source, int], Row]:
        ordered = sorted(keys)
        cursor = micros_cursor(self._conn)
        await cursor.execute(
            _AT_INSTANTS,
            {
                "registers": Integers(register_id for register_id, _, _ in ordered),
                "sources": Smallints(source for _, source, _ in ordered),
                "at": Bigints(at for _, _, at in ordered),
            },
        )
        return {(register_id, Source(row[0]), row[1]): _row(row) for register_id, *row in await cursor.fetchall()}

    async def write(self, changes: Sequence[Change], received_at: datetime) -> None:
        await settled.write(self._conn, changes, received_at)

    async def write_intervals(self, rows: Sequence[tuple[int, IntervalReading]], received_at: datetime) -> None:
        await series.note_profiles(self._conn, {(register_id, int(item.source)) for register_id, item in rows})
        async with self._conn.cursor() as cursor:
            await cursor.executemany(
                _INTERVALS,
                [
                    (
                        register_id,
                        int(item.source),
                        item.start,
                        item.length.total_seconds(),
                        received_at,
                        to_micro(item.energy),
                    )
                    for register_id, item in rows
                ],
            )

    async def quarantine(self, refused: Sequence[tuple[str, Reject]]) -> None:
        await quarantine_write.keep(self._conn, refused)

    async def contacts(self, contacts: Sequence[Contact]) -> None:
        await beside.contacts(self._conn, contacts)

    async def zone_mismatch(self, register_ids: Collection[int], at: datetime) -> None:
        await beside.zone_mismatch(self._conn, sorted(register_ids), at)


def _row(row: Sequence[Any]) -> Row:
    source, at, value, quality, reasons = row
    return Row(Source(source), at, value, Quality(quality), Reason(reasons))
