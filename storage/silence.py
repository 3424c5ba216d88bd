"""What is known of every meter that should be heard by itself, for `ingest.silence` to say what is at fault."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import psycopg

from ingest.model import Source
from ingest.silence import Heard, Road, Roads
from storage.processes import Process

_ENDS = f"""register g JOIN newest n ON n.register_id = g.id AND n.source = {int(Source.AUTOMATIC)}
     WHERE g.meter_id = m.id AND m.gateway IS NOT NULL"""
# A gateway's meter was heard when its newest machine-given reading came in. One that was taken within three periods is
# near enough: it is not silent. Only of the others the history is asked when they came in.
_CONTACT = f"""
LEFT JOIN last_contact c ON c.meter_id = m.id AND m.gateway IS NULL
LEFT JOIN LATERAL (
    (SELECT n.taken_at AS at FROM {_ENDS} AND n.taken_at BETWEEN now() - 3 * m.period AND now() LIMIT 1)
    UNION ALL
    (SELECT x.received_at FROM (SELECT n.* FROM {_ENDS} ORDER BY n.taken_at DESC LIMIT 1) e JOIN reading x
     ON x.register_id = e.register_id AND x.source = e.source AND x.taken_at = e.taken_at)
    LIMIT 1) heard ON true
"""
# Of a region nearly all are sound: one witness for each line and gateway tells as much as all of them.
_HEARD = f"""
SELECT o.serial, p.code, l.name, o.gateway, o.period, o.since, o.tried_at, o.answered_at, o.failure, o.detail, o.meters
FROM (SELECT e.*, count(*) OVER () AS meters, row_number() OVER (PARTITION BY line_id, gateway, sound) AS place
      FROM (SELECT m.serial, i.point_id, m.line_id, m.gateway, m.period, i.since,
                   coalesce(c.tried_at, heard.at) AS tried_at, coalesce(c.answered_at, heard.at) AS answered_at,
                   c.failure, c.detail, coalesce(c.failure IS NULL
                       AND coalesce(c.tried_at, heard.at) > now() - 3 * m.period, false) AS sound
            FROM installation i
            JOIN meter m ON m.id = i.meter_id AND (m.line_id IS NOT NULL OR m.gateway IS NOT NULL)
            {_CONTACT}
            WHERE i.since <= now() AND (i.until IS NULL OR i.until > now())) e) o
JOIN point p ON p.id = o.point_id
LEFT JOIN line l ON l.id = o.line_id
WHERE NOT sound OR place = 1
ORDER BY o.serial
"""


async def heard(conn: psycopg.AsyncConnection[Any]) -> tuple[int, list[Heard]]:
    """How many meters on a line or behind a gateway are installed; and, by serial number, all that may be silent, with
    one that is not of every line and gateway that has one.
    """
    rows = await (await conn.execute(_HEARD)).fetchall()
    return rows[0][-1] if rows else 0, [_heard(*row[:-1]) for row in rows]


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
