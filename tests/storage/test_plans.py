"""EXPLAIN of every read of the history, as the services run it: each goes by an index, also in compressed chunks.

The plans looked at are those of the very statements the code sent: generic ones, which pages keep, and those made anew.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import psycopg
import pytest
from psycopg import sql

from ingest.calendar_cuts import Step, cuts
from ingest.instants import instant
from storage import history, midnights
from storage.arrays import Instants, Numbers
from storage.database import Database
from storage.overview import overview
from storage.several import consumption_of_points
from storage.stretches import stretches
from storage.timescale import HISTORY
from tests.storage.columnstore import compress

POINTS = 20
DAYS = 420
START = datetime(2025, 1, 1, tzinfo=UTC)
END = START + timedelta(days=DAYS)
ZONE = ZoneInfo("UTC")
ALL = [f"p{n}" for n in range(1, POINTS + 1)]

_FILL = (
    "INSERT INTO point (code, zone) SELECT 'p' || n, 'UTC' FROM generate_series(1, %(points)s) n",
    "INSERT INTO meter (serial, model) SELECT 'm' || n, 'x' FROM generate_series(1, %(points)s) n",
    "INSERT INTO register (meter_id, channel, decimals) SELECT id, unnest(ARRAY['1.8.1', '1.8.2']), 3 FROM meter",
    "INSERT INTO installation (point_id, meter_id, since) SELECT p.id, p.id, '2024-01-01Z' FROM point p",
    """INSERT INTO stored_reading (register_id, source, taken_at, received_at, value, quality, reasons)
    SELECT r.id, 2, %(start)s + n * interval '1 hour' + interval '7 seconds', %(start)s, n * 1000, 0, 0
    FROM generate_series(0, %(days)s * 24) n, register r""",
    "INSERT INTO series (register_id, source, midnights_until) SELECT id, 2, %(start)s FROM register",
    """INSERT INTO newest (register_id, source, taken_at, value, calm)
    SELECT id, 2, %(start)s + %(days)s * interval '1 day' + interval '7 seconds', 0, true FROM register""",
)


class Read(NamedTuple):
    """One read, and the tables it must be seen to look into."""

    ask: Callable[[psycopg.AsyncConnection[Any]], Awaitable[object]]
    tables: frozenset[str]


def cut(begin: datetime, end: datetime, step: Step, *points: str) -> Callable[[psycopg.AsyncConnection[Any]], Any]:
    edges = cuts(begin, end, step, ZONE)
    return lambda conn: stretches(conn, points[0] if points else "p7", ["1.8.1", "1.8.2"], edges)


def page(conn: psycopg.AsyncConnection[Any]) -> Awaitable[object]:
    since = START + timedelta(days=100)
    return history.page(conn, "p7", channel="1.8.1", since=since, until=END, limit=100, after=None)


YEAR = (START + timedelta(days=20), START + timedelta(days=385))
OFF = timedelta(minutes=90)
READING, MIDNIGHT = frozenset({"stored_reading"}), frozenset({"midnight"})

READS = {
    "latest of one point": Read(lambda conn: history.latest(conn, "p7", until=END), READING),
    "latest of one point that fell silent": Read(lambda conn: history.latest(conn, "p7"), READING),
    "latest of many points": Read(lambda conn: history.latest_of(conn, ALL, until=END), READING),
    "all points at a glance": Read(overview, READING),
    "a year by days, remembered": Read(cut(*YEAR, Step.DAY), MIDNIGHT),
    "a year by months, remembered": Read(cut(*YEAR, Step.MONTH), MIDNIGHT),
    "a year by days, looked up": Read(cut(YEAR[0] + OFF, YEAR[1] + OFF, Step.YEAR), READING),
    "months up to now": Read(cut(START + timedelta(days=300), END + OFF, Step.MONTH), READING | MIDNIGHT),
    "a month by half-hours": Read(cut(YEAR[0], YEAR[0] + timedelta(days=31), Step.HALF_HOUR), READING),
    "a district by months": Read(
        lambda conn: consumption_of_points(conn, ALL[:4], "1.8.1", YEAR[0].date(), YEAR[1].date(), Step.MONTH), MIDNIGHT
    ),
    "a page of readings": Read(page, READING),
}


@pytest.fixture
async def years(database: Database) -> Database:
    """Forty registers with more than a year of hours, and the midnights beside them."""
    async with database.connection() as conn:
        for statement in _FILL:
            await psycopg.AsyncClientCursor(conn).execute(statement, {"points": POINTS, "start": START, "days": DAYS})
    assert await midnights.remember(database, END + timedelta(days=1)) == 2 * POINTS * DAYS
    async with database.own_connection() as conn:
        await conn.execute("ANALYZE")
    return database


async def test_every_read_goes_by_an_index(
    years: Database, subtests: pytest.Subtests, monkeypatch: pytest.MonkeyPatch
) -> None:
    states = ["in chunks or one table", "compressed"]
    for state in states:
        if state == "compressed" and not (await compress(years) + await compress(years, "midnight")):
            break
        for name, read in READS.items():
            for mode in ("force_generic_plan", "force_custom_plan"):
                with subtests.test(read=name, state=state, mode=mode):
                    plans = await explained(years, read, mode, monkeypatch)
                    looked = {table for statement, plan in plans for table in _tables(statement) if list(scans(plan))}
                    assert looked >= read.tables
                    found = [scan for _, plan in plans for scan in scans(plan)]
                    assert [scan for scan in found if not scan[0].startswith(("Index", "Bitmap"))] == []


async def explained(
    database: Database, read: Read, mode: str, monkeypatch: pytest.MonkeyPatch
) -> list[tuple[str, dict[str, Any]]]:
    """The statements a read sends about the history, with their plans."""
    async with database.connection() as conn:
        await conn.execute(f"SET LOCAL plan_cache_mode = {mode}".encode())
        sent: dict[str, tuple[list[str], Mapping[str, Any]]] = {}
        original = psycopg.AsyncCursor.execute

        async def noting(self: Any, query: Any, params: Any = None, **more: Any) -> Any:
            if isinstance(query, str) and isinstance(params, Mapping | None):
                names = list(dict.fromkeys(re.findall(r"%\((\w+)\)s", query)))
                sent[_numbered(query, names) if names else query] = names, params or {}
            return await original(self, query, params, **more)

        with monkeypatch.context() as patch:
            patch.setattr(psycopg.AsyncCursor, "execute", noting)
            for _ in range(2):  # prepared when it is seen again
                await read.ask(conn)
        prepared = await (
            await conn.execute("SELECT name, statement, parameter_types::text[] FROM pg_prepared_statements")
        ).fetchall()
        known = [row for row in prepared if row[1] in sent and _tables(row[1])]
        return [(statement, await _plan(conn, name, types, *sent[statement])) for name, statement, types in known]


def _tables(statement: str) -> set[str]:
    """Tables of the history that a statement names, `reading` being a view of one."""
    return {table for table in HISTORY if re.search(rf"FROM {table.removeprefix('stored_')}\b", statement)}


def _numbered(query: str, names: list[str]) -> str:
    return re.sub(r"%\((\w+)\)s", lambda one: f"${names.index(one[1]) + 1}", query).replace("%%", "%")


def _written(value: Any) -> Any:
    """A column that is ready to be sent, as a list; anything else as it is."""
    if not isinstance(value, Numbers):
        return value
    return [instant(at) for at in value.unpacked()] if isinstance(value, Instants) else value.unpacked()


async def _plan(
    conn: psycopg.AsyncConnection[Any], name: str, types: list[str], names: list[str], given: Mapping[str, Any]
) -> dict[str, Any]:
    values = [
        sql.SQL("CAST({} AS {})").format(sql.Literal(_written(given[key])), sql.SQL(kind))
        for key, kind in zip(names, types, strict=True)
    ]
    arguments = sql.SQL("({})").format(sql.SQL(", ").join(values)) if values else sql.SQL("")
    statement = sql.SQL("EXPLAIN (FORMAT JSON) EXECUTE {} {}").format(sql.Identifier(name), arguments)
    row = await (await psycopg.AsyncClientCursor(conn).execute(statement)).fetchone()
    assert row
    return row[0][0]["Plan"]  # type: ignore[no-any-return]


def scans(plan: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """(how, what) for everything in a plan that reads a table of the history or a chunk of one.

    A compressed chunk is read through the one with its columns below it; that is the one that must go by an index. The
    node that only gathers chunks has the name of the table, also when every chunk was excluded.
    """
    children = plan.get("Plans", [])
    gathers = plan.get("Custom Plan Provider") == "ChunkAppend"
    table = plan.get("Relation Name", "")
    if re.fullmatch(rf"{'|'.join(HISTORY)}|(compress)?_?hyper_.*", table):
        through = plan["Node Type"] == "Custom Scan" and any("Relation Name" in child for child in children)
        if not (gathers or through):
            yield plan["Node Type"], table
    for child in children:
        yield from scans(child)
