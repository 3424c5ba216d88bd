"""Metering points as the cabinet asks for them: who may see which and when, and what stands there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg

from ingest.model import MeteringPoint, Register
from storage.contacts import CONTACT

_POINT = "p.code, p.name, p.address, p.zone, p.category, p.official_code"

_FIND = f"SELECT {_POINT} FROM point p WHERE p.code = %s"

_FIND_OF_CONSUMER = f"""
SELECT {_POINT}, array_agg(c.since ORDER BY c.since), array_agg(c.until ORDER BY c.since)
FROM point p JOIN contract c ON c.point_id = p.id
WHERE p.code = %s AND c.consumer = %s AND c.since <= now()
GROUP BY p.id
"""

_FIND_MANY = f"SELECT {_POINT} FROM point p WHERE p.code = ANY(%s)"

_FIND_MANY_OF_CONSUMER = _FIND_OF_CONSUMER.replace("p.code = %s", "p.code = ANY(%s)")

_CONTACT = "c.tried_at, c.answered_at, c.failure, c.detail, c.failed_turns, c.drift"
_REMOTE = "m.line_id IS NOT NULL OR m.gateway IS NOT NULL"

# A consumer's list shows what stood at the point at the end of their time, never what came after it. Some consumers
# have thousands of points, so that is looked up for one page.
_PAGE_OF_CONSUMER = f"""
SELECT {_POINT}, p.since, p.until, m.serial, m.model, {_REMOTE}, {_CONTACT}
FROM (SELECT p.*, v.since, v.until
      FROM (SELECT c.point_id, min(c.since) AS since, nullif(max(coalesce(c.until, 'infinity')), 'infinity') AS until
            FROM contract c WHERE c.consumer = %(consumer)s AND c.since <= now() GROUP BY c.point_id) v
      JOIN point p ON p.id = v.point_id AND p.code > %(after)s
      ORDER BY p.code LIMIT %(limit)s) p
LEFT JOIN LATERAL (SELECT meter_id FROM installation
    WHERE point_id = p.id AND since < coalesce(p.until, 'infinity') AND since <= now()
      AND coalesce(until, 'infinity') >= least(now(), p.until)
    ORDER BY since DESC LIMIT 1) i ON true
LEFT JOIN meter m ON m.id = i.meter_id
LEFT JOIN {CONTACT} c ON (p.until IS NULL OR p.until > now())
ORDER BY p.code
"""

_PAGE = f"""
SELECT {_POINT}, NULL::timestamptz, NULL::timestamptz, m.serial, m.model, {_REMOTE}, {_CONTACT}
FROM point p
LEFT JOIN LATERAL (SELECT meter_id FROM installation
    WHERE point_id = p.id AND since <= now() AND (until IS NULL OR until > now())
    ORDER BY since DESC LIMIT 1) i ON true
LEFT JOIN meter m ON m.id = i.meter_id
LEFT JOIN {CONTACT} c ON true
WHERE p.code > %(after)s
ORDER BY p.code LIMIT %(limit)s
"""

_STANDING = f"""
SELECT m.serial, m.model, {_REMOTE}, i.since, i.until, i.ct, i.vt, {_CONTACT},
       r.id, r.channel, r.digits, r.decimals, r.max_rate
FROM point p
JOIN installation i ON i.point_id = p.id AND i.since <= %(at)s AND (i.until IS NULL OR i.until > %(at)s)
JOIN meter m ON m.id = i.meter_id
LEFT JOIN {CONTACT} c ON true
LEFT JOIN register r ON r.meter_id = m.id
WHERE p.code = %(point)s
ORDER BY string_to_array(r.channel, '.')::int[]
"""

_CHANNELS = """
SELECT DISTINCT r.channel FROM point p JOIN installation i ON i.point_id = p.id JOIN register r USING (meter_id)
WHERE p.code = %(point)s AND i.since < %(until)s AND (i.until IS NULL OR i.until > %(since)s)
"""


@dataclass(frozen=True, slots=True)
class Seen:
    """A point somebody may see, over `periods` of [since, until); None is everything (staff)."""

    point: MeteringPoint
    periods: tuple[tuple[datetime, datetime | None], ...] | None


@dataclass(frozen=True, slots=True)
class Contacted:
    """The last attempt to reach a meter; `failure` is a stable code, `detail` names wires and is for staff only.

    `drift` is how far the meter's clock was ahead of ours when it last told it.
    """

    tried_at: datetime
    answered_at: datetime | None
    failure: str | None
    detail: str | None
    failed_turns: int
    drift: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Listed:
    """A point in a list: the whole time it may be seen, and the meter that stands there (or stood at its end)."""

    point: MeteringPoint
    since: datetime | None
    until: datetime | None
    meter: str | None
    model: str | None
    remote: bool
    contact: Contacted | None


@dataclass(frozen=True, slots=True)
class Standing:
    """The meter at a point at one instant. `remote`: it is asked by a line or speaks through a gateway."""

    meter: str
    model: str
    remote: bool
    since: datetime
    until: datetime | None
    ct: Decimal
    vt: Decimal
    registers: tuple[Register, ...]
    contact: Contacted | None


async def find(conn: psycopg.AsyncConnection[Any], code: str, consumer: str | None) -> Seen | None:
    """The point with that code, if `consumer` has or had a contract for it (None: staff see all)."""
    if consumer is None:
        row = await (await conn.execute(_FIND, (code,))).fetchone()
        return row and Seen(MeteringPoint(*row), None)
    row = await (await conn.execute(_FIND_OF_CONSUMER, (code, consumer))).fetchone()
    return row and _seen(row)


async def find_many(conn: psycopg.AsyncConnection[Any], codes: Sequence[str], consumer: str | None) -> dict[str, Seen]:
    """The same for many points, by code: as many questions as for one. What may not be seen is not there."""
    if consumer is None:
        rows = await (await conn.execute(_FIND_MANY, (list(codes),))).fetchall()
        return {row[0]: Seen(MeteringPoint(*row), None) for row in rows}
    rows = await (await conn.execute(_FIND_MANY_OF_CONSUMER, (list(codes), consumer))).fetchall()
    return {row[0]: _seen(row) for row in rows}


def _seen(row: Sequence[Any]) -> Seen:
    *point, since, until = row
    return Seen(MeteringPoint(*point), _merged(list(zip(since, until, strict=True))))


async def page(
    conn: psycopg.AsyncConnection[Any], consumer: str | None, *, after: str, limit: int
) -> tuple[list[Listed], bool]:
    """Points in the order of their codes, those behind `after`, and whether there are more."""
    asked = {"consumer": consumer, "after": after, "limit": limit + 1}
    rows = await (await conn.execute(_PAGE if consumer is None else _PAGE_OF_CONSUMER, asked)).fetchall()
    return [_listed(row) for row in rows[:limit]], len(rows) > limit


async def standing(conn: psycopg.AsyncConnection[Any], code: str, at: datetime) -> Standing | None:
    """What stood at the point at an instant, None for no meter."""
    rows = await (await conn.execute(_STANDING, {"point": code, "at": at})).fetchall()
    if not rows:
        return None
    serial, model, remote, since, until, ct, vt = rows[0][:7]
    found = [row[-5:] for row in rows]
    registers = tuple(Register(number, serial, *facts) for number, *facts in found if number is not None)
    return Standing(serial, model, bool(remote), since, until, ct, vt, registers, _contact(rows[0][7:-5]))


async def channels(conn: psycopg.AsyncConnection[Any], code: str, since: datetime, until: datetime) -> list[str]:
    """Every channel metered at the point at some time within [since, until), in the order of their numbers."""
    rows = await (await conn.execute(_CHANNELS, {"point": code, "since": since, "until": until})).fetchall()
    return sorted((channel for (channel,) in rows), key=lambda channel: [int(part) for part in channel.split(".")])


def _listed(row: Sequence[Any]) -> Listed:
    since, until, serial, model, remote = row[6:11]
    return Listed(MeteringPoint(*row[:6]), since, until, serial, model, bool(remote), _contact(row[11:]))


def _contact(row: Sequence[Any]) -> Contacted | None:
    return None if row[0] is None else Contacted(*row)


def _merged(periods: Sequence[tuple[datetime, datetime | None]]) -> tuple[tuple[datetime, datetime | None], ...]:
    """Periods sorted by their beginning, with those that touch or overlap made one."""
    merged: list[tuple[datetime, datetime | None]] = []
    for since, until in periods:
        if merged and (merged[-1][1] or _EVER) >= since:
            last = max(merged[-1][1] or _EVER, until or _EVER)
            merged[-1] = (merged[-1][0], None if last == _EVER else last)
        else:
            merged.append((since, until))
    return tuple(merged)


_EVER = datetime.max.replace(tzinfo=UTC)
