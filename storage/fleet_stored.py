"""The stored fleet, whole or the part that a file names, as the same value a file is read into."""

from __future__ import annotations

from datetime import UTC
from typing import Any

import psycopg

from ingest.channel import from_micro
from ingest.model import Installation, Line, Meter, MeteringPoint, RegisterSpec
from storage.fleet_difference import Absent, absent_of
from storage.fleet_model import Contract, Fleet, FleetMeter, Mentioned

_LINES = ("SELECT name, kind, address, options FROM line", "WHERE name = ANY(%(lines)s)", "ORDER BY name")
_POINTS = (
    "SELECT code, name, address, zone, category, official_code FROM point",
    "WHERE code = ANY(%(points)s)",
    "ORDER BY code",
)
_METERS = (
    "SELECT m.serial, m.model, l.name, m.address, m.gateway, m.period, m.options, m.verified_until "
    "FROM meter m LEFT JOIN line l ON l.id = m.line_id",
    "WHERE m.serial = ANY(%(meters)s)",
    "ORDER BY m.serial",
)
_REGISTERS = (
    "SELECT m.serial, r.channel, r.digits, r.decimals, r.max_rate FROM register r JOIN meter m ON m.id = r.meter_id",
    "WHERE m.serial = ANY(%(meters)s)",
    "ORDER BY m.serial, string_to_array(r.channel, '.')::int[]",
)
_INSTALLED = "JOIN point p ON p.id = i.point_id JOIN meter m ON m.id = i.meter_id"
# By a union: with OR over two tables every installation would be read.
_TOUCHED = """WHERE i.id = ANY(ARRAY(
    SELECT i.id FROM installation i JOIN point p ON p.id = i.point_id WHERE p.code = ANY(%(points)s)
    UNION SELECT i.id FROM installation i JOIN meter m ON m.id = i.meter_id WHERE m.serial = ANY(%(meters)s)))"""
_INSTALLATIONS = (
    f"SELECT i.id, p.code, m.serial, i.since, i.until, i.ct, i.vt FROM installation i {_INSTALLED}",
    _TOUCHED,
    "ORDER BY p.code, i.since",
)
_INSTALLATION_READINGS = (
    "SELECT i.id, r.channel, v.opening, v.closing FROM installation_reading v JOIN register r ON r.id = v.register_id "
    f"JOIN installation i ON i.id = v.installation_id {_INSTALLED}",
    _TOUCHED,
    "ORDER BY i.id, string_to_array(r.channel, '.')::int[]",
)
_CONTRACTS = (
    "SELECT c.consumer, p.code, c.since, c.until FROM contract c JOIN point p ON p.id = c.point_id",
    "WHERE p.code = ANY(%(points)s)",
    "ORDER BY c.consumer, p.code, c.since",
)

_ABSENT = """
SELECT {name}, (SELECT count(*) FROM {kind}) - (SELECT count(*) FROM {kind} WHERE {name} = ANY(%(named)s))
FROM {kind} k WHERE NOT EXISTS (SELECT FROM unnest(%(named)s::text[]) AS named(name) WHERE named.name = k.{name})
ORDER BY {name} LIMIT 20
"""
_KINDS = (("line", "name"), ("point", "code"), ("meter", "serial"))

_Conn = psycopg.AsyncConnection[Any]


async def load(conn: _Conn, named: Mentioned | None = None) -> Fleet:
    """Everything, or what is named and all installations and contracts that touch it. Instants are UTC."""
    installations = await _installations(conn, named)
    registers: dict[str, dict[str, RegisterSpec]] = {}
    for serial, channel, digits, decimals, max_rate in await _rows(conn, _REGISTERS, named):
        registers.setdefault(serial, {})[channel] = RegisterSpec(channel, digits, decimals, max_rate)
    meters = [Meter(*row) for row in await _rows(conn, _METERS, named)]
    return Fleet(
        lines={row[0]: Line(*row) for row in await _rows(conn, _LINES, named)},
        points={row[0]: MeteringPoint(*row) for row in await _rows(conn, _POINTS, named)},
        meters={meter.serial: FleetMeter(meter, registers.get(meter.serial, {})) for meter in meters},
        installations=installations,
        contracts=[
            Contract(consumer, point, since.astimezone(UTC), until and until.astimezone(UTC))
            for consumer, point, since, until in await _rows(conn, _CONTRACTS, named)
        ],
    )


async def _installations(conn: _Conn, named: Mentioned | None) -> list[Installation]:
    opening: dict[int, dict[str, Any]] = {}
    closing: dict[int, dict[str, Any]] = {}
    for number, channel, first, last in await _rows(conn, _INSTALLATION_READINGS, named):
        for values, micro in ((opening, first), (closing, last)):
            if micro is not None:
                values.setdefault(number, {})[channel] = from_micro(micro)
    return [
        Installation(
            point,
            serial,
            since.astimezone(UTC),
            until and until.astimezone(UTC),
            ct,
            vt,
            opening.get(number, {}),
            closing.get(number, {}),
        )
        for number, point, serial, since, until, ct, vt in await _rows(conn, _INSTALLATIONS, named)
    ]


async def absent(conn: _Conn, named: Mentioned) -> list[Absent]:
    """What is stored and not named."""
    found = []
    for (kind, name), names in zip(_KINDS, _names(named).values(), strict=True):
        question = _ABSENT.format(kind=kind, name=name)
        rows = await (await conn.execute(question.encode(), {"named": names})).fetchall()
        if rows:
            found.append(absent_of(kind, rows[0][1], [row[0] for row in rows]))
    return found


async def _rows(conn: _Conn, question: tuple[str, str, str], named: Mentioned | None) -> list[tuple[Any, ...]]:
    what, where, order = question
    if named is None:
        return await (await conn.execute(f"{what} {order}".encode())).fetchall()
    return await (await conn.execute(f"{what} {where} {order}".encode(), _names(named))).fetchall()


def _names(named: Mentioned) -> dict[str, list[str]]:
    return {"lines": list(named.lines), "points": list(named.points), "meters": list(named.meters)}
