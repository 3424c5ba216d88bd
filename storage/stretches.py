"""Selection for consumption: only the readings around each cut and each break travel, whatever the polling rate.

SQL picks which readings, `ingest.consumption` says what they mean.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg

from ingest.chain import Mark, Slot
from ingest.consumption import Boundary, Counter, Stretch
from ingest.instants import instant, micros
from ingest.judge import Limits, advance, limits_of
from ingest.model import Quality, Register, Source
from storage.instants import micros_cursor

_BREAK_MARGIN = timedelta(days=3)
_FOREVER = micros(datetime.fromisoformat("2200-01-01T00:00:00+00:00"))

_STANDING = """
SELECT i.id, m.serial, i.since, i.until, i.ct * i.vt, r.id, r.channel, r.digits, r.decimals, r.max_rate,
       o.opening, o.closing
FROM point p
JOIN installation i ON i.point_id = p.id AND i.since < %(last)s AND coalesce(i.until, 'infinity') > %(first)s
JOIN meter m ON m.id = i.meter_id
LEFT JOIN register r ON r.meter_id = m.id AND split_part(r.channel, '.', 2) = '8'
LEFT JOIN installation_reading o ON o.installation_id = i.id AND o.register_id = r.id
WHERE p.code = %(point)s
ORDER BY i.since, r.channel
"""

_PRESENT = """
SELECT r.id, s.id FROM unnest(%(registers)s::int[]) AS r(id) CROSS JOIN unnest(%(sources)s::smallint[]) AS s(id)
WHERE EXISTS (SELECT FROM reading WHERE register_id = r.id AND source = s.id)
"""

_BREAKS = """
SELECT register_id, taken_at FROM discontinuity
WHERE register_id = ANY(%(registers)s) AND taken_at BETWEEN %(first)s AND %(last)s
GROUP BY register_id, taken_at
"""

_MICROS = "timestamptz 'epoch' + {} * interval '1 microsecond'"

_AROUND = f"""
SELECT a.n, s.source, b.taken_at, b.value, b.quality, x.taken_at, x.value, x.quality
FROM (SELECT n, register_id, {_MICROS.format("before")} AS before, {_MICROS.format("after")} AS after,
             {_MICROS.format("low")} AS low, {_MICROS.format("high")} AS high
      FROM unnest(%(n)s::int[], %(registers)s::int[], %(before)s::bigint[], %(after)s::bigint[], %(low)s::bigint[],
                  %(high)s::bigint[]) AS u(n, register_id, before, after, low, high)) a
JOIN unnest(%(present_registers)s::int[], %(present_sources)s::smallint[]) AS s(register_id, source)
     ON s.register_id = a.register_id
LEFT JOIN LATERAL (
    SELECT taken_at, value, quality FROM reading
    WHERE register_id = a.register_id AND source = s.source AND taken_at <= a.before AND taken_at >= a.low
      AND quality <> 2 ORDER BY taken_at DESC LIMIT 1) b ON true
LEFT JOIN LATERAL (
    SELECT taken_at, value, quality FROM reading
    WHERE register_id = a.register_id AND source = s.source AND taken_at >= a.after AND taken_at <= a.high
      AND quality <> 2 ORDER BY taken_at LIMIT 1) x ON true
"""

_RUN_START = """
SELECT d.taken_at, d.value, d.quality, f.taken_at, f.value, f.quality
FROM (SELECT taken_at, value, quality FROM reading
      WHERE register_id = %(register)s AND source = %(source)s AND taken_at < %(at)s AND taken_at >= %(low)s
        AND value <> %(value)s AND quality <> 2 ORDER BY taken_at DESC LIMIT 1) d
CROSS JOIN LATERAL (SELECT taken_at, value, quality FROM reading
      WHERE register_id = %(register)s AND source = %(source)s AND taken_at > d.taken_at AND taken_at <= %(at)s
        AND quality <> 2 ORDER BY taken_at LIMIT 1) f
"""

_PROFILED = """
SELECT r.id FROM unnest(%(registers)s::int[]) AS r(id)
WHERE EXISTS (SELECT FROM interval_reading WHERE register_id = r.id AND start >= %(first)s AND start < %(last)s)
"""

_SLOTS = f"""
SELECT bucket, sum(energy)::bigint, sum(seconds)::bigint
FROM (SELECT width_bucket(start, %(edges)s::timestamptz[]) AS bucket, energy, seconds FROM interval_reading
      WHERE register_id = %(register)s AND start >= {_MICROS.format("%(first)s")} AND start < {_MICROS.format("%(last)s")}
        AND quality <> 2) slots
GROUP BY bucket ORDER BY bucket
"""


@dataclass(slots=True)
class _Standing:
    """One register of one installation, and what was found around its cuts."""

    installation: int
    meter: str
    since: datetime
    until: datetime | None
    ratio: Decimal
    register_id: int
    channel: str
    limits: Limits
    opening: int | None
    closing: int | None
    boundaries: list[Boundary] = field(default_factory=list)
    slots: tuple[Slot, ...] = ()

    @property
    def low(self) -> int:
        return micros(self.since)

    @property
    def high(self) -> int:
        return _FOREVER if self.until is None else micros(self.until)

    def counter(self) -> Counter:
        return Counter(
            self.channel, self.limits, tuple(self.boundaries), self.opening, self.closing, self.slots
        )  # fmt: skip


async def stretches(
    conn: psycopg.AsyncConnection[Any], point: str, channels: Sequence[str] | None, cuts: Sequence[datetime]
) -> dict[str, list[Stretch]]:
    """For each channel (None: every counter of the point) its installations over the cuts, oldest first.

    A total (C.8.0) that a meter has no register for consists of its zones. A channel nobody ever metered has an empty
    list.
    """
    asked = {"point": point, "first": cuts[0], "last": cuts[-1]}
    rows = await (await conn.execute(_STANDING, asked, binary=True)).fetchall()
    installations = {row[0]: row[:5] for row in rows}
    every = [_standing(row) for row in rows if row[5] is not None]
    names = sorted({standing.channel for standing in every} | _totals(every)) if channels is None else list(channels)
    members = {(key, name): _members(every, key, name) for key in installations for name in names}
    wanted = list({id(one): one for group in members.values() for one in group}.values())
    await _fill(conn, wanted, [micros(cut) for cut in cuts])
    return {
        name: [
            Stretch(serial, since, until, ratio, tuple(one.counter() for one in members[key, name]))
            for key, serial, since, until, ratio in installations.values()
            if members[key, name] or any(members[other, name] for other in installations)
        ]
        for name in names
    }


def _standing(row: Sequence[Any]) -> _Standing:
    installation, serial, since, until, ratio, register_id, channel, digits, decimals, max_rate, opening, closing = row
    limits = limits_of(Register(register_id, serial, channel, digits, decimals, max_rate))
    return _Standing(installation, serial, since, until, ratio, register_id, channel, limits, opening, closing)


def _totals(every: Sequence[_Standing]) -> set[str]:
    return {one.channel.rsplit(".", 1)[0] + ".0" for one in every}


def _members(every: Sequence[_Standing], installation: int, channel: str) -> list[_Standing]:
    """The register itself, or the zones of a total the meter does not have."""
    here = [one for one in every if one.installation == installation]
    own = [one for one in here if one.channel == channel]
    quantity, _, tariff = channel.rpartition(".")
    if own or tariff != "0":
        return own
    return [one for one in here if one.channel.rpartition(".")[0] == quantity]


async def _fill(conn: psycopg.AsyncConnection[Any], wanted: Sequence[_Standing], cuts: Sequence[int]) -> None:
    """Put the boundaries and profiles into their places."""
    if not wanted:
        return
    registers = sorted({one.register_id for one in wanted})
    present = await (
        await conn.execute(_PRESENT, {"registers": registers, "sources": [int(s) for s in Source]}, binary=True)
    ).fetchall()
    breaks = await _breaks(conn, registers, cuts)
    asks: list[tuple[_Standing, int, int, int]] = []  # where, the instant, at or before, at or after
    for one in wanted:
        low, high = one.low, one.high
        ends = [end for end in (low, high) if cuts[0] < end < cuts[-1]]
        asks += [(one, cut, cut, cut) for cut in sorted({*cuts, *ends}) if low <= cut <= high]
        asks += [(one, cut, cut, cut) for cut in (max(low, cuts[0]), min(high, cuts[-1])) if cut not in cuts]
        asks += [(one, at, at - 1, at) for at in breaks[one.register_id] if low < at <= high]
    await _around(conn, asks, present)
    await _stuck_runs(conn, wanted)
    await _profiles(conn, wanted, registers, cuts)


async def _breaks(
    conn: psycopg.AsyncConnection[Any], registers: Sequence[int], cuts: Sequence[int]
) -> dict[int, list[int]]:
    cursor = micros_cursor(conn)
    bounds = {"first": instant(cuts[0]) - _BREAK_MARGIN, "last": instant(cuts[-1]) + _BREAK_MARGIN}
    await cursor.execute(_BREAKS, {"registers": list(registers), **bounds})
    found: dict[int, list[int]] = defaultdict(list)
    for register_id, at in await cursor.fetchall():
        found[register_id].append(at)
    return found


async def _around(
    conn: psycopg.AsyncConnection[Any],
    asks: Sequence[tuple[_Standing, int, int, int]],
    present: Sequence[tuple[int, int]],
) -> None:
    cursor = micros_cursor(conn)
    await cursor.execute(
        _AROUND,
        {
            "n": list(range(len(asks))),
            "registers": [one.register_id for one, _, _, _ in asks],
            "before": [before for _, _, before, _ in asks],
            "after": [after for _, _, _, after in asks],
            "low": [one.low for one, _, _, _ in asks],
            "high": [one.high for one, _, _, _ in asks],
            "present_registers": [register_id for register_id, _ in present],
            "present_sources": [source for _, source in present],
        },
    )
    before: dict[int, list[Mark]] = defaultdict(list)
    after: dict[int, list[Mark]] = defaultdict(list)
    for n, source, at_b, value_b, quality_b, at_a, value_a, quality_a in await cursor.fetchall():
        if at_b is not None:
            before[n].append(Mark(at_b, value_b, Quality(quality_b), Source(source)))
        if at_a is not None:
            after[n].append(Mark(at_a, value_a, Quality(quality_a), Source(source)))
    for n, (one, at, _, _) in enumerate(asks):
        one.boundaries.append(Boundary(at, tuple(before[n]), tuple(after[n])))


async def _stuck_runs(conn: psycopg.AsyncConnection[Any], wanted: Sequence[_Standing]) -> None:
    """Where a jump is too fast from the last reading before it, also find where that value was first shown."""
    for one in wanted:
        jumps = {
            before
            for boundary in one.boundaries
            for before in boundary.before
            for after in boundary.after
            if before.source is after.source and before.value < after.value and before.source is Source.AUTOMATIC
            if advance(one.limits, after.at - before.at, before.value, after.value) is None
        }
        for mark in jumps:
            cursor = micros_cursor(conn)
            asked = {"register": one.register_id, "source": int(mark.source), "at": instant(mark.at)}
            await cursor.execute(_RUN_START, {**asked, "low": one.since, "value": mark.value})
            for at_d, value_d, quality_d, at_f, value_f, quality_f in await cursor.fetchall():
                different = Mark(at_d, value_d, Quality(quality_d), mark.source)
                first = Mark(at_f, value_f, Quality(quality_f), mark.source)
                one.boundaries.append(Boundary(at_f, (different,), (first,)))


async def _profiles(
    conn: psycopg.AsyncConnection[Any], wanted: Sequence[_Standing], registers: Sequence[int], cuts: Sequence[int]
) -> None:
    """Sum the load profile between the cuts and the readings around them."""
    bounds = {"first": instant(cuts[0]) - _BREAK_MARGIN, "last": instant(cuts[-1]) + _BREAK_MARGIN}
    found = await (await conn.execute(_PROFILED, {"registers": list(registers), **bounds}, binary=True)).fetchall()
    profiled = {register_id for (register_id,) in found}
    for one in wanted:
        if one.register_id not in profiled:
            continue
        marks = {mark.at for boundary in one.boundaries for side in boundary[1:] for mark in side}
        low, high = max(one.low, micros(bounds["first"])), min(one.high, micros(bounds["last"]))
        edges = sorted({low, high, *(at for at in {*marks, *cuts} if low < at < high)})
        asked = {"register": one.register_id, "first": low, "last": high, "edges": [instant(at) for at in edges]}
        rows = await (await conn.execute(_SLOTS, asked, binary=True)).fetchall()
        one.slots = tuple(
            Slot(edges[bucket - 1], edges[bucket], energy, seconds * 1_000_000)
            for bucket, energy, seconds in rows
            if 0 < bucket < len(edges)
        )
