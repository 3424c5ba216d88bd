"""The page on meters in your CI does what it shows: every snippet of it is run."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from collectors.catalog import load_catalog
from collectors.link import Silent
from collectors.modbus import ModbusLink
from ingest.model import Line, Polled
from simulators import cli
from simulators.events import Restart
from simulators.faults import Kind
from simulators.rig import SimulatorFactory
from simulators.street_file import parse_street

pytest_plugins = ["simulators.fixtures"]

PAGE = (Path(__file__).parents[1] / "docs" / "meters-in-your-ci.md").read_text(encoding="utf-8")
MODELS = {1: "eastron-sdm120", 2: "abb-b23"}


def snippets(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


async def my_poller(host: str, port: int, units: Sequence[int]) -> dict[int, Decimal | None]:
    """Somebody's poller: ours."""
    line = Line("ci", "modbus-tcp", f"{host}:{port}", {"timeout": 2.0, "check_serial": False})
    link = ModbusLink(line, load_catalog())
    await link.open()
    found: dict[int, Decimal | None] = {}
    for unit in units:
        try:
            answer = await link.read(Polled(f"m{unit}", MODELS[unit], str(unit), timedelta(minutes=30)))
            found[unit] = answer.values["1.8.0"]
        except Silent:
            found[unit] = None
    await link.close()
    return found


async def test_the_test_that_is_shown_passes(modbus_simulator: SimulatorFactory) -> None:
    plugins, shown, _ = snippets("python")
    known: dict[str, Any] = {"my_poller": my_poller}
    exec(plugins, known)
    exec(shown, known)
    assert known["pytest_plugins"] == pytest_plugins
    await known["test_my_poller_survives_a_dead_meter"](modbus_simulator)


THEIR_POLLER = """
import asyncio
from decimal import Decimal

async def my_poller(host, port, units):
    return {unit: await poll(host, port, unit) for unit in units}

async def poll(host, port, unit):
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(bytes((0, 1, 0, 0, 0, 6, unit, 3, 0x50, 0, 0, 4)))
    try:
        async with asyncio.timeout(2.0):
            answer = await reader.readexactly(17)
        return Decimal(int.from_bytes(answer[9:], "big")) / 100
    except TimeoutError:
        return None
    finally:
        writer.close()
"""


def test_in_an_empty_project_the_page_is_enough(tmp_path: Path) -> None:
    plugins, shown, street = snippets("python")
    (tmp_path / "conftest.py").write_text(plugins)
    (tmp_path / "pytest.ini").write_text(snippets("ini")[0] + "filterwarnings = error\n")
    (tmp_path / "street.toml").write_text(snippets("toml")[0])
    (tmp_path / "test_theirs.py").write_text(THEIR_POLLER + shown + street)
    ours = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
    ran = subprocess.run(ours, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60.0)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "2 passed" in ran.stdout


def test_the_fixtures_need_nothing_of_the_service() -> None:
    asked = "import sys, simulators.fixtures; print([one for one in sys.modules if '.' not in one])"
    seen = subprocess.run(
        [sys.executable, "-c", asked], capture_output=True, text=True, check=True, timeout=60.0
    ).stdout
    for driver in ("psycopg", "fastapi", "pymodbus", "paho", "typer", "rich", "pydantic"):
        assert f"'{driver}'" not in seen


async def test_the_kinds_of_lines_are_there(modbus_simulator: SimulatorFactory) -> None:
    for kind in re.findall(r'"([a-z-]+)"', PAGE[PAGE.index('- `kind="') : PAGE.index("- Its clock")]):
        simulator = await modbus_simulator({1: "eastron-sdm120"}, kind=kind)
        assert simulator.truth(1)["1.8.0"] > 0


def test_the_faults_are_all_told() -> None:
    told = PAGE[PAGE.index("- Faults:") : PAGE.index("## A street")]
    assert {kind.value for kind in Kind} <= set(re.findall(r"`([a-z-]+)`", told))


def test_the_street_that_is_shown_is_one() -> None:
    [street] = snippets("toml")
    spec = parse_street(street, datetime(2026, 11, 20, tzinfo=UTC))
    [meter] = spec.meters
    assert [type(event) for event in meter.meter.events] == [Restart]
    [fault] = meter.faults
    assert (fault.kind, fault.seconds, fault.every) == (Kind.LATE, 1.5, 3)
    assert fault.begin is not None
    assert fault.end is not None
    assert fault.end - fault.begin == timedelta(minutes=20)


def test_the_command_that_is_shown_is_there() -> None:
    told = CliRunner().invoke(cli.app, ["--help"], env={"COLUMNS": "200"}).stdout
    assert "amr simulate street.toml --speed 60" in PAGE
    assert "--speed" in told
