"""Photos of displays, kept beside the entry they were taken for, and for as long as its readings are."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg

from ingest.model import Source

_Conn = psycopg.AsyncConnection[Any]

# Locked, so that photos of one entry are counted one after the other.
_ENTRY = """
SELECT e.author FROM entry e JOIN register r ON r.id = e.register_id JOIN meter m ON m.id = r.meter_id
WHERE m.serial = %s AND e.source = %s AND e.taken_at = %s
ORDER BY e.register_id FOR UPDATE OF e
"""

_FACTS = """
x.id, m.serial, x.source, x.taken_at, x.added_at, x.author, x.media_type, x.width, x.height, octet_length(x.content)
"""
_SAME = f"""
SELECT {_FACTS} FROM photo x JOIN meter m ON m.id = x.meter_id
WHERE m.serial = %(meter)s AND x.source = %(source)s AND x.taken_at = %(taken_at)s AND x.digest = %(digest)s
"""
_COUNT = """
SELECT count(*) FROM photo x JOIN meter m ON m.id = x.meter_id
WHERE m.serial = %(meter)s AND x.source = %(source)s AND x.taken_at = %(taken_at)s
"""
_ADD = f"""
WITH x AS (
    INSERT INTO photo (point_id, meter_id, source, taken_at, author, media_type, width, height, digest, content)
    SELECT p.id, m.id, %(source)s, %(taken_at)s, %(author)s, %(media_type)s, %(width)s, %(height)s, %(digest)s,
           %(content)s
    FROM point p, meter m WHERE p.code = %(point)s AND m.serial = %(meter)s
    RETURNING *)
SELECT {_FACTS} FROM x JOIN meter m ON m.id = x.meter_id
"""
_PAGE = f"""
SELECT {_FACTS} FROM photo x JOIN meter m ON m.id = x.meter_id JOIN point p ON p.id = x.point_id
WHERE p.code = %(point)s AND x.id < %(before)s AND (%(at)s::timestamptz IS NULL OR x.taken_at = %(at)s) AND EXISTS (
    SELECT FROM unnest(%(since)s::timestamptz[], %(until)s::timestamptz[]) AS s(since, until)
    WHERE x.taken_at >= s.since AND x.taken_at < s.until)
ORDER BY x.id DESC LIMIT %(limit)s
"""
_ONE = f"""
SELECT {_FACTS}, x.content FROM photo x JOIN meter m ON m.id = x.meter_id JOIN point p ON p.id = x.point_id
WHERE p.code = %s AND x.id = %s
"""

# Most entries have no photo, and most photos are young: looked for from the photos of thinned times.
_FORGET = """
DELETE FROM photo x WHERE x.taken_at < %(until)s AND NOT EXISTS (
    SELECT FROM register r JOIN reading g ON g.register_id = r.id AND g.source = x.source AND g.taken_at = x.taken_at
    WHERE r.meter_id = x.meter_id)
"""


@dataclass(frozen=True, slots=True)
class Image:
    """A photo that was looked at and is one; `digest` is the SHA-256 of `content`."""

    content: bytes
    digest: bytes
    media_type: str
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Photo:
    """What is known of a kept photo; `taken_at` is the entry's, `size` in bytes."""

    id: int
    meter: str
    source: Source
    taken_at: datetime
    added_at: datetime
    author: str
    media_type: str
    width: int
    height: int
    size: int


async def entry_authors(conn: _Conn, meter: str, source: Source, taken_at: datetime) -> list[str | None]:
    """Who typed in the readings of one entry, one for each register; empty for no entry. Held until the commit."""
    rows = await (await conn.execute(_ENTRY, (meter, int(source), taken_at))).fetchall()
    return [author for (author,) in rows]


async def add(
    conn: _Conn, point: str, meter: str, source: Source, taken_at: datetime, author: str, image: Image, *, most: int
) -> tuple[Photo, bool] | None:
    """Keep a photo of an entry; gives it and whether it is new, None when the entry has `most` others already."""
    asked: dict[str, Any] = {
        "point": point,
        "meter": meter,
        "source": int(source),
        "taken_at": taken_at,
        "author": author,
        "media_type": image.media_type,
        "width": image.width,
        "height": image.height,
        "digest": image.digest,
        "content": image.content,
    }
    same = await (await conn.execute(_SAME, asked)).fetchone()
    if same is not None:
        return _photo(same), False
    count = await (await conn.execute(_COUNT, asked)).fetchone()
    if count is not None and count[0] >= most:
        return None
    added = await (await conn.execute(_ADD, asked)).fetchone()
    assert added is not None
    return _photo(added), True


async def page(
    conn: _Conn,
    point: str,
    parts: list[tuple[datetime, datetime]],
    *,
    before: int,
    limit: int,
    at: datetime | None = None,
) -> tuple[list[Photo], bool]:
    """Photos of entries within these parts of time (`at` one instant), the youngest first; whether there are more."""
    asked = {
        "point": point,
        "at": at,
        "since": [since for since, _ in parts],
        "until": [until for _, until in parts],
        "before": before,
        "limit": limit + 1,
    }
    rows = await (await conn.execute(_PAGE, asked)).fetchall()
    return [_photo(row) for row in rows[:limit]], len(rows) > limit


async def find(conn: _Conn, point: str, number: int) -> tuple[Photo, bytes] | None:
    """One photo of a point with its content."""
    row = await (await conn.execute(_ONE, (point, number), binary=True)).fetchone()
    return None if row is None else (_photo(row[:-1]), bytes(row[-1]))


async def forget(conn: _Conn, until: datetime) -> int:
    """Remove the photos of entries before `until` of which no reading is kept any more; gives how many."""
    return (await conn.execute(_FORGET, {"until": until})).rowcount


def _photo(row: tuple[Any, ...]) -> Photo:
    number, meter, source, *rest = row
    return Photo(number, meter, Source(source), *rest)
