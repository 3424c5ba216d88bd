"""Writing what a fleet file adds and changes. Nothing is checked here: `fleet_history` did, under the same lock."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from itertools import chain, islice
from typing import Any, TypeVar

import psycopg
from psycopg.types.json import Jsonb

from ingest.channel import to_micro
from ingest.model import Installation
from storage.fleet_difference import Difference
from storage.fleet_model import Fleet, FleetMeter
from storage.fleet_pairs import Pairs

_LINE = """
INSERT INTO line (name, kind, address, options)
SELECT * FROM unnest(%s::text[], %s::text[], %s::text[], %s::jsonb[])
ON CONFLICT (name) DO UPDATE SET kind = excluded.kind, address = excluded.address, options = excluded.options
"""
_FREE_CODES = "UPDATE point SET official_code = NULL WHERE code = ANY(%s)"
_POINT = """
INSERT INTO point (code, name, address, zone, category, official_code)
SELECT * FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[])
ON CONFLICT (code) DO UPDATE SET name = excluded.name, address = excluded.address, zone = excluded.zone,
    category = excluded.category, official_code = excluded.official_code
"""
_FREE_BUS = "UPDATE meter SET line_id = NULL, address = NULL, gateway = NULL WHERE serial = ANY(%s)"
_METER = """
INSERT INTO meter (serial, model, line_id, address, gateway, period, options, verified_until)
SELECT u.serial, u.model, l.id, u.address, u.gateway, u.period, u.options, u.verified_until
FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::interval[], %s::jsonb[], %s::date[])
     AS u(serial, model, line, address, gateway, period, options, verified_until)
LEFT JOIN line l ON l.name = u.line
ON CONFLICT (serial) DO UPDATE SET model = excluded.model, line_id = excluded.line_id, address = excluded.address,
    gateway = excluded.gateway, period = excluded.period, options = excluded.options,
    verified_until = excluded.verified_until
"""
_REGISTER = """
INSERT INTO register (meter_id, channel, digits, decimals, max_rate)
SELECT m.id, u.channel, u.digits, u.decimals, u.max_rate
FROM unnest(%s::text[], %s::text[], %s::smallint[], %s::smallint[], %s::numeric[])
     AS u(serial, channel, digits, decimals, max_rate)
JOIN meter m ON m.serial = u.serial
ON CONFLICT (meter_id, channel) DO UPDATE
SET digits = excluded.digits, decimals = excluded.decimals, max_rate = excluded.max_rate
"""
# Only after a change of model, which a meter with readings may not have: registers of the mistaken model.
_OTHER_REGISTERS = (
    "SELECT r.id FROM register r JOIN meter m ON m.id = r.meter_id WHERE m.serial = %s AND channel <> ALL(%s)"
)
_FORGET_VALUES = "DELETE FROM installation_reading WHERE register_id = ANY(%s)"
_FORGET_REGISTERS = "DELETE FROM register WHERE id = ANY(%s)"

# Spans that touch cannot be moved one after another, so changed ones are taken out first and put back under their id.
_TAKE_OUT = """
DELETE FROM installation i
USING unnest(%s::text[], %s::timestamptz[]) WITH ORDINALITY AS u(point, since, number), point p
WHERE p.code = u.point AND i.point_id = p.id AND i.since = u.since
RETURNING u.number, i.id
"""
_FACTS = """
FROM unnest(%s::text[], %s::text[], %s::timestamptz[], %s::timestamptz[], %s::numeric[], %s::numeric[], %s::integer[])
     AS u(point, meter, since, until, ct, vt, id)
JOIN point p ON p.code = u.point JOIN meter m ON m.serial = u.meter
"""
_INSTALLATION = f"""
INSERT INTO installation (point_id, meter_id, since, until, ct, vt)
SELECT p.id, m.id, u.since, u.until, u.ct, u.vt {_FACTS}
"""
_PUT_BACK = f"""
INSERT INTO installation (id, point_id, meter_id, since, until, ct, vt) OVERRIDING SYSTEM VALUE
SELECT u.id, p.id, m.id, u.since, u.until, u.ct, u.vt {_FACTS}
"""
_INSTALLATION_READING = """
INSERT INTO installation_reading (installation_id, register_id, opening, closing)
SELECT i.id, r.id, u.opening, u.closing
FROM unnest(%s::text[], %s::timestamptz[], %s::text[], %s::bigint[], %s::bigint[])
     AS u(point, since, channel, opening, closing)
JOIN point p ON p.code = u.point
JOIN installation i ON i.point_id = p.id AND i.since = u.since
JOIN register r ON r.meter_id = i.meter_id AND r.channel = u.channel
"""
_END_CONTRACT = """
DELETE FROM contract c USING unnest(%s::text[], %s::text[], %s::timestamptz[]) AS u(consumer, point, since), point p
WHERE p.code = u.point AND c.consumer = u.consumer AND c.point_id = p.id AND c.since = u.since
"""
_CONTRACT = """
INSERT INTO contract (consumer, point_id, since, until)
SELECT u.consumer, p.id, u.since, u.until
FROM unnest(%s::text[], %s::text[], %s::timestamptz[], %s::timestamptz[]) AS u(consumer, point, since, until)
JOIN point p ON p.code = u.point
"""

_TOGETHER = 10_000

_Conn = psycopg.AsyncConnection[Any]


async def write_difference(conn: _Conn, wanted: Fleet, stored: Fleet, pairs: Pairs, difference: Difference) -> None:
    """Store what the difference names, in the order in which the tables refer to each other."""
    lines = _of(wanted.lines, difference.names("line"))
    await _at_once(conn, _LINE, ((one.name, one.kind, one.address, Jsonb(dict(one.options))) for one in lines))
    points = _of(wanted.points, difference.names("point"))
    await _at_once(conn, _FREE_CODES, ((one.code,) for one in points))
    facts = ((one.code, one.name, one.address, one.zone, one.category, one.official_code) for one in points)
    await _at_once(conn, _POINT, facts)
    await write_meters(conn, _of(wanted.meters, difference.names("meter")), stored.meters)
    changed = [one for one in pairs.installations if one.wanted != one.stored]
    await write_installations(
        conn,
        [one.wanted for one in changed if one.stored is None],
        [(one.stored, one.wanted) for one in changed if one.stored is not None],
    )
    contracts = [(new, old) for new, old in pairs.contracts if new != old]
    ended = [old for _, old in contracts if old is not None]
    await _at_once(conn, _END_CONTRACT, ((one.consumer, one.point, one.since) for one in ended))
    await _at_once(conn, _CONTRACT, ((one.consumer, one.point, one.since, one.until) for one, _ in contracts))


async def write_meters(conn: _Conn, meters: Sequence[FleetMeter], stored: Mapping[str, FleetMeter]) -> None:
    """Store meters with their registers, the bus addresses of all freed first: they may have changed places."""
    await _at_once(conn, _FREE_BUS, ((one.meter.serial,) for one in meters))
    facts = (
        (m.serial, m.model, m.line, m.address, m.gateway, m.period, Jsonb(dict(m.options)), m.verified_until)
        for m in (one.meter for one in meters)
    )
    await _at_once(conn, _METER, facts)
    specs = ((one.meter.serial, spec) for one in meters for spec in one.registers.values())
    rows = ((serial, spec.channel, spec.digits, spec.decimals, spec.max_rate) for serial, spec in specs)
    await _at_once(conn, _REGISTER, rows)
    for one in meters:
        old = stored.get(one.meter.serial)
        if old is not None and old.meter.model != one.meter.model:
            await _forget_registers(conn, one)


async def _forget_registers(conn: _Conn, kept: FleetMeter) -> None:
    rows = await (await conn.execute(_OTHER_REGISTERS, (kept.meter.serial, list(kept.registers)))).fetchall()
    numbers = [number for (number,) in rows]
    await conn.execute(_FORGET_VALUES, (numbers,))
    await conn.execute(_FORGET_REGISTERS, (numbers,))


async def write_installations(
    conn: _Conn, new: Sequence[Installation], changed: Sequence[tuple[Installation, Installation]]
) -> None:
    """Store new installations, and changed ones (old, new) in place of the old, with their register values."""
    taken: dict[int, int] = {}
    if changed:
        columns = ([old.point for old, _ in changed], [old.since for old, _ in changed])
        taken = dict(await (await conn.execute(_TAKE_OUT, columns)).fetchall())
    put_back = (_facts(one, taken[number]) for number, (_, one) in enumerate(changed, 1))
    await _at_once(conn, _PUT_BACK, put_back)
    await _at_once(conn, _INSTALLATION, (_facts(one, None) for one in new))
    values = (
        (one.point, one.since, channel, _micro(one.opening, channel), _micro(one.closing, channel))
        for one in chain(new, (one for _, one in changed))
        for channel in sorted({*one.opening, *one.closing})
    )
    await _at_once(conn, _INSTALLATION_READING, values)


def _facts(one: Installation, number: int | None) -> tuple[Any, ...]:
    return (one.point, one.meter, one.since, one.until, one.ct, one.vt, number)


def _micro(values: Mapping[str, Decimal], channel: str) -> int | None:
    return to_micro(values[channel]) if channel in values else None


async def _at_once(conn: _Conn, statement: str, rows: Iterable[tuple[Any, ...]]) -> None:
    """Run a statement over all rows, handed in as one array a column; of a region some thousands at a time, because a
    statement may not take longer than the pool allows, nor the rows all of the memory.
    """
    left = iter(rows)
    while some := list(islice(left, _TOGETHER)):
        await conn.execute(statement.encode(), [list(column) for column in zip(*some, strict=True)])


_Thing = TypeVar("_Thing")


def _of(things: Mapping[str, _Thing], names: set[str]) -> list[_Thing]:
    return [thing for name, thing in things.items() if name in names]
