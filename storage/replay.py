"""Bringing quarantined pieces in again, after a meter, a register or a mapping was added, with their own times.

In one transaction a piece is understood anew, its readings pass the judge like any others, and it leaves the quarantine
or stays with what is wrong with it now. A crash leaves everything as it was; and keys are natural, so what is stored
already is repeated, not doubled.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import psycopg

from ingest.batch import store_batch
from ingest.delivery import Delivery, Fate, Outcome, Reject
from ingest.errors import AmrError
from ingest.model import Quality
from ingest.written_out import kept_of
from storage.database import Database
from storage.held import ROWS, Held, Parse, Understanding, held_pieces
from storage.quarantine import Which
from storage.quarantine_write import Piece, piece_of
from storage.readings import Work

_log = logging.getLogger(__name__)

_TRIES = 5

_LAST = "SELECT coalesce(max(id), 0) FROM quarantine"
_TAKE_OUT = """
DELETE FROM quarantine q
USING (SELECT id FROM quarantine WHERE id = ANY(%s) ORDER BY digest FOR UPDATE) d
WHERE q.id = d.id RETURNING q.id, q.first_at, q.last_at, q.times
"""
_PUT_BACK = """
INSERT INTO quarantine (id, digest, origin, reason, detail, raw, meter, channel, first_at, last_at, times)
OVERRIDING SYSTEM VALUE
VALUES (coalesce(%s, nextval(pg_get_serial_sequence('quarantine', 'id'))), %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (digest) DO UPDATE SET times = greatest(quarantine.times, excluded.times),
    first_at = least(quarantine.first_at, excluded.first_at), last_at = greatest(quarantine.last_at, excluded.last_at)
"""

_Conn = psycopg.AsyncConnection[Any]


@dataclass(slots=True)
class Replayed:
    """What became of the pieces: how many were tried and left, their readings by fate, and why the others stay.

    `upto` is the number of the last one when more are chosen than were to be tried, None when all were.
    """

    tried: int = 0
    left: int = 0
    suspect: int = 0
    fates: Counter[Fate] = field(default_factory=Counter)
    intervals: int = 0
    stay: Counter[str] = field(default_factory=Counter)
    upto: int | None = None

    def add(self, other: Replayed) -> None:
        self.tried += other.tried
        self.left += other.left
        self.suspect += other.suspect
        self.intervals += other.intervals
        self.fates += other.fates
        self.stay += other.stay


async def replay(
    database: Database, parse: Parse, which: Which, *, rows: int = ROWS, after: int = 0, most: int | None = None
) -> Replayed:
    """Try everything that is chosen and lies in quarantine now, oldest first, in transactions of bounded size.

    With `most` it stops once so many were tried; what is left has numbers above `upto`, which is the next `after`.
    Raises StoreUnavailable when the database stays away; what was brought in until then is in.
    """
    said = Replayed()
    async with database.connection() as conn:
        [[last]] = await (await conn.execute(_LAST)).fetchall()
    while True:
        async with database.connection() as conn:
            held = await held_pieces(conn, which, after=after, last=last, rows=rows)
        if not held:
            return said
        if most is not None and said.tried >= most:
            said.upto = after
            return said
        said.add(await _stubbornly(database, parse, held))
        after = held[-1].id


async def _stubbornly(database: Database, parse: Parse, held: Sequence[Held]) -> Replayed:
    """One transaction; again when the database had to give it up; halved until a piece it refuses is alone."""
    for attempt in range(1, _TRIES + 1):
        try:
            async with database.connection() as conn:
                return await _Replay(conn, parse, held).run()
        except AmrError as error:
            if error.transient and attempt < _TRIES:
                await asyncio.sleep(0.1 * 2**attempt)
                continue
            if error.transient:
                raise
            return await _apart(database, parse, held, error)
        except Exception as error:  # noqa: BLE001 - one piece that breaks us must not stop the others
            return await _apart(database, parse, held, error)
    raise AssertionError("the last attempt returns or raises")


async def _apart(database: Database, parse: Parse, held: Sequence[Held], error: Exception) -> Replayed:
    """Halve what cannot be stored together; a piece that cannot be stored alone stays and says why."""
    if len(held) > 1:
        said = await _stubbornly(database, parse, held[: len(held) // 2])
        said.add(await _stubbornly(database, parse, held[len(held) // 2 :]))
        return said
    [one] = held
    _log.warning("piece %d stays in quarantine: %s", one.id, error)
    detail = f"{type(error).__name__}: {error}"
    piece = piece_of(one.piece.origin, Reject("unstorable", detail, one.piece.raw, one.piece.meter, one.piece.channel))
    async with database.connection() as conn:
        await _settle(conn, [(one, {piece.digest: piece})])
    return Replayed(tried=1, stay=Counter({"unstorable": 1}))


class _Captured(Work):
    """The work of an ordinary batch, but what it refuses is in quarantine already."""

    def __init__(self, conn: _Conn) -> None:
        super().__init__(conn)
        self.refused: list[Reject] = []

    async def quarantine(self, refused: Sequence[tuple[str, Reject]]) -> None:
        self.refused += [reject for _, reject in refused]


class _Replay:
    """One transaction's pieces."""

    def __init__(self, conn: _Conn, parse: Parse, held: Sequence[Held]) -> None:
        self.conn = conn
        self.held = held
        self.understood = Understanding(parse)

    async def run(self) -> Replayed:
        deliveries = [self.understood.share(one) for one in self.held]
        work = _Captured(self.conn)
        outcomes = await store_batch(work, deliveries, datetime.now(UTC))
        said = Replayed(tried=len(self.held))
        changed: list[tuple[Held, dict[bytes, Piece]]] = []
        for one, delivery, outcome in zip(self.held, deliveries, outcomes, strict=True):
            remaining = _remaining(one, delivery, outcome, work.refused)
            said.left += not remaining
            said.stay.update({piece.reason for piece in remaining.values()})
            _count(said, delivery, outcome, remaining)
            if remaining.keys() != {one.piece.digest} or remaining[one.piece.digest].detail != one.piece.detail:
                changed.append((one, remaining))
        await _settle(self.conn, changed)
        return said


async def _settle(conn: _Conn, changed: Sequence[tuple[Held, dict[bytes, Piece]]]) -> None:
    """Take the pieces out, and put back what is still wrong; whoever was faster with a piece has settled it."""
    if not changed:
        return
    found = await conn.execute(_TAKE_OUT, ([one.id for one, _ in changed],))
    known = {number: facts for number, *facts in await found.fetchall()}
    back: list[tuple[Any, ...]] = []
    for one, remaining in changed:
        if one.id in known:
            own = one.piece.digest if one.piece.digest in remaining else next(iter(remaining), None)
            back += [
                (one.id if digest == own else None, *_columns(piece), *known[one.id])
                for digest, piece in remaining.items()
            ]
    back.sort(key=lambda row: row[1])
    async with conn.cursor() as cursor:
        await cursor.executemany(_PUT_BACK, back)


def _remaining(held: Held, delivery: Delivery, outcome: Outcome, refused: Iterable[Reject]) -> dict[bytes, Piece]:
    """What is still wrong with a piece, by digest; nothing: it may leave."""
    rejects = list(delivery.rejects)
    for reading, verdict in zip(delivery.readings, outcome.verdicts, strict=True):
        if verdict.fate is Fate.QUARANTINED:
            raw = kept_of(reading, delivery)
            rejects.append(Reject(verdict.code, verdict.detail, raw, reading.meter, reading.channel))
    if delivery.intervals:
        rejects += [one for one in refused if one.raw == delivery.raw and one.meter == held.piece.meter]
    if not (delivery.readings or delivery.intervals or rejects):
        detail = "as it is understood now it holds no reading; drop it, or correct the format"
        rejects.append(Reject("no_reading", detail, held.piece.raw, held.piece.meter, held.piece.channel))
    pieces = [piece_of(held.piece.origin, reject) for reject in rejects]
    return {piece.digest: piece for piece in pieces}


def _count(said: Replayed, delivery: Delivery, outcome: Outcome, remaining: object) -> None:
    stored = [verdict for verdict in outcome.verdicts if verdict.fate is not Fate.QUARANTINED]
    said.fates.update(verdict.fate for verdict in stored)
    said.suspect += sum(verdict.quality is Quality.SUSPECT for verdict in stored)
    said.intervals += 0 if remaining else len(delivery.intervals)


def _columns(piece: Piece) -> tuple[Any, ...]:
    return (piece.digest, piece.origin, piece.reason, piece.detail, piece.raw, piece.meter, piece.channel)
