"""Backup and restore by PostgreSQL's own pg_dump and pg_restore, of the same version as the server.

One file in pg_dump's custom format holds the whole database as of one moment; the service goes on meanwhile. The
programs come with the embedded PostgreSQL, or from the client packages of the system. TimescaleDB asks to be told
before and after a restore (timescaledb_pre_restore, timescaledb_post_restore).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from ingest.errors import AmrError, Misconfigured
from storage import timescale
from storage.database import Database
from storage.migrate import migrate
from storage.policy import StoragePolicy
from storage.postgres_binaries import find_binaries

_SYSTEM = ("/usr/lib/postgresql", "/usr")
"""Where distributions keep the programs of every version: Debian's <version>/bin, Red Hat's pgsql-<version>/bin."""

NEWEST = 30
"""No version of PostgreSQL beyond this is looked for."""

_UNKNOWN_SETTING = "SET transaction_timeout = 0"

_MAJOR = "SELECT current_setting('server_version_num')::int / 10000"
_USED = "SELECT to_regclass('migration') IS NOT NULL"


async def backup(database: Database, file: Path) -> list[str]:
    """Write the whole database into a new file that only its owner may read; gives what was done, as text.

    The file has its name only once it is whole. Raises Misconfigured when it exists, cannot be written, or pg_dump is
    missing or fails.
    """
    async with database.connection() as conn:
        major, found = await _major(conn), await timescale.extension(conn)
    programs = [await asyncio.to_thread(_program, name, major) for name in ("pg_dump", "pg_restore")]
    with _whole(file) as half:
        where, environment = _connection(database)
        await _run([programs[0], "--format=custom", f"--file={half}", where], environment)
        await _listed(programs[1], half)
    said = [f"{file}: {_size(file)}, the whole database as of the start, PostgreSQL {major}"]
    if found is not None:
        said.append(f"it needs TimescaleDB {found.version}, exactly this version, to be restored")
    return said


@contextlib.contextmanager
def _whole(file: Path) -> Iterator[Path]:
    """A file to write into, for its owner's eyes only, that gets its name when everything went well."""
    half = file.with_name(f"{file.name}.half")
    if file.exists():
        raise Misconfigured(f"{file} exists; give the new backup another name, for example with the date in it")
    try:
        os.close(os.open(half, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600))
        yield half
        half.rename(file)
    except OSError as e:
        raise Misconfigured(f"{file} cannot be written: {e.strerror}; name a file in a folder of yours") from e
    finally:
        half.unlink(missing_ok=True)


def _size(file: Path) -> str:
    size = file.stat().st_size
    return f"{size / 1024**2:.1f} MiB" if size >= 1024**2 else f"{size // 1024} KiB"


async def restore(database: Database, file: Path, policy: StoragePolicy) -> list[str]:
    """Fill an empty database from a file, bring it up to this version; gives what was done, as text.

    Raises Misconfigured when the database is not empty, the file is none of pg_dump's, or the server lacks TimescaleDB
    that the file needs. After a failure on the way the database is to be thrown away.
    """
    async with database.connection() as conn:
        major, used = await _major(conn), await (await conn.execute(_USED)).fetchone()
    if used == (True,):
        raise Misconfigured(
            "the database is in use already, and a restore fills an empty one; make a new one with `createdb` and name "
            "it in AMR_DATABASE_URL, or for an embedded one name a new folder in AMR_DATA"
        )
    program, listed = await _reader(file, major)
    hypertables = re.search(r"\bEXTENSION - timescaledb\b", listed) is not None
    if hypertables:
        await _expect_timescale(database)
    await _pour(database, program, file)
    async with database.own_connection() as conn:
        if hypertables:
            await _tell(conn, "post")
        await conn.execute("ANALYZE")
    applied = await migrate(database, policy)
    return [f"restored {file}", *(f"migrated: {name}" for name in applied)]


async def _reader(file: Path, major: int) -> tuple[str, str]:
    """The pg_restore that can read the file, and its table of contents: of the server's version, or of a newer one.

    A file of the embedded PostgreSQL is newer than most servers it moves to.
    """
    newer = [version for version in range(major + 1, NEWEST + 1) if next(_candidates("pg_restore", version), None)]
    refused: Misconfigured | None = None
    for version in (major, *newer):
        try:
            program = await asyncio.to_thread(_program, "pg_restore", version)
            return program, await _listed(program, file)
        except Misconfigured as e:
            refused = refused or e
    assert refused is not None
    raise refused


async def _pour(database: Database, program: str, file: Path) -> None:
    """Run pg_restore; nothing may fail but a newer one's wish for a setting that servers before 17 do not know."""
    where, environment = _connection(database)
    try:
        await _run([program, "--no-owner", "--no-privileges", where, str(file)], environment)
    except Misconfigured as e:
        if _UNKNOWN_SETTING not in str(e) or "errors ignored on restore: 1\n" not in f"{e}\n":
            raise


async def _expect_timescale(database: Database) -> None:
    try:
        async with database.own_connection() as conn:
            await conn.execute("CREATE EXTENSION IF NOT EXISTS timescaledb")
        async with database.own_connection() as conn:  # the library is loaded by the session that creates it
            await _tell(conn, "pre")
    except AmrError as e:
        raise Misconfigured(
            f"the backup was made with TimescaleDB and the server does not offer it to us ({e}); install the version "
            "that the backup named, preload it (shared_preload_libraries), and connect as the owner of the database"
        ) from e


async def _tell(conn: psycopg.AsyncConnection[Any], when: str) -> None:
    found = await timescale.extension(conn)
    assert found is not None
    await conn.execute(timescale.qualified(f"SELECT {{ts}}.timescaledb_{when}_restore()", found))


async def _major(conn: psycopg.AsyncConnection[Any]) -> int:
    row = await (await conn.execute(_MAJOR)).fetchone()
    assert row
    return int(row[0])


async def _listed(program: str, file: Path) -> str:
    """The table of contents of a backup: whoever can write it, can read the file."""
    return await _run([program, "--list", str(file)])


def _connection(database: Database) -> tuple[str, dict[str, str]]:
    """How the programs connect: --dbname, and the environment with the password, which a command line would show."""
    given = conninfo_to_dict(database.dsn)
    password = given.pop("password", None)
    environment = {**os.environ} if password is None else {**os.environ, "PGPASSWORD": str(password)}
    return f"--dbname={make_conninfo('', **given)}", environment


async def _run(words: Sequence[str], environment: Mapping[str, str] | None = None) -> str:
    """Run one of the programs to its end; gives what it printed."""
    process = await asyncio.create_subprocess_exec(
        *words, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        printed, told = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    if process.returncode:
        why = told.decode(errors="replace").strip() or f"exit code {process.returncode}"
        raise Misconfigured(f"{Path(words[0]).name} failed: {why}")
    return printed.decode(errors="replace")


def _program(name: str, major: int) -> str:
    """pg_dump or pg_restore of one major version: files of a newer one cannot be restored into an older server."""
    for candidate in _candidates(name, major):
        answer = subprocess.run([candidate, "--version"], capture_output=True, text=True, check=False)
        if re.search(rf"\) {major}\b", answer.stdout):
            return candidate
    raise Misconfigured(
        f"there is no {name} of PostgreSQL {major}, the server's version, on this machine; install the client programs "
        f"of that version (Debian and Ubuntu: apt-get install postgresql-client-{major})"
    )


def _candidates(name: str, major: int) -> Iterator[str]:
    with contextlib.suppress(Misconfigured):  # no embedded PostgreSQL, or one of another version: the system's will do
        yield find_binaries(major).program(name)
    for folder in (Path(_SYSTEM[0], str(major)), Path(_SYSTEM[1], f"pgsql-{major}")):
        if (folder / "bin" / name).exists():
            yield str(folder / "bin" / name)
    if on_path := shutil.which(name):
        yield on_path
