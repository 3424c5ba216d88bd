"""Pieces that lie in quarantine, and what they say now: read back, or parsed anew by the formats in use."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import psycopg

from ingest.delivery import Delivery, Reject
from ingest.errors import Malformed
from ingest.model import IntervalReading, Source
from ingest.written_out import is_written_out, read_back
from storage.quarantine import Which
from storage.quarantine_write import Piece

_log = logging.getLogger(__name__)

ROWS, BYTES = 500, 16 << 20
"""What is looked at together: so many pieces, and no more of their bytes."""

_EVER = 2**62
_NEXT = """
SELECT id, digest, origin, reason, detail, raw, meter, channel, times, first_at
FROM (SELECT *, sum(octet_length(raw)) OVER (ORDER BY id) AS upto, row_number() OVER (ORDER BY id) AS place
      FROM (SELECT * FROM quarantine WHERE id > %(after)s AND id <= %(last)s AND {condition}
            ORDER BY id LIMIT %(rows)s) q) r
WHERE upto <= %(bytes)s OR place = 1
ORDER BY id
"""
Parse = Callable[[str, bytes, datetime], Delivery]
"""(topic, payload, received at) -> what the message says, by the formats in use, with the gateway it came from."""

_Conn = psycopg.AsyncConnection[Any]


@dataclass(frozen=True, slots=True)
class Held:
    """A piece as it lies in quarantine."""

    id: int
    piece: Piece
    first_at: datetime


async def held_pieces(conn: _Conn, which: Which, *, after: int = 0, last: int = _EVER, rows: int = ROWS) -> list[Held]:
    """What is chosen with a number above `after` and up to `last`, in order: as many as are looked at together."""
    asked = {**which.values(), "after": after, "last": last, "rows": rows, "bytes": BYTES}
    found = await conn.execute(_NEXT.format(condition=which.condition()).encode(), asked)
    return [Held(row[0], Piece(*row[1:9]), row[9]) for row in await found.fetchall()]


class Understanding:
    """What pieces say now. Pieces of one message are parsed once."""

    def __init__(self, parse: Parse) -> None:
        self._parse = parse
        self._message: tuple[tuple[str, bytes, datetime], Delivery] | None = None

    def share(self, held: Held) -> Delivery:
        """The part of the message that this piece stands for: its meter's and channel's, or, if none is, all of it."""
        whole = self.whole(held)
        piece = held.piece
        if piece.meter is None:
            return whole
        readings = [one for one in whole.readings if _stands_for(piece, one.meter, one.channel)]
        rejects = [one for one in whole.rejects if _stands_for(piece, one.meter, one.channel)]
        return whole._replace(readings=readings, rejects=rejects) if readings or rejects else whole

    def whole(self, held: Held) -> Delivery:
        """The piece as a delivery. A value without a time of its own is of the instant the piece first came."""
        piece = held.piece
        road, _, topic = piece.origin.partition(":")
        if road != "mqtt":
            return _written(piece)
        key = (topic, piece.raw, held.first_at)
        if self._message is None or self._message[0] != key:
            self._message = key, self._understand(piece, *key)
        return self._message[1]

    def _understand(self, piece: Piece, topic: str, raw: bytes, at: datetime) -> Delivery:
        try:
            parsed = self._parse(topic, raw, at)
        except Exception as error:  # noqa: BLE001 - one piece that breaks a parser must not stop the others
            _log.exception("a piece from %r breaks its parser", piece.origin)
            return Delivery(piece.origin, rejects=[Reject("unparsed", f"{type(error).__name__}: {error}", raw)])
        if is_written_out(raw) and not parsed.readings:
            # Whoever sent such a text himself gets no more by it: its gateway is the topic's, its source a machine's.
            written = _written(piece)
            readings = [replace(one, source=Source.AUTOMATIC) for one in written.readings]
            return parsed._replace(readings=readings, rejects=written.rejects, raw=raw)
        return parsed._replace(origin=piece.origin, contacts=(), raw=raw)


def _written(piece: Piece) -> Delivery:
    """A reading written out, read back; anything else stays for the reason it has."""
    if is_written_out(piece.raw):
        try:
            item = read_back(piece.raw)
        except Malformed as error:
            reject = Reject("malformed", str(error), piece.raw, piece.meter, piece.channel)
            return Delivery(piece.origin, rejects=[reject], raw=piece.raw)
        if isinstance(item, IntervalReading):
            return Delivery(piece.origin, intervals=[item], raw=piece.raw)
        return Delivery(piece.origin, [item], raw=piece.raw)
    same = Reject(piece.reason, piece.detail, piece.raw, piece.meter, piece.channel)
    return Delivery(piece.origin, rejects=[same], raw=piece.raw)


def _stands_for(piece: Piece, meter: str | None, channel: str | None) -> bool:
    return meter == piece.meter and piece.channel in (None, channel)
