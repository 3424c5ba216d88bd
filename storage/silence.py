"""What is known of every meter that should be heard by itself, for `ingest.silence` to say what is at fault."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import psycopg

from ingest.model import Source
from ingest.silence import Heard, Road, Roads
from storage.processes import Process

# A gateway's meter was heard when its newest machine-given reading came in: one probe of each series' end.
_HEARD = f"""
SELECT m.serial, p.code, l.name, m.gateway, m.period, i.since, c.tried_at, c.answered_at, c.failure, c.detail
FROM installation i
JOIN meter m ON m.id = i.meter_id
JOIN point p ON p.id = i.point_id
LEFT JOIN line l ON l.id = m.line_id
LEFT JOIN LATERAL (
    SELECT tried_at, answered_at, failure, detail FROM last_contact WHERE meter_id = m.id AND m.gateway IS NULL
    UNION ALL
    SELECT heard.at, heard.at, NULL, NULL
    FROM (SELECT n.* FROM register g JOIN newest n ON n.register_id = g.id AND n.source = {int(Source.AUTOMATIC)}
          WHERE g.meter_id = m.id AND m.gateway IS NOT NULL ORDER BY n.taken_at DESC LIMIT 1) e
    CROSS JOIN LATERAL (SELECT received_at AS at FROM reading
          WHERE register_id = e.register_id AND source = e.source AND taken_at = e.taken_at LIMIT 1) heard) c ON true
WHERE i.since <= now() AND (i.until IS NULL OR i.until > now()) AND (l.id IS NOT NULL OR m.gateway IS NOT NULL)
ORDER BY m.serial
"""


async def heard(conn: psycopg.AsyncConnection[Any]) -> list[Heard]:
    """Every installed meter on a line or behind a gateway, by serial number."""
    return [_heard(*row) for row in await (await conn.execute(_HEARD)).fetchall()]


def _heard(serial: str, point: str, line: str | None, gateway: str | None, *rest: Any) -> Heard:
    road, via = (Road.GATEWAY, gateway or "") if line is None else (Road.LINE, line)
    return Heard(serial, point, road, via, *rest)


def roads(running: Sequence[Process]) -> Roads:
    """What the processes' own reports say of the part of the road that is ours."""
    alive = [one for one in running if one.alive]
    subscribers = [one for one in alive if one.role == "subscriber"]
    brokers: dict[str, tuple[datetime, str] | None] = {}
    for one in subscribers:
        lost = None
        if not one.state["connected"]:
            lost = (datetime.fromisoformat(one.state["since"]), one.state["detail"])
        if brokers.get(one.state["broker"], lost) is not None or lost is None:
            brokers[one.state["broker"]] = lost
    return Roads(any(one.role == "collector" for one in alive), bool(subscribers), brokers)
