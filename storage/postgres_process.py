"""One PostgreSQL server as a child of this process: started, watched, and stopped without ever leaving an orphan."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ingest.errors import StoreUnavailable
from storage.postgres_binaries import Binaries, RunAs

_PR_SET_PDEATHSIG = 1
_STEP = 0.02
_STOPS = ((signal.SIGINT, 60.0), (signal.SIGQUIT, 10.0), (signal.SIGKILL, 10.0))
"""Fast shutdown with a checkpoint; at once without one; by force. Each with the seconds it is given."""
_START_PATIENCE = 120.0  # replaying the log after a power cut takes its time
_LARGEST_LOG = 16 * 1024 * 1024
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


@dataclass(slots=True)
class PostgresProcess:
    """A running server. `guard` stands in for the kernel's death signal where there is none."""

    child: subprocess.Popen[bytes]
    guard: subprocess.Popen[bytes] | None

    @property
    def alive(self) -> bool:
        return self.child.poll() is None

    async def stop(self) -> None:
        """Stop it, politely first; returns when the process is gone."""
        for number, patience in _STOPS:
            if not self.alive:
                break
            self.child.send_signal(number)
            await until(lambda: not self.alive, patience)
        self._dismiss_guard()

    def abort(self) -> None:
        """End it at once, waiting in place: for a start given up, which must not leave a child if cancelled again."""
        for number, patience in _STOPS[1:]:
            if self.alive:
                self.child.send_signal(number)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self.child.wait(patience)
        self._dismiss_guard()

    def _dismiss_guard(self) -> None:
        if self.guard is not None:
            self.guard.kill()
            self.guard.wait()
            assert self.guard.stdin is not None
            self.guard.stdin.close()
            self.guard = None


async def start_postgres(
    binaries: Binaries, cluster: Path, socket_folder: Path, log: Path, account: RunAs
) -> PostgresProcess:
    """Start a server on the data folder `cluster` and wait until it takes connections.

    Raises StoreUnavailable with the end of its log when it gives up.
    """
    server = _spawn(binaries, cluster, socket_folder, log, account)
    try:
        if not await until(lambda: not server.alive or is_ready(cluster, server.child.pid), _START_PATIENCE):
            raise StoreUnavailable(f"the embedded PostgreSQL is not ready after {_START_PATIENCE:g} s; see {log}")
        if not server.alive:
            raise StoreUnavailable(f"the embedded PostgreSQL stopped while starting; {log} ends:\n{_tail(log)}")
    except BaseException:
        server.abort()
        raise
    return server


def _spawn(binaries: Binaries, cluster: Path, socket_folder: Path, log: Path, account: RunAs) -> PostgresProcess:
    dies_with_us = _death_signal()
    with _log_file(log) as output, warnings.catch_warnings():
        # preexec_fn makes one system call through a library loaded long ago; the warning of Python 3.12 and later
        # about forking beside threads is about code that does more.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = subprocess.Popen(
            [binaries.program("postgres"), "-D", str(cluster), *_options(socket_folder)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=cluster,
            start_new_session=True,  # Ctrl-C in the terminal is for us: we finish the batch in hand, then stop it
            preexec_fn=dies_with_us,
            **account,
        )
    return PostgresProcess(child, None if dies_with_us else _death_watch(child.pid, account))


def _options(socket_folder: Path) -> list[str]:
    quoted = '"' + str(socket_folder).replace('"', '""') + '"'
    settings = {
        "listen_addresses": "",
        "unix_socket_directories": quoted,
        "unix_socket_permissions": "0700",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "jit": "off",
        "cluster_name": "amr",
    }
    return [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]


def _death_signal() -> Callable[[], None] | None:
    """What the child runs before it becomes PostgreSQL, so that our death (kill -9 too) shuts it down cleanly.

    The kernel watches the thread that spawned the child, not the process: only the main thread will do.
    """
    if _LIBC is None or threading.current_thread() is not threading.main_thread():
        return None
    libc, parent = _LIBC, os.getpid()

    def arm() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGINT)
        if os.getppid() != parent:  # died between the fork and the call above
            os._exit(1)

    return arm


def _death_watch(pid: int, account: RunAs) -> subprocess.Popen[bytes]:
    """A shell waiting for the end of a pipe that only we hold open; then it asks the server to shut down."""
    return subprocess.Popen(
        ["/bin/sh", "-c", 'read nothing; kill -INT "$1"', "sh", str(pid)],
        stdin=subprocess.PIPE,
        cwd="/",
        start_new_session=True,
        **account,
    )


def _log_file(log: Path) -> BinaryIO:
    if log.exists() and log.stat().st_size > _LARGEST_LOG:
        log.replace(log.with_suffix(".log.1"))
    file = log.open("ab")
    os.fchmod(file.fileno(), 0o600)  # what it tells of failed statements has their values in it
    return file


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-8:])


def is_ready(cluster: Path, pid: int | None = None) -> bool:
    """Whether the data folder's own note says that a server (with this process id, if given) takes connections."""
    note = _note(cluster)
    return len(note) > 7 and note[7].strip() == "ready" and pid in (None, int(note[0]))


def server_pid(cluster: Path) -> int | None:
    """The process id of a live server on this data folder; None when it is gone, whatever a stale note says."""
    note = _note(cluster)
    if not note or not note[0].strip().isdecimal():
        return None
    pid = int(note[0])
    return pid if f" -D {cluster} " in f"{_command_of(pid)} " else None


def disown_stale_note(cluster: Path, socket_folder: Path) -> None:
    """Keep a stale note from blocking the next start when its process id now belongs to somebody else.

    PostgreSQL trusts a note that names its own parent, so we write ourselves there and leave the rest: the check for
    shared memory still in use by survivors keeps working. Call only when `server_pid` says that nobody is there.
    """
    for note in (cluster / "postmaster.pid", socket_folder / ".s.PGSQL.5432.lock"):
        if note.exists():
            _, _, rest = note.read_text().partition("\n")
            note.write_text(f"{os.getpid()}\n{rest}")


def _note(cluster: Path) -> list[str]:
    try:
        return (cluster / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return []


def _command_of(pid: int) -> str:
    """The command line of a process, empty when there is none."""
    command = Path(f"/proc/{pid}/cmdline")
    if command.exists():
        return command.read_bytes().replace(b"\0", b" ").decode(errors="replace")
    if _LIBC is not None:
        return ""
    shown = subprocess.run(["ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return shown.stdout


async def end_leftover(cluster: Path) -> None:
    """Wait for the server of a dead owner to finish its shutdown, and ask it to where the kernel did not."""
    grace = 1.0 if _LIBC is not None else 0.0
    if await until(lambda: server_pid(cluster) is None, grace):
        return
    for number, patience in _STOPS:
        pid = server_pid(cluster)
        if pid is None:
            return
        os.kill(pid, number)
        if await until(lambda: server_pid(cluster) is None, patience):
            return
    raise StoreUnavailable(f"a PostgreSQL left on {cluster} does not stop; end process {server_pid(cluster)} by hand")


async def until(done: Callable[[], bool], patience: float) -> bool:
    """Look again and again until `done`, at most `patience` seconds; whether it came true."""
    limit = time.monotonic() + patience
    while not done():
        if time.monotonic() > limit:
            return False
        await asyncio.sleep(_STEP)
    return True
