"""A private PostgreSQL for one machine, when no database is configured.

Every process that needs it opens an `EmbeddedServer` on the same data folder. The one that gets the lock file owns the
server and runs it as a child; the others join through its local socket. When the owner dies, the kernel shuts the
server down and releases the lock, and within about a second one of the others owns a new one. Nothing listens on the
network: who may enter the data folder may enter the database.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import hashlib
import logging
import os
import socket
import stat
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

from psycopg.conninfo import make_conninfo

from ingest.errors import AmrError, Misconfigured, StoreUnavailable
from storage.postgres_binaries import (
    RunAs,
    account_for,
    check_reachable,
    find_binaries,
    initialise,
    reachable_binaries,
)
from storage.postgres_process import (
    PostgresProcess,
    disown_stale_note,
    end_leftover,
    is_ready,
    start_postgres,
    until,
)

_log = logging.getLogger(__name__)
_LOOK = 0.3
_LONGEST_PAUSE = 30.0
_PATIENCE = 180.0
_SOCKET_NAME = ".s.PGSQL.5432"
_LONGEST_SOCKET = 107 if sys.platform == "linux" else 103
_SHORT_ROOT = Path("/tmp")  # not tempfile.gettempdir(): every process must come to the same place


@contextlib.asynccontextmanager
async def embedded_server(data: Path) -> AsyncIterator[str]:
    """Own or join the server of the data folder; gives its DSN. While inside, somebody's server is kept running.

    Raises Misconfigured (no binaries, a folder PostgreSQL cannot use) or StoreUnavailable (it does not start).
    """
    server = EmbeddedServer(data)
    await server.start()
    guard = asyncio.create_task(server.guard(), name="embedded-postgres-guard")
    try:
        yield server.dsn
    finally:
        guard.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await guard
        await server.stop()


class EmbeddedServer:
    """One process's part in the server of a data folder: its owner, or a guest waiting to become one."""

    def __init__(self, data: Path) -> None:
        self._data = data.expanduser().resolve()
        self._lock: int | None = None
        self._process: PostgresProcess | None = None
        self._cluster = self._data
        self._sockets = self._data

    @property
    def dsn(self) -> str:
        return make_conninfo(host=str(self._sockets), port=5432, user="amr", dbname="postgres")

    @property
    def owner(self) -> bool:
        """Whether this process runs the server (False: it uses another one's)."""
        return self._lock is not None

    async def start(self) -> None:
        """Own the server, or join the one that another process owns."""
        self._prepare()
        limit = time.monotonic() + _PATIENCE
        while not self._take_lock():
            if await self._joined():
                _log.info("joined the embedded PostgreSQL of another process on %s", self._cluster)
                return
            if time.monotonic() > limit:
                raise StoreUnavailable(f"another process holds {self._lock_file} but its PostgreSQL never got ready")
        await self._start_owned()

    async def stop(self) -> None:
        """Leave; the owner stops its server first, and waits until it is gone."""
        if self._process is not None:
            await self._process.stop()
            self._process = None
            if self._sockets != self._cluster:
                with contextlib.suppress(OSError):  # somebody's file in it: the next owner will say so
                    self._sockets.rmdir()
        self._release()

    async def guard(self) -> None:
        """Keep a server running for as long as this process lives: never returns."""
        pause = _LOOK
        while True:
            await asyncio.sleep(pause)
            try:
                await self._revive()
                pause = _LOOK
            except AmrError:
                pause = min(_LONGEST_PAUSE, pause * 2)
                _log.exception("the embedded PostgreSQL on %s is down; next try in %.1f s", self._cluster, pause)

    async def _revive(self) -> None:
        if self._process is None:
            if self._take_lock():
                _log.warning("the owner of the embedded PostgreSQL on %s is gone; taking over", self._cluster)
                await self._start_owned()
        elif not self._process.alive:
            _log.error("the embedded PostgreSQL on %s stopped by itself; starting it again", self._cluster)
            await self._process.stop()
            self._process = None
            await self._start_owned()

    async def _start_owned(self) -> None:
        try:
            account = account_for(self._cluster)
            check_reachable(self._data, account)
            binaries = reachable_binaries(find_binaries(_installed_major(self._data)), account, self._data)
            initialise(binaries, self._cluster, account)
            _make_private(self._sockets, account)
            await end_leftover(self._cluster)
            disown_stale_note(self._cluster, self._sockets)
            self._process = await start_postgres(
                binaries, self._cluster, self._sockets, self._data / "postgres.log", account
            )
        except (OSError, subprocess.SubprocessError) as e:
            self._release()
            raise Misconfigured(
                f"the embedded PostgreSQL cannot be run on {self._data}: {e}; set AMR_DATA to another folder, "
                "or AMR_DATABASE_URL to a PostgreSQL server"
            ) from e
        except BaseException:
            self._release()
            raise
        _log.info("started the embedded PostgreSQL %d on %s", binaries.major, self._cluster)

    def _prepare(self) -> None:
        """Find every path; they depend on the data folder alone, so that all processes agree on them."""
        try:
            if not self._data.is_dir():
                there = next(folder for folder in self._data.parents if folder.is_dir())
                check_reachable(there, account_for(self._data))  # before anything is made
                _make_folder(self._data)
            major = _installed_major(self._data) or find_binaries(None).major
        except OSError as e:
            raise Misconfigured(f"data folder {self._data} cannot be used: {e}; set AMR_DATA to another one") from e
        self._cluster = self._data / f"postgres-{major}"
        self._sockets = _socket_folder(self._cluster)

    @property
    def _lock_file(self) -> Path:
        return self._data / f"{self._cluster.name}.lock"

    def _take_lock(self) -> bool:
        """Become the owner if nobody is. The kernel releases the lock when its process dies, however it dies."""
        if self._lock is not None:
            return True
        try:
            handle = os.open(self._lock_file, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as e:
            raise Misconfigured(
                f"{self._lock_file} cannot be opened: {e}; the data folder belongs to another user: run amr as that "
                "user, or set AMR_DATA to a folder of your own"
            ) from e
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            return False
        self._lock = handle
        return True

    def _release(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    async def _joined(self) -> bool:
        """Whether the other process's server answers, looking for at most a moment."""
        return await until(lambda: is_ready(self._cluster) and _answers(self._sockets), _LOOK)


def is_served(data: Path) -> bool:
    """Whether somebody's server answers for this data folder now; nothing is made or started."""
    data = data.expanduser().resolve()
    try:
        major = _installed_major(data)
        return major is not None and _answers(_socket_folder(data / f"postgres-{major}"))
    except OSError:  # a folder of somebody else's
        return False


def _make_folder(folder: Path) -> None:
    """Make a data folder; root's must let PostgreSQL's account through whatever the umask (the cluster is 0700)."""
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    if os.geteuid() == 0:
        folder.chmod(0o755)


def _installed_major(data: Path) -> int | None:
    """The major version of the newest data folder already there."""
    made = data.glob("postgres-[0-9][0-9]/PG_VERSION")
    majors = [int(found.parent.name.removeprefix("postgres-")) for found in made]
    return max(majors, default=None)


def _socket_folder(cluster: Path) -> Path:
    """The data folder itself, or a short one under /tmp when a socket's path would be too long for the kernel."""
    if len(os.fsencode(cluster / _SOCKET_NAME)) <= _LONGEST_SOCKET and "," not in str(cluster):
        return cluster
    return _SHORT_ROOT / f"amr-{hashlib.sha256(os.fsencode(cluster)).hexdigest()[:16]}"


def _make_private(folder: Path, account: RunAs) -> None:
    """Make the socket folder for the server's account alone; refuse one that somebody else prepared."""
    owner = account.get("user", os.geteuid())
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
        if account:
            os.chown(folder, account["user"], account["group"])
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != owner or status.st_mode & 0o077:
        raise Misconfigured(
            f"socket folder {folder} is not a private folder of user {owner}; remove it, or set AMR_DATA to a shorter "
            "path"
        )


def _answers(folder: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(folder / _SOCKET_NAME))
        except OSError:
            return False
    return True
