"""The figures of a point and its months with substitutes: which readings they need, and as of when."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import psycopg

from ingest.calendar_cuts import Step, cuts, shifted
from ingest.consumption import Amount, Policy, consumption
from ingest.errors import NotFound
from ingest.model import Quality, Source
from ingest.statistics import AsOf, Statistics, periods, statistics
from ingest.substitutes import SubstituteRule, substituted
from storage.history import latest
from storage.standing import load
from storage.stretches import stretches, within

_ZONE = "SELECT zone FROM point WHERE code = %s"

# The end of the newest interval of each profile: one probe of the key for each source.
_PROFILE_END = """
SELECT r.channel, x.source, least(x.start + x.seconds * interval '1 second', i.until)
FROM point p
JOIN installation i ON i.point_id = p.id
JOIN register r ON r.meter_id = i.meter_id AND r.channel = ANY(%(channels)s)
JOIN profile_series s ON s.register_id = r.id
CROSS JOIN LATERAL (
    SELECT source, start, seconds FROM interval_reading
    WHERE register_id = r.id AND source = s.source AND start >= i.since AND start < coalesce(i.until, 'infinity')
      AND start < %(until)s
    ORDER BY start DESC LIMIT 1) x
WHERE p.code = %(point)s
"""


async def point_statistics(
    conn: psycopg.AsyncConnection[Any],
    point: str,
    channel: str = "1.8.0",
    *,
    now: datetime,
    policy: Policy | None = None,
    zone: ZoneInfo | None = None,
) -> Statistics:
    """The figures of one channel of a point as they are known at `now`; `zone` is the point's, where that is known.

    Raises NotFound for a point that does not exist. A channel nobody meters has figures without amounts.
    """
    zone = zone or await _zone(conn, point)
    places = await load(conn, [point])
    quantity = channel.rpartition(".")[0]
    alike = [one for one in places[point].every if one.channel.rpartition(".")[0] == quantity]
    zones = sorted({one.channel for one in alike} - {channel}) if channel.endswith(".0") else []
    names = [channel, *zones]
    as_of = await _as_of(conn, point, names, now, profiled=any(one.profiled for one in alike))
    asked = periods(now, as_of, zone)
    cuts_ = sorted({*asked.days, *asked.last_year})
    selected = (await within(conn, places, names, cuts_))[point]  # one look serves all
    return statistics(channel, asked, selected, selected, as_of, policy)


async def months(
    conn: psycopg.AsyncConnection[Any],
    point: str,
    channel: str,
    since: datetime,
    until: datetime,
    *,
    now: datetime,
    policy: Policy | None = None,
    rule: SubstituteRule | None = None,
) -> list[Amount]:
    """The calendar months that hold [since, until), those without readings substituted where the rule allows it.

    Raises NotFound for a point that does not exist.
    """
    zone = await _zone(conn, point)
    rule, policy = rule or SubstituteRule(), policy or Policy()
    begin, end = shifted(since, Step.MONTH, 0, zone), shifted(until - timedelta.resolution, Step.MONTH, 1, zone)
    known_from = shifted(begin, Step.MONTH, -max(rule.within, 12), zone)
    borders = cuts(known_from, end, Step.MONTH, zone)
    found = (await stretches(conn, point, [channel], borders))[channel]
    spread = consumption(found, borders, replace(policy, distribute=True))
    amounts = substituted(consumption(found, borders, policy), spread, zone, now, rule)
    return [amount for amount in amounts if amount.begin >= begin]


async def _zone(conn: psycopg.AsyncConnection[Any], point: str) -> ZoneInfo:
    row = await (await conn.execute(_ZONE, (point,))).fetchone()
    if row is None:
        raise NotFound(f"there is no metering point {point!r}; 'amr fleet export' lists all of them")
    return ZoneInfo(row[0])


async def _as_of(
    conn: psycopg.AsyncConnection[Any], point: str, names: list[str], now: datetime, *, profiled: bool
) -> AsOf | None:
    """The newest instant the first of the channels is known at: by itself, or by all others, its zones, together."""
    newest: dict[str, AsOf] = {}
    for found in await latest(conn, point, until=now + timedelta.resolution, channels=names):
        facts = [one for one in (found.reading, *found.others) if one.quality is Quality.GOOD]
        if facts:
            last = max(facts, key=lambda one: one.taken_at)
            newest[last.channel] = AsOf(last.taken_at, last.source)
    asked = {"point": point, "channels": names, "until": now}
    for name, source, at in await (await conn.execute(_PROFILE_END, asked)).fetchall() if profiled else ():
        end = AsOf(min(at, now), Source(source))
        if name not in newest or end.at > newest[name].at:
            newest[name] = end
    channel, *zones = names
    own = [newest[channel]] if channel in newest else []
    if zones and all(name in newest for name in zones):
        own.append(min((newest[name] for name in zones), key=lambda known: known.at))
    return max(own, key=lambda known: known.at, default=None)
