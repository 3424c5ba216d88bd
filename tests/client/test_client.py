"""A TypeScript client generated from the committed contract compiles strictly and works against the live service."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from api.context import Knowledge
from tests.api.conftest import knowledge, secret
from tests.api.lasting_house import lasting_house

__all__ = ["knowledge"]

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
CACHE = ROOT / ".cache"
PATIENCE = 240


def run(*command: str | Path, folder: Path) -> str:
    """What a program says; everything it said when it fails."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def installed() -> Path:
    """A folder with the pinned libraries, installed once for each lock file."""
    npm = shutil.which("npm")
    if npm is None:
        if os.environ.get("CI"):
            pytest.fail("npm is needed for the client of the contract: apt-get install nodejs npm")
        pytest.skip("npm is not installed (apt-get install nodejs npm)")
    digest = hashlib.sha256((HERE / "package-lock.json").read_bytes()).hexdigest()[:16]
    folder = CACHE / f"client-{digest}"
    if not folder.exists():
        CACHE.mkdir(exist_ok=True)
        fresh = Path(tempfile.mkdtemp(prefix="client-", dir=CACHE))
        for name in ("package.json", "package-lock.json"):
            shutil.copy(HERE / name, fresh)
        run(npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts", folder=fresh)
        fresh.rename(folder)
    return folder


def test_the_lock_file_names_no_registry() -> None:
    assert '"resolved"' not in (HERE / "package-lock.json").read_text()


def test_a_generated_client_compiles_and_works(server_dsn: str, knowledge: Knowledge, tmp_path: Path) -> None:
    libraries = installed()
    (tmp_path / "node_modules").symlink_to(libraries / "node_modules")
    for name in ("package.json", "tsconfig.json", "cabinet.ts"):
        shutil.copy(HERE / name, tmp_path)
    programs = libraries / "node_modules" / ".bin"
    contract = ROOT / "docs" / "openapi.json"
    run(programs / "openapi-typescript", contract, "--output", tmp_path / "contract.ts", folder=tmp_path)
    run(programs / "tsc", folder=tmp_path)
    with lasting_house(server_dsn, knowledge) as url:
        said = run("node", "built/cabinet.js", url, secret("boris"), folder=tmp_path)
    assert said.startswith("flat-1: ")
