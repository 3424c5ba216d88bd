"""The momentary values of a point's meters, as moments of the supply: multiplied by the transformers' ratios."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg

from ingest.instants import micros, span
from ingest.model import Quality, Source
from ingest.power_quality import Moment, hold, primary_ratio

_STANDING = """
SELECT r.id, r.channel, m.serial, m.period, greatest(i.since, %(since)s), least(i.until, %(until)s), i.ct, i.vt
FROM point p JOIN installation i ON i.point_id = p.id JOIN meter m ON m.id = i.meter_id
JOIN register r ON r.meter_id = m.id
WHERE p.code = %(point)s AND i.since < %(until)s AND (i.until IS NULL OR i.until > %(since)s)
    AND split_part(r.channel, '.', 2) = '7' AND (%(channel)s::text IS NULL OR r.channel = %(channel)s)
ORDER BY string_to_array(r.channel, '.')::int[], i.since
"""
_MOMENTS = """
SELECT s.n, x.taken_at, x.value
FROM unnest(%(n)s::int[], %(registers)s::int[], %(since)s::timestamptz[], %(until)s::timestamptz[])
    AS s(n, register_id, since, until)
JOIN reading x ON x.register_id = s.register_id AND x.source = %(automatic)s AND x.taken_at >= s.since
    AND x.taken_at < s.until AND x.taken_at >= %(first)s AND x.taken_at < %(last)s AND x.quality <> %(suspect)s
ORDER BY s.n, x.taken_at LIMIT %(most)s
"""


@dataclass(frozen=True, slots=True)
class Standing:
    """A momentary register over the time its meter stood at the point, within what was asked for."""

    register_id: int
    channel: str
    meter: str
    period: timedelta
    since: datetime
    until: datetime
    ct: Decimal
    vt: Decimal

    def covers(self, at: datetime) -> bool:
        """Whether it stood there then."""
        return self.since <= at < self.until

    @property
    def ratio(self) -> Decimal:
        """What its values are multiplied by to be those of the supply."""
        return primary_ratio(self.channel, self.ct, self.vt)


async def standing(
    conn: psycopg.AsyncConnection[Any], point: str, since: datetime, until: datetime, channel: str | None = None
) -> list[Standing]:
    """The momentary registers that stood at the point within [since, until), by channel and time."""
    asked = {"point": point, "since": since, "until": until, "channel": channel}
    return [Standing(*row) for row in await (await conn.execute(_STANDING, asked)).fetchall()]


async def moments(
    conn: psycopg.AsyncConnection[Any], registers: Sequence[Standing], *, most: int
) -> dict[str, list[Moment]] | None:
    """Good moments by channel in the order of time; None for more than `most`."""
    if not registers:
        return {}
    asked = {
        "n": list(range(len(registers))),
        "registers": [one.register_id for one in registers],
        "since": [one.since for one in registers],
        "until": [one.until for one in registers],
        "first": min(one.since for one in registers),
        "last": max(one.until for one in registers),
        "automatic": int(Source.AUTOMATIC),
        "suspect": int(Quality.SUSPECT),
        "most": most + 1,
    }
    rows = await (await conn.execute(_MOMENTS, asked, binary=True)).fetchall()
    if len(rows) > most:
        return None
    found: dict[str, list[Moment]] = {one.channel: [] for one in registers}
    ratios = [one.ratio for one in registers]
    holds = [span(hold(one.period)) for one in registers]
    ends = [micros(one.until) for one in registers]
    for n, at, value in rows:
        instant = micros(at)
        shown = value if ratios[n] == 1 else int(value * ratios[n])
        found[registers[n].channel].append(Moment(instant, min(instant + holds[n], ends[n]), shown))
    return found
