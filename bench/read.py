"""What reading costs in a long history: each question through our code beside bare SQL for the same rows.

    python -m bench.read [--years 3.5] [--minutes 10] [--registers 2000] [--plain] [--keep] [--sizes]

Loads half-hours of 2 000 registers first, as many years as fit the minutes; on TimescaleDB what is older than 45 days
is compressed. With --sizes nothing is asked: with `--registers 400 --years 0.4` two minutes. AMR_BENCH_DSN names a
server; without it an embedded PostgreSQL. Loopback only, one process.
"""

from __future__ import annotations

import argparse
import gc
import random
import time
from datetime import datetime, timedelta
from typing import Any

import psycopg
import uvloop
from psycopg import sql

from bench.figure import Figure, quantile, record
from bench.fleet import make_fleet
from bench.load import Loaded, load_years
from bench.place import Options, Place, from_environment, open_place
from bench.read_questions import Asked, Questions
from storage import midnights, timescale
from storage.policy import StoragePolicy
from storage.status import storage_status

_LATE = "up to two seconds late, with the microseconds"
_SLOT = "date_bin('30 minutes', taken_at, '2020-01-01Z')"
_SHAPES = {
    "at full half-hours": (_SLOT, "as load profiles and gateways on the clock give them"),
    "polled at a steady moment": (
        f"date_bin('100 milliseconds', {_SLOT} + mod(register_id * 7919, 60000) * interval '1 millisecond'"
        " + interval '2 milliseconds'"
        " * -ln(1 - (hashint8(register_id + date_part('epoch', taken_at)::bigint) & 1048575) / 1048576.0),"
        " '2020-01-01Z')",
        "as our own collector polls: half within 1.4 ms, nine tenths within 5, cut to the tenth of a second",
    ),
}
"""Instants that a chunk is given anew, and who gives such."""

_AGAIN = (
    "CREATE TABLE bench_again (LIKE stored_reading INCLUDING INDEXES)",
    "SELECT {ts}.create_hypertable('bench_again', {ts}.by_range('taken_at', interval '30 days'),"
    " create_default_indexes => false)",
    "ALTER TABLE bench_again SET (timescaledb.enable_columnstore,"
    " timescaledb.segmentby = 'register_id, source', timescaledb.orderby = 'taken_at')",
    "INSERT INTO bench_again (register_id, source, taken_at, value, quality, reasons, step, delay)"
    " SELECT register_id, source, instant, value, quality, reasons, step,"
    " floor(date_part('epoch', taken_at + interval '3 seconds' - instant) / 10)"
    " FROM (SELECT *, {instant} AS instant FROM {chunk}) again ON CONFLICT DO NOTHING",
)


async def run(options: Options | None = None, *, sizes_only: bool = False) -> None:
    """Load, lay out as production would, ask, unless only the sizes are wanted."""
    options = options or Options(dsn=from_environment())
    gc.set_threshold(100_000, 50, 1000)  # as the service does
    async with open_place(options) as place:
        loaded = await prepare(place)
        span = f"{loaded.begin:%Y-%m-%d} to {loaded.end:%Y-%m-%d}"
        print(f"{place.kind}: {loaded.rows} readings, {span}, loaded in {loaded.seconds:.0f} s", flush=True)
        if not sizes_only:
            await ask(place, loaded)
        await sizes(place, loaded)


async def ask(place: Place, loaded: Loaded) -> None:
    """Every question, ours beside the bare statement."""
    async with place.database.own_connection() as bare:
        bare.prepare_threshold = 1
        await bare.execute("SET plan_cache_mode = force_generic_plan")
        for asked in Questions(place, loaded, bare).all():
            await measure(place, loaded, asked)


async def prepare(place: Place) -> Loaded:
    """The fleet, its years, the midnights beside them, and on TimescaleDB the columnstore where the policy has it."""
    async with place.database.connection() as conn:
        row = await (await conn.execute("SELECT count(*) FROM register")).fetchone()
        if row == (0,):
            await make_fleet(conn, place.options.registers)
    loaded = await load_years(place.database, place.options.years, place.options.within)
    begun = time.perf_counter()
    if count := await midnights.remember(place.database, loaded.end + timedelta(days=1)):
        spent = time.perf_counter() - begun
        record(
            Figure("midnights set aside after a load", count / spent, "midnights/s", detail=f"{count} in {spent:.0f} s")
        )
    if place.columnstore:
        await compress(place, loaded.end - StoragePolicy().compress_after)
    async with place.database.own_connection() as conn:
        await conn.execute("ANALYZE midnight")
    return loaded


async def compress(place: Place, until: datetime) -> None:
    """Every chunk that ends before an instant, as the policy's job would have done by then."""
    async with place.database.own_connection() as conn:
        for table in timescale.HISTORY:
            for chunk in await timescale.chunks(conn, table) or ():
                if not chunk.compressed and chunk.end <= until:
                    await to_columnstore(conn, chunk)


async def to_columnstore(conn: psycopg.AsyncConnection[Any], chunk: timescale.Chunk) -> None:
    found = await timescale.extension(conn)
    assert found
    call = "CALL {ts}.convert_to_columnstore({name}::regclass)"
    await conn.execute(timescale.qualified(call, found, name=sql.Literal(chunk.name)))


async def measure(place: Place, loaded: Loaded, asked: Asked) -> None:
    """Ours and the bare statement in turn; the slower twentieth of each is the figure."""
    dice = random.Random(7)
    spent: tuple[list[float], list[float]] = ([], [])
    for question in (asked.ours, asked.bare):
        for _ in range(3):
            await question(dice)
    for _ in range(asked.samples):
        for question, times in zip((asked.ours, asked.bare), spent, strict=True):
            begun = time.perf_counter()
            await question(dice)
            times.append(1000 * (time.perf_counter() - begun))
    middle, bare_middle = (quantile(times, 0.5) for times in spent)
    p95, bare_p95 = (quantile(times, 0.95) for times in spent)
    ratio = f"median {middle:.2f} beside {bare_middle:.2f} ms: {middle / bare_middle:.1f} times"
    detail = f"{ratio}; {place.kind}; {loaded.rows // 10**6} million readings"
    record(Figure(f"{asked.name}, p95", p95, "ms", bare_p95, asked.must, detail))


async def sizes(place: Place, loaded: Loaded) -> None:
    """Bytes a reading with indexes, and in the columnstore; there also of the same readings at other instants."""
    async with place.database.connection() as conn:
        found = {table.name: table for table in (await storage_status(conn)).tables}
    reading, midnight = found["reading"], found["midnight"]
    if place.columnstore:
        per = reading.compressed_size / reading.compressed_rows
        record(Figure("bytes a reading, polled unsteadily", per, "bytes", None, "<= 4", f"{_LATE}; {place.kind}"))
        for shape, (instant, said) in _SHAPES.items():
            per = await again(place, instant)
            record(Figure(f"bytes a reading, {shape}", per, "bytes", None, "<= 4", f"{said}; {place.kind}"))
    else:
        record(Figure("bytes a reading", reading.size / loaded.rows, "bytes", detail=place.kind))
    per = midnight.size / loaded.rows
    record(Figure("midnights, bytes a reading", per, "bytes", detail=f"{midnight.size >> 20} MiB; {place.kind}"))


async def again(place: Place, instant: str) -> float:
    """Bytes a reading of one old chunk, compressed once more with its readings at other instants (SQL)."""
    async with place.database.own_connection() as conn:
        old = [chunk for chunk in await timescale.chunks(conn, "stored_reading") or () if chunk.compressed]
        found = await timescale.extension(conn)
        assert found
        given = {"chunk": sql.SQL(old[len(old) // 2].name), "instant": sql.SQL(instant)}
        for statement in _AGAIN:
            await conn.execute(timescale.qualified(statement, found, **given))
        for chunk in await timescale.chunks(conn, "bench_again") or ():
            await to_columnstore(conn, chunk)
        sizes = await timescale.sizes(conn, "bench_again")
        await conn.execute("DROP TABLE bench_again")
    assert sizes is not None
    return sizes.compressed_size / sizes.compressed_rows


def main() -> None:
    """`python -m bench.read`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--years", type=float, default=3.5)
    parser.add_argument("--minutes", type=float, default=10, help="the load ends after so many, with what is there")
    parser.add_argument("--registers", type=int, default=2000, help="a multiple of 8")
    parser.add_argument("--plain", action="store_true", help="plain tables also where TimescaleDB is offered")
    parser.add_argument("--keep", action="store_true", help="keep what was loaded, and use it again the next time")
    parser.add_argument("--sizes", action="store_true", help="only bytes a reading; no questions")
    asked = parser.parse_args()
    options = Options(
        asked.registers, asked.years, timedelta(minutes=asked.minutes), from_environment(), asked.plain, asked.keep
    )
    uvloop.run(run(options, sizes_only=asked.sizes))


if __name__ == "__main__":
    main()
