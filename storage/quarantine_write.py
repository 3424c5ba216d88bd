"""Keeping what could not become a reading: raw and whole, each piece once, for as long as there is room."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from ingest.delivery import Reject
from storage import quarantine_room

_SLICE = 16 << 20
"""Raw bytes handed over in one statement."""

# Ordered by the key, so that two writers never wait for each other in a circle. The count stops where its column ends:
# whoever repeats a piece a thousand times a second is there in a month, and others' readings share the batch.
_KEEP = """
INSERT INTO quarantine (digest, origin, reason, detail, raw, meter, channel, times)
SELECT * FROM unnest(%s::bytea[], %s::text[], %s::text[], %s::text[], %b::bytea[], %s::text[], %s::text[], %s::int[])
    AS u(digest, origin, reason, detail, raw, meter, channel, times)
ORDER BY digest
ON CONFLICT (digest) DO UPDATE SET times = least(quarantine.times::bigint + excluded.times, 2147483647), last_at = now()
"""

_COUNT_KNOWN = """
UPDATE quarantine q SET times = least(q.times::bigint + u.times, 2147483647), last_at = now()
FROM (SELECT q.id, u.times FROM unnest(%s::bytea[], %s::int[]) AS u(digest, times) JOIN quarantine q USING (digest)
      ORDER BY digest FOR UPDATE OF q) u
WHERE q.id = u.id RETURNING q.digest
"""

_COUNT_UNKEPT = """
INSERT INTO quarantine_unkept AS k (road, reason, times, bytes, last_origin, last_detail)
SELECT road, reason, sum(times), sum(bytes), (array_agg(origin))[1], (array_agg(detail))[1]
FROM unnest(%s::text[], %s::text[], %s::int[], %s::int[], %s::text[], %s::text[])
     AS u(road, reason, times, bytes, origin, detail)
GROUP BY road, reason ORDER BY road, reason
ON CONFLICT (road, reason) DO UPDATE SET times = k.times + excluded.times, bytes = k.bytes + excluded.bytes,
    last_at = now(), last_origin = excluded.last_origin, last_detail = excluded.last_detail
"""

_Conn = psycopg.AsyncConnection[Any]


@dataclass(slots=True)
class Piece:
    """A refused piece as its row holds it. Its digest names it: the same origin, reason, bytes, meter and channel."""

    digest: bytes
    origin: str
    reason: str
    detail: str
    raw: bytes
    meter: str | None
    channel: str | None
    times: int = 1


def piece_of(origin: str, reject: Reject, times: int = 1) -> Piece:
    """What is kept of a refusal."""
    digest = hashlib.sha256(b"\0".join((origin.encode(), reject.reason.encode(), reject.raw)))
    for part in (reject.meter, reject.channel):
        digest.update(b"\0" + (part or "").encode())
    # PostgreSQL's text holds no NUL; what is broken in that way is still whole in raw.
    detail, meter, channel = (
        None if text is None else text.replace("\0", "�") for text in (reject.detail, reject.meter, reject.channel)
    )
    origin = origin.replace("\0", "�")
    return Piece(digest.digest(), origin, reject.reason, detail or "", reject.raw, meter, channel, times)


async def keep(conn: _Conn, refused: Iterable[tuple[str, Reject]]) -> None:
    """Keep refused pieces; the same piece seen again is counted. When there is no room new ones are only counted."""
    pieces: dict[bytes, Piece] = {}
    for origin, reject in refused:
        piece = piece_of(origin, reject)
        if piece.digest in pieces:
            pieces[piece.digest].times += 1
        else:
            pieces[piece.digest] = piece
    room = await quarantine_room.look(conn)
    if room.level == quarantine_room.FULL:
        await _count(conn, pieces)
    else:
        for some in slices(sorted(pieces.values(), key=lambda piece: piece.digest)):
            await conn.execute(_KEEP, [list(column) for column in zip(*map(_row, some), strict=True)])
    await quarantine_room.tell(conn)


async def _count(conn: _Conn, pieces: dict[bytes, Piece]) -> None:
    """Count known pieces where they lie, and all others by road and reason."""
    asked = (list(pieces), [piece.times for piece in pieces.values()])
    known = {digest for (digest,) in await (await conn.execute(_COUNT_KNOWN, asked)).fetchall()}
    lost = [piece for digest, piece in pieces.items() if digest not in known]
    if lost:
        rows = [
            (one.origin.partition(":")[0][:40], one.reason, one.times, len(one.raw), one.origin[:500], one.detail[:500])
            for one in lost
        ]
        await conn.execute(_COUNT_UNKEPT, [list(column) for column in zip(*rows, strict=True)])


def slices(pieces: Sequence[Piece]) -> Iterator[list[Piece]]:
    """Pieces in their order, as many at a time as one statement may carry."""
    some: list[Piece] = []
    size = 0
    for piece in pieces:
        if some and size + len(piece.raw) > _SLICE:
            yield some
            some, size = [], 0
        some.append(piece)
        size += len(piece.raw)
    if some:
        yield some


def _row(piece: Piece) -> tuple[Any, ...]:
    return (
        piece.digest,
        piece.origin,
        piece.reason,
        piece.detail,
        piece.raw,
        piece.meter,
        piece.channel,
        piece.times,
    )
