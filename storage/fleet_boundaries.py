"""What the readings beside an instant say about a meter put up, taken down or given another ratio there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import psycopg

from ingest.channel import from_micro, is_counter
from ingest.model import PEOPLE, Installation, Quality, Source
from storage.fleet_words import place_of

_Conn = psycopg.AsyncConnection[Any]
_COUNTED = [int(source) for source in Source if source is not Source.ESTIMATE]

_FIRST = """
SELECT min(x.taken_at) FROM meter m JOIN register r ON r.meter_id = m.id
CROSS JOIN unnest('{1,2,3,4,5,6}'::smallint[]) AS s(source)
CROSS JOIN LATERAL (SELECT taken_at FROM reading WHERE register_id = r.id AND source = s.source
    AND taken_at >= %s AND taken_at < coalesce(%s::timestamptz, 'infinity') ORDER BY taken_at LIMIT 1) x
WHERE m.serial = %s
"""

# The readings of a counter nearest to an instant on either side, of each source, within the time the meter stood.
_AROUND = f"""
SELECT r.channel, r.digits, s.source, b.taken_at, b.value, a.taken_at, a.value
FROM meter m JOIN register r ON r.meter_id = m.id
CROSS JOIN unnest(%(sources)s::smallint[]) AS s(source)
LEFT JOIN LATERAL (SELECT taken_at, value FROM reading WHERE register_id = r.id AND source = s.source
    AND taken_at >= coalesce(%(since)s::timestamptz, '-infinity') AND taken_at <= %(at)s::timestamptz
    AND quality = {int(Quality.GOOD)}
    ORDER BY taken_at DESC LIMIT 1) b ON true
LEFT JOIN LATERAL (SELECT taken_at, value FROM reading WHERE register_id = r.id AND source = s.source
    AND taken_at > %(at)s::timestamptz AND taken_at < coalesce(%(until)s::timestamptz, 'infinity')
    AND quality = {int(Quality.GOOD)}
    ORDER BY taken_at LIMIT 1) a ON true
WHERE m.serial = %(meter)s AND (b.value IS NOT NULL OR a.value IS NOT NULL)
"""


@dataclass(frozen=True, slots=True)
class Around:
    """A good reading of one source next to an instant; `value` in base units."""

    channel: str
    digits: int | None
    source: Source
    taken_at: datetime
    value: Decimal
    before: bool

    def above(self, value: Decimal) -> bool:
        """Whether it is more than `value` and means it."""
        return self._exceeds(self.value, value)

    def below(self, value: Decimal) -> bool:
        """Whether it is less than `value` and means it."""
        return self._exceeds(value, self.value)

    def _exceeds(self, high: Decimal, low: Decimal) -> bool:
        """People leave out or round up the decimals; a step of more than half the register is a rollover."""
        slack = Decimal(1) if self.source in PEOPLE else Decimal(0)
        wrapped = self.digits is not None and high - low > Decimal(10) ** self.digits / 2
        return high - low > slack and not wrapped

    def __str__(self) -> str:
        return f"{self.source.label} reading {self.value} of {self.taken_at.isoformat()}"


async def first_reading(conn: _Conn, serial: str, since: datetime, until: datetime | None) -> datetime | None:
    """When the meter was first read within [since, until), None for never."""
    row = await (await conn.execute(_FIRST, (since, until, serial))).fetchone()
    return None if row is None else row[0]


async def boundary_conflicts(conn: _Conn, one: Installation, following: datetime | None) -> list[str]:
    """How an installation's opening and closing readings contradict the good readings around them.

    `following` is when the same meter was put up again after it (None: never): later readings count there.
    """
    found = []
    for reading in await around(conn, one.meter, one.since, None, one.until):
        opening = one.opening.get(reading.channel)
        if not reading.before and opening is not None and reading.below(opening):
            found.append(f"installation {place_of(one)}: opening {reading.channel} = {opening} is above the {reading}")
    if one.until is not None:
        beside = await around(conn, one.meter, one.until, one.since, following)
        found += [f"installation {place_of(one)}: {text}" for text in closing_conflicts(one.closing, beside)]
    return found


def closing_conflicts(closing: Mapping[str, Decimal], beside: Sequence[Around]) -> Iterator[str]:
    """How closing readings contradict good readings before and after the instant they were taken at.

    Without a closing reading the last one before stands for it: the meter may not have counted on afterwards.
    """
    last: dict[str, Decimal] = {}
    for reading in beside:
        if reading.before:
            last[reading.channel] = max(reading.value, last.get(reading.channel, reading.value))
    for reading in beside:
        given = closing.get(reading.channel)
        limit = given if given is not None else last.get(reading.channel)
        if given is not None and reading.before and reading.above(given):
            yield f"closing {reading.channel} = {given} is below the {reading}; correct the closing reading"
        if not reading.before and limit is not None and reading.above(limit):
            named = f"closing {reading.channel} = {given}" if given is not None else f"the end at {limit}"
            yield f"{named} is before, and below, the {reading}: the meter still counted there; give a later instant"


async def around(
    conn: _Conn, serial: str, at: datetime, since: datetime | None, until: datetime | None
) -> list[Around]:
    """Good readings of the meter's counters nearest to `at`: of each source one before (or at) it and one after."""
    asked = {"meter": serial, "at": at, "since": since, "until": until, "sources": _COUNTED}
    rows = await (await conn.execute(_AROUND, asked)).fetchall()
    found = []
    for channel, digits, source, before_at, before, after_at, after in rows:
        if not is_counter(channel):
            continue
        if before is not None:
            found.append(Around(channel, digits, Source(source), before_at, from_micro(before), True))
        if after is not None:
            found.append(Around(channel, digits, Source(source), after_at, from_micro(after), False))
    return found
