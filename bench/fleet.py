"""The fleet that is measured: half as many points as registers, every fourth of them with five registers."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import psycopg

ZONE = "Europe/Samara"
SINCE = datetime(2015, 1, 1, tzinfo=UTC)

# Points 1 .. n/8 have a three-phase meter with two zones, the others count one total.
_FLEET = """
INSERT INTO point (code, zone) SELECT 'B' || g, %(zone)s FROM generate_series(1, %(points)s) g;
INSERT INTO meter (serial, model) SELECT 'b' || g, 'bench' FROM generate_series(1, %(points)s) g;
INSERT INTO register (meter_id, channel, digits, decimals, max_rate)
SELECT m.id, c.channel, 8, 2, 30 FROM generate_series(1, %(points)s) g JOIN meter m ON m.serial = 'b' || g
CROSS JOIN (VALUES (1, '1.8.0'), (2, '1.8.1'), (3, '1.8.2'), (4, '2.8.0'), (5, '3.8.0')) AS c(n, channel)
WHERE c.n = 1 OR g <= %(many)s ORDER BY g, c.n;
INSERT INTO installation (point_id, meter_id, since)
SELECT p.id, m.id, %(since)s FROM point p JOIN meter m ON m.serial = lower(p.code);
ANALYZE point, meter, register, installation;
"""


async def make_fleet(conn: psycopg.AsyncConnection[Any], registers: int) -> None:
    """Points B1, B2 … with meters b1, b2 …; `registers` of them in all (a multiple of 8)."""
    asked = {"zone": ZONE, "since": SINCE, "points": registers // 2, "many": registers // 8}
    await psycopg.AsyncClientCursor(conn).execute(_FLEET, asked)
