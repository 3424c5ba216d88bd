"""The file of a spool: SQLite in WAL mode with synchronous=FULL, so that what `put` returned for survives power loss.

SQLite's errors become ours here. Blocking: `spool.Spool` calls it in a thread.
"""

from __future__ import annotations

import contextlib
import math
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from pathlib import Path

from collectors.spool_items import Held, Item, Lost, SpoolFailed, SpoolFull
from collectors.spool_recovery import open_whole, start_anew
from collectors.spool_room import ROW, drop_older, make_room, used_bytes
from ingest.instants import instant, micros, span

SMALLEST = 1 << 20
_KNOWN = "SELECT 1 FROM item WHERE id = ?"

_INSERT = "INSERT INTO item (series, day, at, put_at, body) VALUES (?, ?, ?, ?, ?)"


class SpoolFile:
    """One file, one writer. Every method may raise SpoolFailed."""

    def __init__(self, path: Path, max_bytes: int, max_age: timedelta) -> None:
        self._path = path
        self._max_bytes = max(max_bytes, SMALLEST)
        self._max_age = max_age
        self._conn: sqlite3.Connection | None = None
        self._gone: set[int] = set()
        self._items = 0
        self._looked_at_age = -math.inf

    def open(self) -> None:
        """Create or recover the file."""
        with self._translated():
            self._conn = open_whole(self._path)
            self._items = self._conn.execute("SELECT count(*) FROM item").fetchone()[0]

    def close(self) -> None:
        """Close it; what is in the log stays there, durable as it is."""
        if self._conn is not None:
            self._conn.close()
            self._conn = None

    def put(self, items: Sequence[Item]) -> list[int]:
        """Append all or nothing, durable on return; makes room by the rule when the limit is reached."""
        now = micros(datetime.now(UTC))
        with self._transaction() as conn:
            dropped = _delete(conn, self._gone)
            dropped += self._drop_aged(conn, now)
            dropped += make_room(conn, sum(len(item.body) + ROW for item in items), self._max_bytes)
            ids = [_id_of(conn.execute(_INSERT, _row(item, now))) for item in items]
        self._items += len(ids) - dropped
        self._gone.clear()
        return ids

    def oldest(self, count: int, after: int = 0) -> list[tuple[int, bytes]]:
        """The oldest items in the order of their `put`, those up to id `after` left out."""
        with self._reading() as conn:
            found = conn.execute("SELECT id, body FROM item WHERE id > ? ORDER BY id", (after,))
            return list(islice((row for row in found if row[0] not in self._gone), count))

    def delete(self, ids: Sequence[int]) -> None:
        """Forget items; ids that are not there are no error. On a full disk too: it is what makes room."""
        try:
            with self._transaction() as conn:
                self._items -= _delete(conn, [*ids, *self._gone])
            self._gone.clear()
        except SpoolFull:
            self._remember_gone(ids)

    def held(self) -> Held:
        """What is in the file."""
        with self._reading() as conn:
            oldest = conn.execute("SELECT put_at FROM item ORDER BY id LIMIT 1").fetchone()
            return Held(self._items - len(self._gone), used_bytes(conn), None if oldest is None else instant(oldest[0]))

    def lost(self) -> list[Lost]:
        """What was dropped since it was forgotten last."""
        with self._reading() as conn:
            found = conn.execute("SELECT series, day, cause, since, until, items FROM lost ORDER BY day, series")
            return [
                Lost(series, date.fromordinal(day), cause, instant(since), instant(until), items)
                for series, day, cause, since, until, items in found
            ]

    def forget_lost(self, lost: Sequence[Lost]) -> None:
        """These were told to whoever must know; more of the same, dropped meanwhile, stays."""
        rows = [(one.series, one.day.toordinal(), one.cause, one.items) for one in lost]
        with self._transaction() as conn:
            conn.executemany("DELETE FROM lost WHERE (series, day, cause, items) = (?, ?, ?, ?)", rows)

    def _remember_gone(self, ids: Sequence[int]) -> None:
        """On a full disk nothing can be written, not even that something is gone: that is kept in mind until it can.

        When all is gone the file is made anew, which makes room. After a crash meanwhile they are given once more.
        """
        with self._reading() as conn:
            known = conn.execute("SELECT max(id) FROM item").fetchone()[0] or 0
            self._gone |= {one for one in ids if conn.execute(_KNOWN, (one,)).fetchone()}
        if len(self._gone) < self._items:
            return
        self.close()
        with self._translated():
            self._conn = start_anew(self._path, known)
        self._items = 0
        self._gone.clear()

    def _drop_aged(self, conn: sqlite3.Connection, now: int) -> int:
        """Looked after once a minute."""
        if time.monotonic() - self._looked_at_age < 60:
            return 0
        self._looked_at_age = time.monotonic()
        return drop_older(conn, now - span(self._max_age))

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._reading() as conn:
            conn.execute("BEGIN IMMEDIATE")
            try:
                yield conn
                conn.execute("COMMIT")
            except BaseException:
                if conn.in_transaction:
                    conn.execute("ROLLBACK")
                raise

    @contextlib.contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """The connection; opened anew after a failure, which alone tells what really reached the disk."""
        if self._conn is None:
            self.open()
        assert self._conn is not None
        with self._translated():
            yield self._conn

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            full = getattr(error, "sqlite_errorname", "") == "SQLITE_FULL"
            with contextlib.suppress(sqlite3.Error):
                self.close()
            if full:
                raise SpoolFull(f"the disk of the spool {self._path} is full; make room on it") from error
            raise SpoolFailed(f"the spool {self._path} cannot be used: {error}; check its disk and rights") from error


def _row(item: Item, now: int) -> tuple[str | None, int | None, int | None, int, bytes]:
    if item.series is None or item.at is None:
        return None, None, None, now, item.body
    day = item.day or item.at.astimezone(UTC).date()
    return item.series, day.toordinal(), micros(item.at), now, item.body


def _id_of(cursor: sqlite3.Cursor) -> int:
    assert cursor.lastrowid is not None
    return cursor.lastrowid


def _delete(conn: sqlite3.Connection, ids: Iterable[int]) -> int:
    return conn.executemany("DELETE FROM item WHERE id = ?", [(one,) for one in ids]).rowcount
