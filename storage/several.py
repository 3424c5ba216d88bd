"""The consumption of many points at once: a district's report is as many questions to the database as one point's."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import psycopg

from ingest.calendar_cuts import Step, cuts
from ingest.consumption import Amount, Policy, consumption
from ingest.errors import NotFound
from storage.stretches import stretches_of

_TOGETHER = 1000
"""Points selected at once: some thousands of readings, whatever the district."""

_ZONES = "SELECT code, zone FROM point WHERE code = ANY(%(points)s)"


async def consumption_of_points(
    conn: psycopg.AsyncConnection[Any],
    points: Sequence[str],
    channel: str,
    begin: date,
    end: date,
    step: Step,
    *,
    policy: Policy | None = None,
) -> dict[str, Sequence[Amount]]:
    """By point, the amounts of one channel between the local midnights of `begin` and `end`, cut in the point's zone.

    Raises NotFound that names the first point nobody knows, Malformed for dates or steps that cannot be cut.
    """
    zones = await zones_of(conn, points)
    borders = {zone: cuts(_midnight(begin, zone), _midnight(end, zone), step, zone) for zone in set(zones.values())}
    return await amounts_between(conn, {point: borders[zones[point]] for point in points}, channel, policy=policy)


async def amounts_between(
    conn: psycopg.AsyncConnection[Any],
    borders: Mapping[str, Sequence[datetime]],
    channel: str,
    *,
    policy: Policy | None = None,
) -> dict[str, Sequence[Amount]]:
    """By point, the amounts of one channel between adjacent cuts of its own; points with the same cuts go together.

    A point that nobody knows has amounts without grounds, as one where no meter stands.
    """
    alike: dict[tuple[datetime, ...], list[str]] = defaultdict(list)
    for point, edges in borders.items():
        alike[tuple(edges)].append(point)
    found: dict[str, Sequence[Amount]] = {}
    for edges, points in alike.items():
        for group in _groups(points):
            selected = await stretches_of(conn, group, [channel], edges)
            # A thousand years of months are a quarter of a second of arithmetic: nobody else should wait for it.
            found |= await asyncio.to_thread(
                lambda s, e: {point: consumption(s[point][channel], e, policy) for point in s}, selected, edges
            )
    return {point: found[point] for point in borders}


async def zones_of(conn: psycopg.AsyncConnection[Any], points: Sequence[str]) -> dict[str, ZoneInfo]:
    """The zones of the points. Raises NotFound that names the first point nobody knows."""
    rows = await (await conn.execute(_ZONES, {"points": list(points)})).fetchall()
    zones = {code: ZoneInfo(zone) for code, zone in rows}
    for point in points:
        if point not in zones:
            raise NotFound(f"there is no metering point {point!r}; 'amr fleet export' lists all of them")
    return zones


def _groups(points: Sequence[str]) -> Iterator[Sequence[str]]:
    for n in range(0, len(points), _TOGETHER):
        yield points[n : n + _TOGETHER]


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=zone)
