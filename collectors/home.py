"""What a collector keeps on its own disk to work without the database: its spool, its fleet, what it was seen to own.

A folder for each process, numbered and locked: a second collector on the machine takes the next one, and a process that
starts again takes its own again. Everything in it is readable by its owner only, for the fleet holds passwords.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import orjson

from ingest.errors import Misconfigured
from ingest.model import Line, Polled, PolledLine

log = logging.getLogger(__name__)

MOST = 100
"""Collectors on one machine."""

SPOOL = "spool.sqlite"
_FLEET, _LEASE = "fleet.json", "lease.json"


class Home:
    """One process's folder, open and locked."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.spool = folder / SPOOL
        self._zones: Mapping[str, ZoneInfo] = {}

    def fleet(self) -> list[PolledLine]:
        """The fleet as it was known last; empty when none ever was, or it cannot be read."""
        lines = [_line(row) for row in self._read(_FLEET, [])]
        self._know_zones(lines)
        return lines

    def keep_fleet(self, lines: Sequence[PolledLine]) -> None:
        """Know this fleet at the next start. A disk that is full costs only that."""
        self._know_zones(lines)
        self._write(_FLEET, [_row(one) for one in lines])

    def lease(self, owner: str, now: datetime) -> tuple[list[str], float]:
        """The lines this owner may speak on without asking the database, and for how many seconds yet."""
        kept = self._read(_LEASE, {})
        if not kept or kept["owner"] != owner:
            return [], 0.0
        written, until = (datetime.fromisoformat(kept[name]) for name in ("written", "until"))
        if now < written:  # the clock was set back: nobody knows how much of it is left
            return [], 0.0
        return kept["lines"], max(0.0, (until - now).total_seconds())

    def keep_lease(self, owner: str, lines: Collection[str], seconds: float, now: datetime) -> None:
        """Know at the next start what is owned now, and for how long."""
        if not seconds:
            self.drop_lease()
            return
        until = now + timedelta(seconds=seconds)
        self._write(_LEASE, {"owner": owner, "lines": sorted(lines), "written": now, "until": until})

    def drop_lease(self) -> None:
        """Own nothing at the next start before the database says so. Raises OSError, for somebody else may own it."""
        (self.folder / _LEASE).unlink(missing_ok=True)

    def day_of(self, meter: str, at: datetime) -> date:
        """The day of an instant where the meter stands; UTC's where that is not known."""
        return at.astimezone(self._zones.get(meter, UTC)).date()

    def _know_zones(self, lines: Sequence[PolledLine]) -> None:
        self._zones = {meter.serial: ZoneInfo(meter.zone) for one in lines for meter in one.meters}

    def _read(self, name: str, otherwise: Any) -> Any:
        path = self.folder / name
        try:
            return orjson.loads(path.read_bytes())
        except FileNotFoundError:
            return otherwise
        except (OSError, ValueError) as error:
            log.error("%s cannot be read and is not used: %s", path, error)
            return otherwise

    def _write(self, name: str, content: object) -> None:
        """Replace a file whole, durably; readable by its owner only."""
        path = self.folder / name
        beside = path.with_suffix(".new")
        try:
            with open(os.open(beside, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "wb") as file:
                file.write(orjson.dumps(content))
                file.flush()
                os.fsync(file.fileno())
            os.replace(beside, path)
        except OSError as error:
            log.warning("%s cannot be written: %s; after a restart without the database it is missed", path, error)
            if name == _LEASE:
                self.drop_lease()


@contextlib.contextmanager
def own_home(folder: Path) -> Iterator[Home]:
    """The first folder below this one that no other process has, for as long as the context lasts."""
    for number in range(1, MOST + 1):
        home = folder / str(number)
        if (lock := _lock(home)) is not None:
            try:
                yield Home(home)
            finally:
                os.close(lock)
            return
    raise Misconfigured(f"AMR_SPOOL {folder}: {MOST} collectors use it already; give this one a folder of its own")


@contextlib.contextmanager
def orphans(folder: Path) -> Iterator[list[Path]]:
    """Spools that ended processes left and nobody has taken since, locked for as long as the context lasts."""
    with contextlib.ExitStack() as stack:
        found = []
        for home in sorted(folder.glob("[0-9]*")):
            if (home / SPOOL).exists() and (lock := _lock(home)) is not None:
                stack.callback(os.close, lock)
                found.append(home / SPOOL)
        yield found


def _lock(home: Path) -> int | None:
    """A lock that dies with the process; None when another one has it."""
    try:
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(home / "lock", os.O_CREAT | os.O_RDWR, 0o600)
    except OSError as error:
        raise Misconfigured(
            f"AMR_SPOOL {home.parent} cannot be used: {error.strerror}; give a folder this user may write to"
        ) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def _row(one: PolledLine) -> dict[str, Any]:
    meters = [{**asdict(meter), "period": meter.period.total_seconds()} for meter in one.meters]
    return {"line": asdict(one.line), "meters": meters}


def _line(row: Any) -> PolledLine:
    meters = [Polled(**{**one, "period": timedelta(seconds=one["period"])}) for one in row["meters"]]
    return PolledLine(Line(**row["line"]), tuple(meters))
