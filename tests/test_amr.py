"""The command line as its users meet it: in a process of its own, by exit code and by what it prints."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import typer.main
from typer.testing import CliRunner

import amr as assembled
from tests.conftest import open_folder

AMR = [sys.executable, "-m", "amr"]

FLEET = """
[[meter]]
serial = "7001"
model = "paper"
registers = [{channel = "1.8.0", digits = 6, decimals = 2, max_rate = "15"}]

[[point]]
code = "MP-7"
zone = "Europe/Samara"

[[installation]]
point = "MP-7"
meter = "7001"
since = 2026-01-01
"""


@pytest.fixture
def home() -> Iterator[dict[str, str]]:
    """An environment with nothing of ours set but a data folder of its own."""
    folder = open_folder()
    clean = {key: value for key, value in os.environ.items() if not key.startswith("AMR_")}
    yield {**clean, "AMR_DATA": str(folder), "COLUMNS": "120", "NO_COLOR": "1"}
    shutil.rmtree(folder)


def amr(home: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*AMR, *words], env=home, capture_output=True, text=True, timeout=120)


def test_every_verb_has_help(home: dict[str, str]) -> None:
    shown = amr(home, "--help").stdout
    verbs = set(re.findall(r"^│ (\w+) ", shown, re.MULTILINE))
    assert {"demo", "serve", "collect", "migrate", "simulate", "fleet", "token", "import", "meter"} <= verbs
    every = list(paths(typer.main.get_command(assembled.app)))
    assert {path[0] for path in every} == verbs
    for path in every:
        told = CliRunner().invoke(assembled.app, [*path, "--help"], env=home)
        assert told.exit_code == 0, f"{path}: {told.output}"
        assert "Usage" in told.stdout


def paths(command: Any, *before: str) -> Iterator[tuple[str, ...]]:
    """The words that lead to each verb, through every group."""
    for name, one in command.commands.items():
        if hasattr(one, "commands"):
            yield from paths(one, *before, name)
        else:
            yield *before, name


def test_an_import_tells_what_became_of_every_row(home: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "fleet.toml").write_text(FLEET)
    applied = amr(home, "fleet", "apply", str(tmp_path / "fleet.toml"))
    assert applied.returncode == 0, applied.stderr
    rows = [
        "meter,channel,taken_at,value,source,author",
        "7001,1.8.0,2026-02-01T00:00:00+04:00,100.5,consumer,ivanov",
        "7001,1.8.0,2026-03-01T00:00:00+04:00,90,consumer,ivanov",
        "7001,1.8.0,2026-03-01T00:00:00,90,,",
        "7001,1.8.0,2026-03-02T00:00:00+04:00,-5,,",
        "7001,1.8.0,2026-03-02T00:00:00+04:00,about 5,,",
        "9999,1.8.0,2026-03-02T00:00:00+04:00,5,,",
        "7001,2.8.0,2026-03-02T00:00:00+04:00,5,,",
    ]
    (tmp_path / "readings.csv").write_text("\n".join(rows))
    first = amr(home, "import", str(tmp_path / "readings.csv"))
    again = amr(home, "import", str(tmp_path / "readings.csv"))
    assert "stored 2, superseded 0, repeated 0, suspect 1, quarantined 5" in first.stdout, first.stderr
    assert "stored 0, superseded 0, repeated 2, suspect 1, quarantined 5" in again.stdout, again.stderr


@pytest.mark.parametrize(
    ("words", "environment", "told"),
    [
        (("import", "/nowhere.csv"), {}, "/nowhere.csv"),
        (("fleet", "apply", "/nowhere.toml"), {}, "/nowhere.toml"),
        (("serve",), {"AMR_HTTP_PORT": "eighty"}, "AMR_HTTP_PORT"),
        (("migrate",), {"AMR_DATABASE_URL": "nonsense"}, "AMR_DATABASE_URL"),
        (("token", "create", "x", "--role", "king"), {}, "king"),
    ],
)
def test_a_mistake_ends_in_one_line_that_names_it(
    home: dict[str, str], words: tuple[str, ...], environment: dict[str, str], told: str
) -> None:
    result = amr({**home, **environment}, *words)
    assert result.returncode == 1
    assert told in result.stderr
    assert "Traceback" not in result.stderr


def test_the_demo_serves_the_whole_road_and_leaves_no_process_behind(home: dict[str, str], tmp_path: Path) -> None:
    with (tmp_path / "out").open("w") as out, (tmp_path / "err").open("w") as err:
        demo = subprocess.Popen([*AMR, "demo"], env={**home, "AMR_HTTP_PORT": "0"}, stdout=out, stderr=err)
    try:
        shown = wait_for(tmp_path / "out", r'step=month"', demo)
        base = re.search(r"(http://[\d.:]+)/docs", shown)
        token = re.search(r"TOKEN=(amr_\S+)", shown)
        assert base
        assert token
        deadline = time.monotonic() + 60
        headers = {"Authorization": f"Bearer {token[1]}"}
        quality = None
        while quality != "good" and time.monotonic() < deadline:
            answer = httpx.get(f"{base[1]}/api/v1/points/MP-0001/readings/latest", headers=headers)
            items = {item["channel"]: item for item in answer.json()["items"]}
            quality = items.get("1.8.0", {}).get("quality")
            time.sleep(0.2)
        assert quality == "good"
        assert httpx.get(f"{base[1]}/docs").status_code == 200
        page = re.search(r"(http://[\d.:]+/metrics)", shown)
        assert page
        assert re.search(r'^amr_polls_total\{.*result="ok"\} [1-9]', httpx.get(page[1]).text, re.MULTILINE)
    finally:
        demo.send_signal(signal.SIGINT)
        assert demo.wait(timeout=60) == 0, (tmp_path / "err").read_text()
    left = subprocess.run(["pgrep", "-f", home["AMR_DATA"]], capture_output=True, text=True, check=False)
    assert left.stdout == ""


def wait_for(file: Path, pattern: str, process: subprocess.Popen[bytes]) -> str:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        text = file.read_text()
        if re.search(pattern, text):
            return text
        assert process.poll() is None, file.with_name("err").read_text()
        time.sleep(0.2)
    raise AssertionError(f"{pattern} never came: {file.read_text()}")
