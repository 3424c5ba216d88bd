"""Years of half-hours put into the table in the order in which they would have come: by time, all registers each time.

The energies are those of the shipped households: every register mixes the two in its own proportion and shows whole
steps of 0.01 kWh. An hour is split over its halves unevenly, because real half-hours are not pairs of equals. Polls
come up to a minute after the full half-hour, each meter at a moment of its own, give or take two seconds, and are
stored within ten seconds of it, in the form that ingest gives them (`storage.stored`).
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import psycopg

from simulators.shape import Shape, load
from storage import ends
from storage.database import Database

SLOT = timedelta(minutes=30)
PER_DAY = 48
END = datetime(2026, 11, 1, tzinfo=UTC)
_SLICE = 15 * PER_DAY

_TABLES = """
CREATE UNLOGGED TABLE bench_shape (n integer PRIMARY KEY, at timestamptz, a bigint, b bigint);
CREATE UNLOGGED TABLE bench_register AS
SELECT r.id, r.meter_id, 1000000000::bigint * (1 + r.id % 97) AS start,
       200 + 613 * r.id % 800 AS a, 607 * r.id % 900 AS b
FROM register r JOIN meter m ON m.id = r.meter_id WHERE m.model = 'bench' ORDER BY r.id;
"""

# LATERAL with OFFSET keeps the instants outside: rows go in by time, as batches would bring them.
INSERT = """
INSERT INTO stored_reading (register_id, source, taken_at, value, quality, reasons, step, delay)
SELECT r.id, 2,
       s.at + (mod(r.meter_id * 7919, 60)) * interval '1 second'
            + (hashint4(s.n * 1009 + r.meter_id) & 2097151) * interval '1 microsecond',
       (r.start + (s.a * r.a + s.b * r.b) / 1000) / 10000 * 10, 0, 0, 1000, 0
FROM (SELECT * FROM bench_shape WHERE n >= %(first)s AND n < %(last)s ORDER BY n OFFSET 0) s
CROSS JOIN LATERAL (SELECT * FROM bench_register WHERE s.n IS NOT NULL OFFSET 0) r
"""


# What the door and the jobs would have kept beside the readings. Midnights are left to their job.
_SERIES = """
INSERT INTO series (register_id, source, midnights_until)
SELECT id, 2, %(begin)s::timestamptz FROM bench_register ORDER BY id
"""
_LOADED = """
CREATE TABLE bench_loaded AS
SELECT %(rows)s::bigint AS rows, %(begin)s::timestamptz AS begin, %(end)s::timestamptz AS until, %(seconds)s::float AS s
"""


@dataclass(frozen=True, slots=True)
class Loaded:
    """What is in the table now: [begin, end) and how long it took."""

    rows: int
    begin: datetime
    end: datetime
    seconds: float


async def load_years(database: Database, years: float, within: timedelta) -> Loaded:
    """Fill the history with the half-hours of every bench register up to END, as far as `within` suffices.

    What an earlier run left there (`keep`) is taken as it is.
    """
    async with database.connection() as conn:
        if (await (await conn.execute("SELECT to_regclass('bench_loaded') IS NOT NULL")).fetchone()) == (True,):
            row = await (await conn.execute("SELECT rows, begin, until, s FROM bench_loaded")).fetchone()
            assert row
            return Loaded(*row)
    slots = int(years * 365) * PER_DAY
    begin = END - slots * SLOT
    async with database.own_connection() as conn:
        await conn.execute(_TABLES.encode())
        async with conn.cursor() as cursor, cursor.copy("COPY bench_shape FROM STDIN") as copy:
            for row in halves(begin, slots):
                await copy.write_row(row)
        await conn.execute("ANALYZE bench_shape")
    started = time.monotonic()
    firsts = iter(range(0, slots, _SLICE))
    done = await asyncio.gather(*(_worker(database, firsts, slots, started + within.total_seconds()) for _ in range(2)))
    rows, last = sum(row for row, _ in done), max(last for _, last in done)
    loaded = Loaded(rows, begin, begin + last * SLOT, time.monotonic() - started)
    await _beside(database, loaded)
    return loaded


async def _beside(database: Database, loaded: Loaded) -> None:
    """The ends of the series and that they exist, as ingest would have written them, and fresh statistics."""
    async with database.own_connection() as conn:
        # In years autovacuum comes by hundreds of times: without it an index alone answers nothing.
        await conn.execute("VACUUM ANALYZE stored_reading")
        await conn.execute(_SERIES, {"begin": loaded.begin})
        registers = [
            row[0] for row in await (await conn.execute("SELECT id FROM bench_register ORDER BY id")).fetchall()
        ]
        for n in range(0, len(registers), 100):
            async with conn.transaction():
                await ends.renew(conn, registers[n : n + 100])
        await conn.execute("ANALYZE series, newest")
        said = {"rows": loaded.rows, "begin": loaded.begin, "end": loaded.end, "seconds": loaded.seconds}
        await psycopg.AsyncClientCursor(conn).execute(_LOADED, said)


async def _worker(database: Database, firsts: Iterator[int], slots: int, until: float) -> tuple[int, int]:
    rows = last = 0
    async with database.own_connection() as conn:
        for first in firsts:
            if time.monotonic() > until:
                break
            asked = {"first": first, "last": min(first + _SLICE, slots)}
            rows += (await conn.execute(INSERT, asked)).rowcount
            last = asked["last"]
    return rows, last


def halves(begin: datetime, slots: int) -> Iterator[tuple[int, datetime, int, int]]:
    """(number, instant, mWh of household a, of b), counted from `begin`; the halves of an hour differ."""
    dice = random.Random(1)
    shapes = load("a"), load("b")
    zero = [shape.energy(begin) for shape in shapes]
    for n in range(slots):
        at = begin + n * SLOT
        a, b = (_energy(shape, at, n, dice.random()) - low for shape, low in zip(shapes, zero, strict=True))
        yield n, at, a, b


def _energy(shape: Shape, at: datetime, n: int, share: float) -> int:
    if n % 2 == 0:
        return shape.energy(at)
    before, after = shape.energy(at - SLOT), shape.energy(at + SLOT)
    return before + int((after - before) * (0.2 + 0.6 * share))
