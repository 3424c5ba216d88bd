"""Every import contract really bites: break each one in a copy of the tree, and see import-linter fail."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FLOORS = ("ingest", "storage", "collectors", "api", "simulators")
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]

# One forbidden import for each pair the contracts name: (the floor that breaks the rule, what it imports).
BREACHES = [
    (source, target)
    for contract in CONTRACTS
    for source in contract["source_modules"]
    for target in contract["forbidden_modules"]
    if source != target
]


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A copy of the packages, small enough to break."""
    for floor in FLOORS:
        shutil.copytree(ROOT / floor, tmp_path / floor, ignore=shutil.ignore_patterns("__pycache__", "*.gz", "*.toml"))
    for name in ("amr.py", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def lint(house: Path) -> subprocess.CompletedProcess[str]:
    # A clean interpreter: what is installed in editable mode must not be found instead of the copy.
    script = "import sys; sys.path.insert(0, sys.argv.pop(1)); from importlinter.cli import lint_imports_command as c; c()"
    return subprocess.run(
        [sys.executable, "-c", script, str(house), "--no-cache"], cwd=house, capture_output=True, text=True, timeout=120
    )


def test_the_house_as_it_stands_keeps_every_contract(house: Path) -> None:
    result = lint(house)
    assert result.returncode == 0, result.stdout
    assert f"{len(CONTRACTS)} kept, 0 broken" in result.stdout


def test_every_contract_notices_every_import_it_forbids(house: Path) -> None:
    """All breaches at once, in one run: each contract must list each of its forbidden imports."""
    for source in {source for source, _ in BREACHES}:
        imports = sorted({target for breaker, target in BREACHES if breaker == source})
        target = house / "amr.py" if source == "amr" else house / source / "breach.py"
        with target.open("a") as file:
            file.writelines(f"\nimport {name}\n" for name in imports)
    result = lint(house)
    assert result.returncode == 1
    assert f"0 kept, {len(CONTRACTS)} broken" in result.stdout
    breakers = {source: "amr" if source == "amr" else f"{source}.breach" for source, _ in BREACHES}
    missed = [(s, t) for s, t in BREACHES if f"{breakers[s]} -> {t} " not in result.stdout]
    assert not missed
