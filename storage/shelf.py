"""What the history has of a meter, for whoever fills its gaps out of the meter's memory; and the gaps that stay."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import psycopg

from ingest.gaps import Gap, Held, Wanted, joined
from ingest.model import Source
from storage.database import Database

_AT_ONCE = 2
"""Looks at a time of one process: those who write readings need the connections more."""

# Nothing is filled that was thinned on purpose. `greatest` would make an instant of nothing.
_METER = """
SELECT m.id, CASE WHEN min(i.since) IS NOT NULL
                  THEN greatest(min(i.since), (SELECT thinned_until FROM retention)) END,
       ARRAY(SELECT id FROM register WHERE meter_id = m.id AND split_part(channel, '.', 2) = '8' ORDER BY id)
FROM meter m LEFT JOIN installation i ON i.meter_id = m.id
WHERE m.serial = %s GROUP BY m.id
"""
# All keys of a meter's midnights at once; the bounds are for the chunks of a long history.
_MIDNIGHTS = f"""
SELECT DISTINCT taken_at FROM reading
WHERE register_id = ANY(%(registers)s) AND source = {int(Source.AUTOMATIC)} AND taken_at = ANY(%(midnights)s)
  AND taken_at >= %(first)s AND taken_at <= %(last)s
"""
_INTERVALS = f"""
SELECT DISTINCT start FROM interval_reading
WHERE register_id = ANY(%(registers)s) AND source = {int(Source.AUTOMATIC)}
  AND start >= %(since)s AND start < %(until)s
"""
# The polls of a meter share their instants: one of its registers tells of all, the first of those still being read.
_LAST = f"""
WITH ends AS (
    SELECT register_id, taken_at, max(taken_at) OVER () AS last FROM newest
    WHERE register_id = ANY(%(registers)s) AND source = {int(Source.AUTOMATIC)})
SELECT e.register_id, e.last FROM ends e JOIN register r ON r.id = e.register_id
WHERE e.taken_at >= e.last - %(apart)s::interval ORDER BY string_to_array(r.channel, '.')::int[] LIMIT 1
"""
_OF_POLLS = f"FROM reading WHERE register_id = %(register)s AND source = {int(Source.AUTOMATIC)}"
_SILENCES = f"""
WITH polls AS (
    SELECT coalesce((SELECT taken_at {_OF_POLLS} AND taken_at >= %(stood)s AND taken_at < %(since)s
                     ORDER BY taken_at DESC LIMIT 1), greatest(%(stood)s, %(since)s)) AS at
    UNION ALL
    SELECT taken_at {_OF_POLLS} AND taken_at >= greatest(%(stood)s, %(since)s) AND taken_at <= %(last)s)
SELECT before, at FROM (SELECT lag(at) OVER (ORDER BY at) AS before, at FROM polls) steps
WHERE at - before > %(apart)s ORDER BY at
"""

_KNOWN = "SELECT since, until, what, why FROM gap WHERE meter_id = %s ORDER BY since, until, what FOR UPDATE"
_OVER = """
DELETE FROM gap g WHERE meter_id = %(meter)s AND NOT EXISTS (
    SELECT FROM unnest(%(what)s::text[], %(since)s::timestamptz[]) AS u(what, since)
    WHERE u.what = g.what AND u.since = g.since)
"""
_MISSING = """
INSERT INTO gap AS g (meter_id, what, since, until, why)
SELECT %(meter)s, what, since, until, why
FROM unnest(%(what)s::text[], %(since)s::timestamptz[], %(until)s::timestamptz[], %(why)s::text[])
     AS u(what, since, until, why)
ON CONFLICT (meter_id, what, since) DO UPDATE SET until = excluded.until, why = excluded.why
WHERE (g.until, g.why) <> (excluded.until, excluded.why)
"""

_Conn = psycopg.AsyncConnection[Any]


class Shelf:
    """Answers about one meter at a time (see `ingest.gaps`); errors are of `ingest.errors`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._room = asyncio.Semaphore(_AT_ONCE)

    async def held(self, meter: str, wanted: Wanted) -> Held:
        """What is stored of what is wanted; nothing is wanted of a meter that is not stored."""
        async with self._room, self._database.connection() as conn:
            row = await (await conn.execute(_METER, (meter,))).fetchone()
            if row is None or row[1] is None:
                return Held(None)
            _, stood, registers = row
            asked = {"registers": registers, "stood": stood, "since": wanted.since, "until": wanted.until}
            found = Held(stood, await _midnights(conn, registers, wanted))
            if wanted.apart is None:
                return replace(found, intervals=await _instants(conn, _INTERVALS, asked))
            asked["apart"] = wanted.apart
            newest = await (await conn.execute(_LAST, asked)).fetchone()
            if newest is None:
                return found
            asked |= {"register": newest[0], "last": newest[1]}
            silences = await (await conn.execute(_SILENCES, asked)).fetchall()
            return replace(found, silences=silences, last=newest[1])

    async def lost(self, meter: str, gaps: Sequence[Gap], looked: Wanted) -> None:
        """Write down what stays missing, over what a look at an earlier time had found."""
        async with self._room, self._database.connection() as conn:
            row = await (await conn.execute(_METER, (meter,))).fetchone()
            if row is None:
                return
            known = [Gap(*found) for found in await (await conn.execute(_KNOWN, (row[0],))).fetchall()]
            missing = joined(gaps, looked, known)
            columns = {
                "meter": row[0],
                "what": [gap.what for gap in missing],
                "since": [gap.begin for gap in missing],
                "until": [gap.end for gap in missing],
                "why": [gap.why for gap in missing],
            }
            await conn.execute(_OVER, columns)
            await conn.execute(_MISSING, columns)


async def _midnights(conn: _Conn, registers: Sequence[int], wanted: Wanted) -> set[datetime]:
    if not wanted.midnights:
        return set()
    midnights = list(wanted.midnights)
    asked = {"registers": registers, "midnights": midnights, "first": min(midnights), "last": max(midnights)}
    return await _instants(conn, _MIDNIGHTS, asked)


async def _instants(conn: _Conn, question: str, asked: Mapping[str, Any]) -> set[datetime]:
    return {at for (at,) in await (await conn.execute(question.encode(), asked)).fetchall()}
