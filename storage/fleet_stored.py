"""The stored fleet, whole or the part that a file names, as the same value a file is read into."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
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

_FEW, _TOGETHER = 1_000, 10_000
_NOTHING: Mapping[str, Any] = {}

_Conn = psycopg.AsyncConnection[Any]


class _Once(dict[str, str]):
    """Each text as it was first met: a region names each point and meter several times, and a few zones and models."""

    def __missing__(self, text: str) -> str:
        self[text] = text
        return text


async def load(conn: _Conn, named: Mentioned | None = None) -> Fleet:
    """Everything, or what is named and all installations and contracts that touch it. Instants are UTC."""
    once = _Once()
    registers = await _registers(conn, named, once)
    installations = await _installations(conn, named, once)
    return Fleet(
        lines={once[row[0]]: Line(once[row[0]], *row[1:]) async for row in _rows(conn, _LINES, named)},
        points={
            once[code]: MeteringPoint(once[code], name, address, once[zone], once[category], official)
            async for code, name, address, zone, category, official in _rows(conn, _POINTS, named)
        },
        meters={
            once[serial]: FleetMeter(
                Meter(once[serial], once[model], line and once[line], address, gateway and once[gateway], *rest),
                registers.get(serial, _NOTHING),
            )
            async for serial, model, line, address, gateway, *rest in _rows(conn, _METERS, named)
        },
        installations=installations,
        contracts=[
            Contract(consumer, once[point], since.astimezone(UTC), until and until.astimezone(UTC))
            async for consumer, point, since, until in _rows(conn, _CONTRACTS, named)
        ],
    )


async def _registers(conn: _Conn, named: Mentioned | None, once: _Once) -> dict[str, Mapping[str, RegisterSpec]]:
    """By serial number and channel. Meters with the same registers share them: each further one leads to the next of
    the few mappings there are.
    """
    registers: dict[str, Mapping[str, RegisterSpec]] = {}
    specs: dict[tuple[Any, ...], RegisterSpec] = {}
    longer: dict[tuple[int, int], Mapping[str, RegisterSpec]] = {}
    async for serial, *facts in _rows(conn, _REGISTERS, named):
        spec = specs.setdefault(tuple(facts), RegisterSpec(*facts))
        known = registers.get(serial, _NOTHING)
        step = id(known), id(spec)
        if step not in longer:
            longer[step] = {**known, spec.channel: spec}
        registers[once[serial]] = longer[step]
    return registers


async def _installations(conn: _Conn, named: Mentioned | None, once: _Once) -> list[Installation]:
    opening: dict[int, dict[str, Any]] = {}
    closing: dict[int, dict[str, Any]] = {}
    async for number, channel, first, last in _rows(conn, _INSTALLATION_READINGS, named):
        for values, micro in ((opening, first), (closing, last)):
            if micro is not None:
                values.setdefault(number, {})[once[channel]] = from_micro(micro)
    return [
        Installation(
            once[point],
            once[serial],
            since.astimezone(UTC),
            until and until.astimezone(UTC),
            ct,
            vt,
            opening.get(number, _NOTHING),
            closing.get(number, _NOTHING),
        )
        async for number, point, serial, since, until, ct, vt in _rows(conn, _INSTALLATIONS, named)
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


async def _rows(conn: _Conn, question: tuple[str, str, str], named: Mentioned | None) -> AsyncIterator[tuple[Any, ...]]:
    """The rows; of many things some thousands at a time, because a region's registers are a million."""
    what, where, order = question
    text, asked = (f"{what} {order}", None) if named is None else (f"{what} {where} {order}", _names(named))
    if asked is not None and max(map(len, asked.values())) <= _FEW:
        for row in await (await conn.execute(text.encode(), asked)).fetchall():
            yield row
        return
    async with conn.cursor("fleet") as cursor:
        cursor.itersize = _TOGETHER
        await cursor.execute(text.encode(), asked)
        async for row in cursor:
            yield row


def _names(named: Mentioned) -> dict[str, list[str]]:
    return {"lines": list(named.lines), "points": list(named.points), "meters": list(named.meters)}
