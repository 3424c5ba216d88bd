"""Every import contract really bites: break each one in a copy of the tree, and see import-linter fail."""

from __future__ import annotations

import ast
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
    # The copy goes first on the path: what is installed in editable mode must not be found instead of it.
    script = "import sys; sys.path.insert(0, sys.argv.pop(1)); from importlinter import cli; cli.lint_imports_command()"
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
        (house / source / "breach.py").write_text("".join(f"import {name}\n" for name in imports))
    result = lint(house)
    assert result.returncode == 1
    assert f"0 kept, {len(CONTRACTS)} broken" in result.stdout
    missed = [(source, target) for source, target in BREACHES if f"{source}.breach -> {target} " not in result.stdout]
    assert not missed


def test_amr_assembles_and_leaves_drivers_to_their_floors() -> None:
    tree = ast.parse((ROOT / "amr.py").read_text())
    imported = {
        name.split(".")[0]
        for node in ast.walk(tree)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert {"api", "collectors", "ingest", "simulators", "storage"} <= imported
    assert not imported & {"psycopg", "psycopg_pool", "pymodbus", "paho", "serial", "fastapi"}
