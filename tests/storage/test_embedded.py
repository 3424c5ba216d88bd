"""The embedded PostgreSQL as its users meet it: owners, guests, deaths, accounts, paths. All with real processes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psycopg
import pytest

from ingest.errors import Misconfigured
from storage import postgres_binaries
from storage.embedded import embedded_server
from storage.postgres_binaries import Binaries, RunAs, account_for, find_binaries, reachable_binaries
from storage.postgres_process import server_pid
from tests.conftest import open_folder

_PROGRAM = str(Path(__file__).with_name("embedded_process.py"))
_ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join([os.getcwd(), *filter(None, sys.path)])}
_ROOT = os.geteuid() == 0


@pytest.fixture
def data() -> Iterator[Path]:
    folder = open_folder()
    yield folder
    shutil.rmtree(folder)


@contextlib.asynccontextmanager
async def neighbour(data: Path, *options: str) -> AsyncIterator[tuple[Process, str, str]]:
    """Another process on the same folder: it, its part ('owner' or 'guest') and its DSN."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, _PROGRAM, str(data), *options, stdin=PIPE, stdout=PIPE, env=_ENVIRONMENT
    )
    assert process.stdout
    part, _, dsn = (await asyncio.wait_for(process.stdout.readline(), 60)).decode().strip().partition(" ")
    try:
        yield process, part, dsn
    finally:
        if process.returncode is None:
            await asyncio.wait_for(process.communicate(b""), 60)


async def ask(dsn: str, question: str) -> object:
    """The first value of the answer, asking again while the server is on its way up or down."""
    for _ in range(300):
        try:
            async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as conn:
                cursor = await conn.execute(question.encode())
                row = await cursor.fetchone() if cursor.description else None
                return row[0] if row else None
        except psycopg.OperationalError:
            await asyncio.sleep(0.1)
    raise AssertionError(f"nobody answered {question}")


async def ended(data: Path) -> bool:
    """Whether the server of the folder goes away."""
    for _ in range(300):
        if server_pid(cluster_of(data)) is None:
            return True
        await asyncio.sleep(0.05)
    return False


async def logged(data: Path, line: str) -> bool:
    """Whether the server says so."""
    for _ in range(300):
        if line in (data / "postgres.log").read_text():
            return True
        await asyncio.sleep(0.05)
    return False


def cluster_of(data: Path) -> Path:
    return next(found.parent for found in data.glob("postgres-*/PG_VERSION"))


def mode_of(path: Path) -> int:
    return path.stat().st_mode & 0o777


def owner_of(path: Path) -> int:
    return path.stat().st_uid


async def next_server(data: Path, before: int | None) -> None:
    """Wait until another server than `before` runs on the folder."""
    for _ in range(600):
        if server_pid(cluster_of(data)) not in (before, None):
            return
        await asyncio.sleep(0.05)
    raise AssertionError("nobody started a server again")


def listening(pid: int) -> list[str]:
    """The TCP sockets a process listens on."""
    inodes = {os.readlink(fd) for fd in Path(f"/proc/{pid}/fd").iterdir() if fd.is_symlink()}
    rows = [row.split() for name in ("tcp", "tcp6") for row in Path(f"/proc/{pid}/net/{name}").read_text().splitlines()]
    return [row[1] for row in rows if row[3] == "0A" and f"socket:[{row[9]}]" in inodes]


async def test_answers_and_is_found_again(data: Path) -> None:
    async with embedded_server(data) as dsn:
        await ask(dsn, "CREATE TABLE kept AS SELECT 7 AS n")
        pid = server_pid(cluster_of(data))
    assert pid is not None
    assert server_pid(cluster_of(data)) is None
    async with embedded_server(data) as dsn:
        assert await ask(dsn, "SELECT n FROM kept") == 7


async def test_runs_as_it_should(data: Path) -> None:
    async with embedded_server(data) as dsn:
        pid = server_pid(cluster_of(data))
        assert pid is not None
        assert listening(pid) == []
        uid = owner_of(Path(f"/proc/{pid}"))
        assert uid != 0
        assert uid == account_for(cluster_of(data)).get("user", os.geteuid())
        assert mode_of(cluster_of(data)) == 0o700
        settings = [await ask(dsn, f"SHOW {name}") for name in ("fsync", "timezone", "jit", "listen_addresses")]
        assert settings == ["on", "UTC", "off", ""]
        assert await ask(dsn, "SELECT datcollate FROM pg_database WHERE datname = current_database()") == "C"


async def test_a_second_process_joins_and_takes_over_after_kill_9(data: Path) -> None:
    async with neighbour(data) as (owner, part, dsn), embedded_server(data) as ours:
        assert part == "owner"
        assert ours == dsn
        await ask(dsn, "CREATE TABLE kept AS SELECT 7 AS n")
        identity = await ask(ours, "SELECT system_identifier FROM pg_control_system()")
        before = server_pid(cluster_of(data))
        owner.send_signal(signal.SIGKILL)
        await owner.wait()
        await next_server(data, before)
        assert await ask(ours, "SELECT n FROM kept") == 7
        assert await ask(ours, "SELECT system_identifier FROM pg_control_system()") == identity
        assert "was not properly shut down" not in (data / "postgres.log").read_text()
    assert server_pid(cluster_of(data)) is None


@pytest.mark.parametrize("options", [(), ("--thread",)])
async def test_kill_9_of_the_only_process_leaves_no_orphan(data: Path, options: tuple[str, ...]) -> None:
    async with neighbour(data, *options) as (owner, _, dsn):
        assert await ask(dsn, "SELECT 1") == 1
        owner.send_signal(signal.SIGKILL)
        await owner.wait()
        assert await ended(data)
        assert await logged(data, "database system is shut down")  # which comes after its lock file went


async def test_of_processes_starting_at_once_one_owns(data: Path) -> None:
    async with contextlib.AsyncExitStack() as stack:
        entered = [stack.enter_async_context(neighbour(data)) for _ in range(3)]
        started = await asyncio.gather(*entered)
        assert sorted(part for _, part, _ in started) == ["guest", "guest", "owner"]
        seen = {await ask(dsn, "SELECT system_identifier FROM pg_control_system()") for _, _, dsn in started}
        assert len(seen) == 1
    assert server_pid(cluster_of(data)) is None


async def test_an_owner_that_leaves_hands_over(data: Path) -> None:
    async with contextlib.AsyncExitStack() as staying:
        async with neighbour(data) as (_, part, dsn):
            assert part == "owner"
            ours = await staying.enter_async_context(embedded_server(data))
            await ask(dsn, "CREATE TABLE kept AS SELECT 7 AS n")
        assert await ask(ours, "SELECT n FROM kept") == 7


async def test_a_server_that_dies_is_started_again(data: Path) -> None:
    async with embedded_server(data) as dsn:
        await ask(dsn, "CREATE TABLE kept AS SELECT 7 AS n")
        pid = server_pid(cluster_of(data))
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        await next_server(data, pid)
        assert await ask(dsn, "SELECT n FROM kept") == 7


async def test_a_stale_note_of_somebody_elses_process_does_not_block(data: Path) -> None:
    async with embedded_server(data) as dsn:
        await ask(dsn, "SELECT 1")
        cluster = cluster_of(data)
        note, lock = (cluster / "postmaster.pid").read_text(), (cluster / ".s.PGSQL.5432.lock").read_text()
    account = account_for(cluster)
    stranger = await asyncio.create_subprocess_exec("sleep", "60", **account)
    for name, text in (("postmaster.pid", note), (".s.PGSQL.5432.lock", lock)):
        path = cluster / name
        path.write_text("\n".join([str(stranger.pid), *text.splitlines()[1:]]) + "\n")
        if account:
            os.chown(path, account["user"], account["group"])
    try:
        async with embedded_server(data) as dsn:
            assert await ask(dsn, "SELECT 1") == 1
            assert stranger.returncode is None
    finally:
        stranger.kill()
        await stranger.wait()


async def test_a_path_too_long_for_a_socket(data: Path) -> None:
    deep = data / ("long" * 30)
    async with embedded_server(deep) as dsn:
        assert await ask(dsn, "SELECT 1") == 1
        folder = Path(psycopg.conninfo.conninfo_to_dict(dsn)["host"])  # type: ignore[arg-type]
        assert folder.parent == Path("/tmp")
        assert mode_of(folder) == 0o700
        async with neighbour(deep) as (_, part, joined):
            assert (part, joined) == ("guest", dsn)
    os.mkdir(folder)  # the owner took its own away
    os.chmod(folder, 0o777)
    with pytest.raises(Misconfigured, match=r"not a private folder.*AMR_DATA"):
        async with embedded_server(deep):
            pass
    os.rmdir(folder)


async def test_a_folder_the_server_cannot_enter(data: Path) -> None:
    closed = data / "closed"
    closed.mkdir(mode=0o700)
    with contextlib.ExitStack() as expected:
        if _ROOT:
            expected.enter_context(pytest.raises(Misconfigured, match=rf"{closed} may not be entered.*AMR_DATA"))
        async with embedded_server(closed / "data") as dsn:
            assert await ask(dsn, "SELECT 1") == 1
    assert (closed / "data").exists() != _ROOT
    assert mode_of(closed) == 0o700


async def test_a_folder_that_is_a_file(data: Path) -> None:
    (data / "file").write_text("")
    with pytest.raises(Misconfigured, match="set AMR_DATA"):
        async with embedded_server(data / "file"):
            pass


async def test_programs_out_of_reach_are_copied_once(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Like a virtual environment under root's own home."""
    found = find_binaries(None)
    home = data / "home"
    postgres_binaries._copy_programs(found.folder, home / "site")
    home.chmod(0o700)
    hidden = Binaries(home / "site" / postgres_binaries.CARRIER / found.folder.name, found.major)
    monkeypatch.setattr("storage.embedded.find_binaries", lambda _: hidden)
    account: RunAs = account_for(data / "absent")
    reached = reachable_binaries(hidden, account, data)
    assert reached == reachable_binaries(hidden, account, data)
    assert (reached != hidden) == _ROOT
    async with embedded_server(data) as dsn:
        assert await ask(dsn, "SELECT 1") == 1
    assert mode_of(home) == 0o700


def test_without_the_wheel_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_binaries, "CARRIER", "no_such_package")
    with pytest.raises(Misconfigured, match=r"pip install 'amr\[embedded\]'.*AMR_DATABASE_URL"):
        find_binaries(None)


def test_data_of_a_version_the_wheel_does_not_carry() -> None:
    with pytest.raises(Misconfigured, match=r"made by PostgreSQL 12.*AMR_DATABASE_URL"):
        find_binaries(12)
