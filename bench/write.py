"""What storing costs: readings through the door beside the same rows by bare COPY and INSERT, in the same run.

    python -m bench.write [--batches 10]

Deep batches are 200 registers of 48 readings, wide ones 10 000 registers of one. About half a minute; loopback only.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg
import uvloop

from bench.figure import Figure, record
from bench.place import Options, from_environment, open_place
from ingest.delivery import Delivery, Fate
from ingest.instants import micros
from ingest.intake import Intake
from ingest.model import Reading
from storage.database import Database
from storage.instants import TO_POSTGRES
from storage.readings import PostgresStore

START = datetime(2026, 1, 1, tzinfo=UTC)
STEP = timedelta(minutes=30)
SHAPES = {"deep": (200, 48, ">= 150000"), "wide": (10_000, 1, ">= 110000")}

FLEET = (
    "INSERT INTO meter (serial, model) SELECT 'w' || g, 'bench' FROM generate_series(1, 10000) g",
    "INSERT INTO register (meter_id, channel, digits, decimals, max_rate) SELECT id, '1.8.0', 8, 3, 100 FROM meter",
)
_BARE = (
    "CREATE TABLE bare (LIKE stored_reading INCLUDING ALL)",
    "CREATE TEMP TABLE bare_stage (register_id integer, source smallint, taken_at timestamptz, value bigint)",
)
_COPY = "COPY bare_stage FROM STDIN (FORMAT BINARY)"
_INSERT = """
INSERT INTO bare (register_id, source, taken_at, received_at, value, quality, reasons)
SELECT register_id, source, taken_at, now(), value, 0, 0 FROM bare_stage
ORDER BY register_id, source, taken_at ON CONFLICT DO NOTHING
"""


def readings(number: int, registers: int, depth: int) -> list[Reading]:
    """One batch that follows the one before it, every register a little further."""
    first = number * depth
    return [
        Reading(f"w{register}", "1.8.0", START + STEP * (first + n), Decimal(1000 + first + n) + Decimal("0.123"))
        for register in range(1, registers + 1)
        for n in range(depth)
    ]


async def _copy(
    conn: psycopg.AsyncConnection[Any], statement: str, types: Sequence[str], rows: Iterable[Sequence[int]]
) -> None:
    """COPY integer rows by `statement` (… FROM STDIN (FORMAT BINARY)), their columns being of `types`.

    Only a full buffer is awaited: a coroutine for every row would cost as much as the row.
    """
    async with conn.cursor() as cursor, cursor.copy(statement.encode()) as copy:
        copy.set_types(types)
        write_row = copy.formatter.write_row
        for row in rows:
            if full := write_row(row):
                await copy.write(full)


async def ceiling(database: Database, batches: Sequence[Sequence[Reading]]) -> float:
    """Rows a second of the same rows without our code, one transaction a batch."""
    async with database.own_connection() as conn:
        for statement in _BARE:
            await conn.execute(statement.encode())
        raw = [
            [(int(one.meter[1:]), 2, micros(one.taken_at) - TO_POSTGRES, int(one.value * 1_000_000)) for one in batch]
            for batch in batches
        ]
        begun = time.perf_counter()
        for rows in raw:
            async with conn.transaction():
                await _copy(conn, _COPY, ("int4", "int2", "int8", "int8"), rows)
                await conn.execute(_INSERT)
                await conn.execute("TRUNCATE bare_stage")
        spent = time.perf_counter() - begun
        await conn.execute("DROP TABLE bare, bare_stage")
    return sum(map(len, raw)) / spent


async def through_the_door(database: Database, batches: Sequence[Sequence[Reading]]) -> tuple[float, float]:
    """Readings a second from `Reading` objects to the commit, and CPU microseconds of Python a reading."""
    intake = Intake(PostgresStore(database))
    for batch in batches[:2]:  # the first batch of a register has no end to follow
        await intake.accept(Delivery("bench", batch))
    begun, cpu = time.perf_counter(), time.process_time()
    for batch in batches[2:]:
        outcome = await intake.accept(Delivery("bench", batch))
        assert outcome.counts()[Fate.STORED] == len(batch)
    count = sum(map(len, batches[2:]))
    return count / (time.perf_counter() - begun), 1e6 * (time.process_time() - cpu) / count


async def run(batches: int = 10) -> None:
    """Both shapes, each on an empty database."""
    for name, (registers, depth, must) in SHAPES.items():
        async with open_place(Options(dsn=from_environment())) as place:
            async with place.database.connection() as conn:
                for statement in FLEET:
                    await conn.execute(statement.encode())
            given = [readings(number, registers, depth) for number in range(batches + 2)]
            bare = await ceiling(place.database, given)
            stored, cpu = await through_the_door(place.database, given)
            detail = f"{place.kind}; Python {cpu:.1f} µs a reading; the ceiling neither judges nor keeps the latest"
            record(Figure(f"ingest, {name} batches", stored, "readings/s", bare, must, detail))


def main() -> None:
    """`python -m bench.write`."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--batches", type=int, default=10)
    uvloop.run(run(options.parse_args().batches))


if __name__ == "__main__":
    main()
