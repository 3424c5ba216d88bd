"""Meters that speak and are not let in: not in the fleet, or spoken for by a gateway that is not theirs.

They are seen through the quarantine: who spoke for them, since when, and the last value of every channel.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg

from ingest.model import Reading
from storage.held import Held, Parse, Understanding
from storage.quarantine_write import Piece

UNKNOWN, FOREIGN = "unknown_meter", "foreign_meter"

# Where they came from, and whether the fleet knows them, is looked up of those that are shown.
_LIST = """
SELECT q.meter, m.id IS NOT NULL, m.gateway, q.pieces, q.times, q.first_at, q.last_at, o.origins
FROM (SELECT meter, count(*) AS pieces, sum(times)::bigint AS times, min(first_at) AS first_at, max(last_at) AS last_at
      FROM quarantine WHERE reason = %(reason)s AND meter IS NOT NULL GROUP BY meter
      ORDER BY max(last_at) DESC, meter LIMIT %(limit)s) q
LEFT JOIN LATERAL (SELECT id, gateway FROM meter WHERE serial = q.meter LIMIT 1) m ON true
CROSS JOIN LATERAL (SELECT (array_agg(DISTINCT origin))[1:5] AS origins FROM quarantine
    WHERE meter = q.meter AND reason = %(reason)s) o
ORDER BY q.last_at DESC, q.meter
"""
_NEWEST = """
SELECT DISTINCT ON (meter, channel) id, digest, origin, reason, detail, raw, meter, channel, times, first_at
FROM quarantine WHERE reason = %(reason)s AND meter = ANY(%(meters)s)
ORDER BY meter, channel, last_at DESC, id DESC
"""

_Conn = psycopg.AsyncConnection[Any]


@dataclass(frozen=True, slots=True)
class Stranger:
    """A meter with pieces in quarantine. `gateways` spoke for it last, `values` are its last readings by channel.

    `known`: it is in the fleet now, and belongs to the gateway `owner` (None: to nobody).
    """

    meter: str
    known: bool
    owner: str | None
    gateways: tuple[str, ...]
    origins: tuple[str, ...]
    pieces: int
    times: int
    first_at: datetime
    last_at: datetime
    values: Mapping[str, Reading]


async def strangers(conn: _Conn, parse: Parse, reason: str = UNKNOWN, *, limit: int = 100) -> list[Stranger]:
    """Meters with pieces of that reason (UNKNOWN or FOREIGN), the last heard first."""
    found = await (await conn.execute(_LIST, {"reason": reason, "limit": limit})).fetchall()
    asked = {"reason": reason, "meters": [row[0] for row in found]}
    newest = [Held(row[0], Piece(*row[1:9]), row[9]) for row in await (await conn.execute(_NEWEST, asked)).fetchall()]
    understood = Understanding(parse)
    heard: dict[str, _Heard] = {}
    for one in newest:
        meter = one.piece.meter or ""
        heard.setdefault(meter, _Heard({}, {})).add(meter, understood, one)
    return [_stranger(row, heard.get(row[0]) or _Heard({}, {})) for row in found]


@dataclass(slots=True)
class _Heard:
    values: dict[str, Reading]
    gateways: dict[str, None]

    def add(self, meter: str, understood: Understanding, held: Held) -> None:
        delivery = understood.share(held)
        if delivery.gateway is not None:
            self.gateways[delivery.gateway] = None
        for reading in delivery.readings:
            last = self.values.get(reading.channel)
            if reading.meter == meter and (last is None or last.taken_at < reading.taken_at):
                self.values[reading.channel] = reading


def _stranger(row: Sequence[Any], heard: _Heard) -> Stranger:
    meter, known, owner, pieces, times, first_at, last_at, origins = row
    values = dict(sorted(heard.values.items()))
    return Stranger(
        meter, known, owner, tuple(heard.gateways), tuple(origins), pieces, times, first_at, last_at, values
    )
