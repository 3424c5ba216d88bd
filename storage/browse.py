"""The fleet as engineers look through it: meters and lines page by page, one of them whole, who stood at a point."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from ingest.model import Installation, Meter, RegisterSpec
from storage.conditions import conditions
from storage.contacts import CONTACT
from storage.fleet_model import Contract, Mentioned
from storage.fleet_secrets import masked
from storage.fleet_stored import load
from storage.points import Contacted

_METERS = """
SELECT m.serial, m.model, l.name, m.address, m.gateway, m.period, m.verified_until, p.code,
       c.tried_at, c.answered_at, c.failure, c.detail, c.failed_turns, c.drift
FROM meter m
LEFT JOIN line l ON l.id = m.line_id
LEFT JOIN LATERAL (SELECT point_id FROM installation
    WHERE meter_id = m.id AND since <= now() AND (until IS NULL OR until > now()) LIMIT 1) i ON true
LEFT JOIN point p ON p.id = i.point_id
LEFT JOIN {contact} c ON true
WHERE {conditions}
ORDER BY m.serial LIMIT %(limit)s
"""
_LINES = """
SELECT l.name, l.kind, l.address, l.options, (SELECT count(*) FROM meter WHERE line_id = l.id)
FROM line l WHERE {conditions}
ORDER BY l.name LIMIT %(limit)s
"""

_Conn = psycopg.AsyncConnection[Any]
_NONE: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class ListedMeter:
    """A meter, the point it stands at now, and when it was last heard."""

    meter: Meter
    point: str | None
    contact: Contacted | None


@dataclass(frozen=True, slots=True)
class KnownMeter:
    """A meter with its registers and every installation it ever had, the first one first.

    `options` are those of its sessions, without any password.
    """

    listed: ListedMeter
    options: Mapping[str, Any]
    registers: Sequence[RegisterSpec]
    installations: Sequence[Installation]


@dataclass(frozen=True, slots=True)
class ListedLine:
    """A line, without any password among its options, and how many meters are asked over it."""

    name: str
    kind: str
    address: str
    options: Mapping[str, Any]
    meters: int


async def meters(
    conn: _Conn,
    *,
    after: str = "",
    limit: int = 100,
    line: str | None = None,
    gateway: str | None = None,
    model: str | None = None,
) -> tuple[list[ListedMeter], bool]:
    """Meters in the order of their serial numbers, those behind `after`, and whether there are more."""
    asked = {"after": after, "limit": limit + 1, "line": line, "gateway": gateway, "model": model}
    chosen = conditions(
        (after, "m.serial > %(after)s"),
        (line, "m.line_id = (SELECT id FROM line WHERE name = %(line)s)"),
        (gateway, "m.gateway = %(gateway)s"),
        (model, "m.model = %(model)s"),
    )
    rows = await _meters(conn, chosen, asked)
    return [_listed(row) for row in rows[:limit]], len(rows) > limit


async def meter(conn: _Conn, serial: str) -> KnownMeter | None:
    """One meter whole, None when there is none."""
    rows = await _meters(conn, "m.serial = %(serial)s", {"serial": serial, "limit": 1})
    if not rows:
        return None
    there = await load(conn, Mentioned(_NONE, _NONE, frozenset({serial})))
    stays = sorted((one for one in there.installations if one.meter == serial), key=lambda one: one.since)
    known = there.meters[serial]
    return KnownMeter(_listed(rows[0]), masked(known.meter.options), list(known.registers.values()), stays)


async def lines(
    conn: _Conn, *, after: str = "", limit: int = 100, name: str | None = None
) -> tuple[list[ListedLine], bool]:
    """Lines in the order of their names, those behind `after` (or the one of that name), and whether there are more."""
    question = _LINES.format(conditions=conditions((after, "l.name > %(after)s"), (name, "l.name = %(name)s")))
    rows = await (await conn.execute(question.encode(), {"after": after, "limit": limit + 1, "name": name})).fetchall()
    listed = [ListedLine(name, kind, address, masked(options), count) for name, kind, address, options, count in rows]
    return listed[:limit], len(rows) > limit


async def stays(conn: _Conn, code: str) -> tuple[list[Installation], list[Contract]]:
    """Which meters stood at a point, and whose it was: the first ones first."""
    there = await load(conn, Mentioned(_NONE, frozenset({code}), _NONE))
    return (
        sorted((one for one in there.installations if one.point == code), key=lambda one: one.since),
        sorted((one for one in there.contracts if one.point == code), key=lambda one: one.since),
    )


async def _meters(conn: _Conn, chosen: str, asked: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    return await (await conn.execute(_METERS.format(conditions=chosen, contact=CONTACT).encode(), asked)).fetchall()


def _listed(row: Sequence[Any]) -> ListedMeter:
    serial, model, line, address, gateway, period, verified_until, point, *contacted = row
    contact = None if contacted[0] is None else Contacted(*contacted)
    known = Meter(serial, model, line, address, gateway, period, verified_until=verified_until)
    return ListedMeter(known, point, contact)
