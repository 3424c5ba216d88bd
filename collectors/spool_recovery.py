"""Opening a spool's file: made durable, checked, and carried over into a new one when it is damaged.

A frame of the log that was torn by a crash fails its checksum and is left out with all after it; nothing that was
committed is after it, because each commit waits for its fsync. Only a file that is damaged all the same is put aside.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

log = logging.getLogger(__name__)

_SCHEMA = """
CREATE TABLE IF NOT EXISTS item (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    series TEXT, day INTEGER, at INTEGER, put_at INTEGER NOT NULL, body BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS item_of_day ON item (series, day, at) WHERE series IS NOT NULL;
CREATE TABLE IF NOT EXISTS lost (
    series TEXT NOT NULL, day INTEGER NOT NULL, cause TEXT NOT NULL,
    since INTEGER NOT NULL, until INTEGER NOT NULL, items INTEGER NOT NULL, PRIMARY KEY (series, day, cause)
);
"""


def open_whole(path: Path) -> sqlite3.Connection:
    """The file, readable by its owner only. A damaged one is put aside, and what can be read of it is carried over."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        return _connect(path)
    except sqlite3.DatabaseError as error:
        if type(error) is not sqlite3.DatabaseError:  # a full disk or a missing right is no damage
            raise
        damage = error
    aside = path.with_name(f"{path.name}.damaged-{datetime.now(UTC):%Y%m%dT%H%M%S}")
    for suffix in ("", "-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            os.replace(f"{path}{suffix}", f"{aside}{suffix}")
    conn = _connect(path)
    saved = _salvage(aside, conn)
    log.error("the spool %s is damaged (%s): kept as %s, %d items saved from it", path, damage, aside, saved)
    return conn


def start_anew(path: Path, last_id: int) -> sqlite3.Connection:
    """An empty file in place of this one, whose ids go on after `last_id`."""
    for suffix in ("-wal", "-shm", ""):
        Path(f"{path}{suffix}").unlink(missing_ok=True)
    conn = _connect(path)
    conn.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('item', ?)", (last_id,))
    return conn


def _connect(path: Path) -> sqlite3.Connection:
    """The file, whole and with its tables; made with its name durable when it is not there yet."""
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    _fsync_folder(path.parent)
    conn = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5)
    try:
        conn.execute("PRAGMA journal_mode=WAL")
        conn.execute("PRAGMA synchronous=FULL")
        conn.execute("PRAGMA fullfsync=ON")  # macOS: past the cache of the disk; others do so anyway
        conn.execute("PRAGMA temp_store=MEMORY")
        found = conn.execute("PRAGMA quick_check(1)").fetchone()[0]
        if found != "ok":
            raise sqlite3.DatabaseError(f"quick_check says {found}")
        conn.executescript(_SCHEMA)
    except BaseException:
        conn.close()
        raise
    return conn


def _fsync_folder(folder: Path) -> None:
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _salvage(aside: Path, into: sqlite3.Connection) -> int:
    """Copy every row that can be read: from the front as far as it goes, then from the back."""
    saved = 0
    try:
        with contextlib.closing(sqlite3.connect(aside, isolation_level=None)) as old:
            for order in ("ASC", "DESC"):
                with contextlib.suppress(sqlite3.DatabaseError):
                    for row in old.execute(f"SELECT id, series, day, at, put_at, body FROM item ORDER BY id {order}"):
                        done = into.execute("INSERT OR IGNORE INTO item VALUES (?, ?, ?, ?, ?, ?)", row)
                        saved += done.rowcount
    except sqlite3.DatabaseError as error:
        log.debug("nothing more can be read of %s: %s", aside, error)
    return saved
