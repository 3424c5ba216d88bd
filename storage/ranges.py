"""Whole ranges of readings, page by page: how the two readings next to instants that stand close together are found."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from datetime import timedelta
from operator import itemgetter
from typing import Any, NamedTuple

import psycopg

from ingest.beside import Beside
from ingest.chain import Mark
from ingest.consumption import Boundary
from ingest.instants import instant, span
from ingest.model import Quality, Source
from storage.instants import TO_POSTGRES, raw_cursor

_KEY = itemgetter(0, 1)
_DENSE = span(timedelta(hours=3))
"""Instants closer to each other than this are found quicker in the whole range of readings."""

_PAGE = 10_000
"""Readings of one series that are held at once: half a year of half-hours, a week of minutes."""

_RANGE = f"""
SELECT s.register_id, s.source, r.taken_at, r.value, r.quality
FROM unnest(%(registers)s::int[], %(sources)s::smallint[]) AS s(register_id, source)
CROSS JOIN LATERAL (
    SELECT taken_at, value, quality FROM reading
    WHERE register_id = s.register_id AND source = s.source AND taken_at >= %(first)s AND taken_at <= %(last)s
      AND quality <> 2 ORDER BY taken_at LIMIT {_PAGE}) r
"""

QUALITIES = {int(quality): quality for quality in Quality}
SOURCES = {int(source): source for source in Source}

Key = tuple[int, int]
"""(register, source)"""


class Page(NamedTuple):
    """Good readings of one series, by time, as columns: instants (µs), values (millionths) and qualities."""

    key: Key
    ats: Sequence[int]
    values: Sequence[int]
    qualities: Sequence[int]


def dense(instants: Sequence[int]) -> bool:
    """Whether ascending instants are so close together that a range is quicker."""
    return len(instants) > 1 and instants[-1] - instants[0] < _DENSE * (len(instants) - 1)


async def fetch(
    conn: psycopg.AsyncConnection[Any], series: Sequence[Key], bounds: tuple[int, int]
) -> dict[Key, list[Mark]]:
    """All good readings of some series within the bounds, by time."""
    marks: dict[Key, list[Mark]] = {key: [] for key in series}
    async for page in _pages(conn, series, bounds):
        source = SOURCES[page.key[1]]
        columns = zip(page.ats, page.values, page.qualities, strict=True)
        marks[page.key] += [Mark(at, value, QUALITIES[quality], source) for at, value, quality in columns]
    return marks


async def beside(
    conn: psycopg.AsyncConnection[Any], asked: Mapping[Key, Sequence[int]], bounds: tuple[int, int]
) -> dict[Key, Beside]:
    """By series, the readings next to its ascending instants, where there are such on both sides within the bounds."""
    found = {key: _Nearest(instants) for key, instants in asked.items()}
    async for page in _pages(conn, list(asked), bounds):
        found[page.key].look(page)
    return {key: nearest.found(SOURCES[key[1]]) for key, nearest in found.items()}


async def _pages(
    conn: psycopg.AsyncConnection[Any], series: Sequence[Key], bounds: tuple[int, int]
) -> AsyncIterator[Page]:
    """The readings of the series, each by time; what is not on the first page of one is asked for alone."""
    full = []
    async for page in _page(conn, series, bounds):
        yield page
        if len(page.ats) == _PAGE:
            full.append(page)
    for page in full:
        while len(page.ats) == _PAGE:
            following = [one async for one in _page(conn, [page.key], (page.ats[-1] + 1, bounds[1]))]
            if not following:
                break
            [page] = following
            yield page


async def _page(
    conn: psycopg.AsyncConnection[Any], series: Sequence[Key], bounds: tuple[int, int]
) -> AsyncIterator[Page]:
    cursor = raw_cursor(conn)
    await cursor.execute(
        _RANGE,
        {
            "registers": [register for register, _ in series],
            "sources": [source for _, source in series],
            "first": instant(bounds[0]),
            "last": instant(bounds[1]),
        },
    )
    rows = await cursor.fetchall()
    rows.sort()
    for key, of_series in runs(rows):
        _, _, ats, values, qualities = zip(*of_series, strict=True)
        yield Page(key, [at + TO_POSTGRES for at in ats], values, qualities)


def runs(rows: Sequence[tuple[Any, ...]]) -> Iterator[tuple[Key, Sequence[tuple[Any, ...]]]]:
    """Rows sorted by their first two columns, by those."""
    begin = 0
    while begin < len(rows):
        key = rows[begin][:2]
        end = bisect_right(rows, key, begin, key=_KEY)
        yield key, rows if end - begin == len(rows) else rows[begin:end]
        begin = end


class _Nearest:
    """The two readings next to each of some ascending instants, found page by page."""

    def __init__(self, instants: Sequence[int]) -> None:
        self._instants = instants
        self._done = 0
        self._last: Page | None = None
        self._columns: tuple[list[int], list[int], list[int], list[int], list[int]] = ([], [], [], [], [])
        self._others: list[Boundary] = []

    def look(self, page: Page) -> None:
        """Take what one more page says of the instants up to its end."""
        if self._last is not None:  # the reading before an instant may be the last of the page before
            page = Page(page.key, *([old[-1], *new] for old, new in zip(self._last[1:], page[1:], strict=True)))
        self._last = page
        _, ats, values, qualities = page
        put_at, put_before_at, put_before, put_after_at, put_after = (column.append for column in self._columns)
        sound, count, place = not any(qualities), len(ats), 0
        for at in self._instants[self._done :]:
            place = bisect_left(ats, at, place)
            if place == count:
                break
            self._done += 1
            before = place if ats[place] == at else place - 1
            if before < 0:
                continue
            if sound or not (qualities[before] or qualities[place]):
                put_at(at)
                put_before_at(ats[before])
                put_before(values[before])
                put_after_at(ats[place])
                put_after(values[place])
            else:
                self._others.append(Boundary(at, (_mark(page, before),), (_mark(page, place),)))

    def found(self, source: Source) -> Beside:
        return Beside(source, *self._columns, others=self._others)


def _mark(page: Page, place: int) -> Mark:
    return Mark(page.ats[place], page.values[place], QUALITIES[page.qualities[place]], SOURCES[page.key[1]])
