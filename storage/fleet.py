"""The fleet in the database: a file applied to it, written back from it, and what collectors read of it."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from ingest.errors import StoreUnavailable
from ingest.model import Line, Polled, PolledLine
from storage.conditions import conditions
from storage.contacts import CONTACT
from storage.database import Database
from storage.fleet_difference import Difference, compare
from storage.fleet_file import read_fleet
from storage.fleet_history import check_apply
from storage.fleet_lock import lock_fleet
from storage.fleet_model import LineCheck, MeterCheck, Models
from storage.fleet_names import mentioned, parse
from storage.fleet_pairs import pair_up
from storage.fleet_stored import absent, load
from storage.fleet_toml import write_toml
from storage.fleet_write import write_difference

_log = logging.getLogger(__name__)
_CHANNEL = "amr_fleet"
_PAUSE = 1.0

_TELL = f"SELECT pg_notify('{_CHANNEL}', current_schema())"
_EVENT = "INSERT INTO event (kind, detail) VALUES ('fleet', %s)"

_LINES = "SELECT name FROM line"
_POLLED = """
SELECT l.name, l.kind, l.address, l.options, m.serial, m.model, m.address, m.period, coalesce(p.zone, 'UTC'), m.options
FROM line l JOIN meter m ON m.line_id = l.id
LEFT JOIN installation i ON i.meter_id = m.id AND i.since <= now() AND coalesce(i.until, 'infinity') > now()
LEFT JOIN point p ON p.id = i.point_id
WHERE {conditions}
ORDER BY l.name, m.serial
"""
_VERSION = "SELECT number FROM fleet_version"
_OF_GATEWAY = "SELECT serial FROM meter WHERE gateway = %s"
_SHOWN = f"""
SELECT p.code, p.name, p.zone, m.serial, m.model, l.name, m.address, m.gateway, i.since, i.ct * i.vt,
       c.answered_at, c.failure, c.drift, m.verified_until
FROM meter m
LEFT JOIN installation i ON i.meter_id = m.id AND i.since <= now() AND coalesce(i.until, 'infinity') > now()
FULL JOIN point p ON p.id = i.point_id
LEFT JOIN line l ON l.id = m.line_id
LEFT JOIN {CONTACT} c ON true
ORDER BY p.code NULLS LAST, m.serial
"""

_Conn = psycopg.AsyncConnection[Any]


@dataclass(frozen=True, slots=True)
class Shown:
    """One row of the fleet: a point, the meter that stands there now, or a meter that stands nowhere."""

    point: str | None
    name: str | None
    zone: str | None
    meter: str | None
    model: str | None
    line: str | None
    address: str | None
    gateway: str | None
    since: datetime | None
    ratio: Decimal | None
    answered_at: datetime | None
    failure: str | None
    drift: timedelta | None
    verified_until: date | None


async def apply(
    conn: _Conn,
    document: str,
    models: Models,
    *,
    dry_run: bool = False,
    check_line: LineCheck | None = None,
    check_meter: MeterCheck | None = None,
    author: str | None = None,
) -> Difference:
    """Make the stored fleet what the TOML `document` says, and tell the collectors. Nothing is ever deleted.

    Everything is validated before anything is touched. Raises FleetMistakes (all mistakes of the file), FleetConflict
    (all contradictions with stored history) or FleetBusy. With `dry_run` only the difference is computed.
    """
    # Before the lock, and in a thread: a region's file takes its time.
    tables = await asyncio.to_thread(parse, document)
    named = await asyncio.to_thread(mentioned, tables)
    await lock_fleet(conn, author)
    stored = await load(conn, named)
    wanted = await asyncio.to_thread(read_fleet, document, models, stored, check_line, check_meter, tables)
    pairs = await asyncio.to_thread(pair_up, wanted, stored)
    await check_apply(conn, wanted, stored, pairs)
    difference = await asyncio.to_thread(compare, wanted, stored, pairs)
    difference.absent = await absent(conn, named)
    if difference and not dry_run:
        await write_difference(conn, wanted, stored, pairs, difference)
        await conn.execute(_EVENT, (Jsonb({**difference.counts(), "author": author}),))
        await tell_collectors(conn)
    return difference


async def tell_collectors(conn: _Conn) -> None:
    """Announce a change; sent when the transaction commits."""
    await conn.execute(_TELL)


async def export(conn: _Conn, models: Models | None = None, *, secrets: bool = False) -> str:
    """The stored fleet as TOML that applies back without a difference.

    Registers that are what `models` says are left out; without `models` all are written. Passwords are stars, which
    keep the stored ones when they are applied, unless `secrets` are wanted.
    """
    stored = await load(conn)
    return await asyncio.to_thread(write_toml, stored, models or {}, secrets=secrets)


async def show(conn: _Conn) -> list[Shown]:
    """Every point with its meter now, then every meter that stands nowhere."""
    return [Shown(*row) for row in await (await conn.execute(_SHOWN)).fetchall()]


async def polled_lines(conn: _Conn, wanted: Callable[[str], bool] | None = None) -> list[PolledLine]:
    """Every line (that is wanted, by its name) with the meters asked over it.

    The zone is that of the point a meter stands at now, else UTC.
    """
    lines = None
    if wanted is not None:
        lines = [name for (name,) in await (await conn.execute(_LINES)).fetchall() if wanted(name)]
    question = _POLLED.format(conditions=conditions((lines, "l.name = ANY(%(lines)s)")))
    rows = await (await conn.execute(question.encode(), {"lines": lines})).fetchall()
    groups = itertools.groupby(rows, key=lambda row: row[0])
    return [_polled_line(list(group)) for _, group in groups]


def _polled_line(rows: list[tuple[Any, ...]]) -> PolledLine:
    return PolledLine(Line(*rows[0][:4]), tuple(Polled(*row[4:]) for row in rows))


async def gateway_meters(conn: _Conn, gateway: str) -> frozenset[str]:
    """Serial numbers of the meters this gateway may deliver for."""
    return frozenset(serial for (serial,) in await (await conn.execute(_OF_GATEWAY, (gateway,))).fetchall())


async def fleet_changes(database: Database, *, every: float = 60.0) -> AsyncGenerator[bool, None]:
    """Yields once at the start, after each change of the fleet, and every so many seconds in case one was missed.

    Goes on through the database's absence; load the fleet after each yield. False: nothing was told of.
    """
    away = False
    while True:
        try:
            async with database.own_connection() as conn:
                await conn.execute(f"LISTEN {_CHANNEL}")  # before the first load: nothing in between is missed
                if away:
                    _log.warning("following changes of the fleet again")
                away = False
                yield True
                while True:
                    told = False
                    async for _ in conn.notifies(timeout=every, stop_after=1):
                        told = True
                    await conn.execute("SELECT 1")  # a dead connection is silent, not broken
                    yield told
        except StoreUnavailable as e:
            if not away:
                _log.warning("changes of the fleet cannot be followed: %s", e)
            away = True
            await asyncio.sleep(_PAUSE)


async def followed_lines(
    database: Database, wanted: Callable[[str], bool] = lambda line: True
) -> AsyncGenerator[list[PolledLine], None]:
    """The lines that are wanted, by name, with their meters: now and after each change of the fleet.

    Of a change that nobody told of only the fleet's version is looked at: a region is not read anew every minute.
    """
    known: object = None
    async for told in fleet_changes(database):
        try:
            async with database.connection() as conn:
                version = await (await conn.execute(_VERSION)).fetchone()
                if not told and version == known:
                    continue
                polled = await polled_lines(conn, wanted)
        except StoreUnavailable as error:  # whoever follows the changes notices too, and looks again
            _log.warning("the fleet is not read anew: %s", error)
            known = None
            continue
        known = version
        yield polled
