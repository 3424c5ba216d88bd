"""The ends of the series: read before a batch is judged, found anew after a thorough look."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import psycopg

from ingest.channel import is_counter
from ingest.judge import OUTSIDE, REACH, limits_of, troubled_steps
from ingest.model import Register, Source
from ingest.store import End
from storage.arrays import Bigints, Integers, Smallints
from storage.instants import FROM_MICROS, micros_cursor

_FIND = """
SELECT n.register_id, n.source, n.taken_at, n.value, n.calm, n.version
FROM unnest(%(registers)s::int[], %(sources)s::smallint[]) AS u(register_id, source)
JOIN newest n USING (register_id, source)
"""

_LOCK = "SELECT FROM newest WHERE register_id = ANY(%s) ORDER BY register_id, source FOR UPDATE"

# The last readings of each machine-given series of a register, oldest first.
_TAILS = """
SELECT r.id, r.channel, r.digits, r.decimals, r.max_rate, r.people, t.source, t.taken_at, t.value
FROM register r
CROSS JOIN unnest(%(machines)s::smallint[]) AS s(source)
CROSS JOIN LATERAL (
    SELECT source, taken_at, value FROM reading
    WHERE register_id = r.id AND source = s.source AND reasons & %(outside)s = 0
    ORDER BY taken_at DESC LIMIT %(count)s) t
WHERE r.id = ANY(%(registers)s)
ORDER BY r.id, t.source, t.taken_at
"""

_RENEW = f"""
INSERT INTO newest AS n (register_id, source, taken_at, value, calm)
SELECT register_id, source, {FROM_MICROS.format("at")}, value, calm
FROM unnest(%(registers)s::int[], %(sources)s::smallint[], %(at)s::bigint[], %(values)s::bigint[], %(calm)s::boolean[])
     AS u(register_id, source, at, value, calm)
ORDER BY register_id, source
ON CONFLICT (register_id, source) DO UPDATE
SET taken_at = excluded.taken_at, value = excluded.value, calm = excluded.calm, version = n.version + 1
"""

MACHINES = [int(Source.AUTOMATIC), int(Source.IMPORT)]


async def find(
    conn: psycopg.AsyncConnection[Any], series: Sequence[tuple[int, Source]]
) -> dict[tuple[int, Source], End]:
    """The stored ends by (register, source)."""
    cursor = micros_cursor(conn)
    await cursor.execute(
        _FIND,
        {
            "registers": Integers(register for register, _ in series),
            "sources": Smallints(source for _, source in series),
        },
    )
    return {
        (register, Source(source)): End(at, value, calm, version)
        for register, source, at, value, calm, version in await cursor.fetchall()
    }


async def lock(conn: psycopg.AsyncConnection[Any], registers: Sequence[int]) -> None:
    """Hold the ends of these registers' series until the commit."""
    await conn.execute(_LOCK, (Integers(registers),))


async def renew(conn: psycopg.AsyncConnection[Any], registers: Sequence[int]) -> None:
    """Find the ends of all machine-given series of these registers from what is stored."""
    cursor = micros_cursor(conn)
    await cursor.execute(
        _TAILS,
        {"registers": Integers(registers), "machines": MACHINES, "outside": int(OUTSIDE), "count": 2 * REACH + 1},
    )
    tails: dict[tuple[int, int], list[tuple[Any, ...]]] = defaultdict(list)
    for row in await cursor.fetchall():
        tails[row[0], row[6]].append(row)
    if not tails:
        return
    rows = [
        (register_id, source, tail[-1][7], tail[-1][8], _calm(tail)) for (register_id, source), tail in tails.items()
    ]
    numbers, sources, ats, values, calm = zip(*rows, strict=True)
    given = {
        "registers": Integers(numbers),
        "sources": Smallints(sources),
        "at": Bigints(ats),
        "values": Bigints(values),
    }
    await conn.execute(_RENEW, {**given, "calm": list(calm)})


def _calm(tail: Sequence[tuple[Any, ...]]) -> bool:
    """No step among the last readings is troubled, and no person has typed in a reading of the register."""
    register_id, channel, digits, decimals, max_rate, people, *_ = tail[0]
    if people:
        return False
    if not is_counter(channel):
        return True
    limits = limits_of(Register(register_id, "", channel, digits, decimals, max_rate))
    return not troubled_steps([row[7] for row in tail], [row[8] for row in tail], limits)
