"""What keeps the history fast and small runs in the service that collects: seen from outside, by what it leaves."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

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
FIRST = datetime.fromisoformat("2026-02-01T00:00:30+04:00")


@pytest.fixture
def home() -> Iterator[dict[str, str]]:
    """An environment with nothing of ours set but a data folder of its own."""
    folder = open_folder()
    clean = {key: value for key, value in os.environ.items() if not key.startswith("AMR_")}
    yield {**clean, "AMR_DATA": str(folder), "COLUMNS": "120", "NO_COLOR": "1"}
    shutil.rmtree(folder)


def amr(home: dict[str, str], *words: str) -> str:
    done = subprocess.run([*AMR, *words], env=home, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_collecting_service_sets_the_midnights_aside(home: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "fleet.toml").write_text(FLEET)
    rows = [
        f"7001,1.8.0,{(FIRST + timedelta(hours=hour)).isoformat()},{100 + hour},automatic" for hour in range(4 * 24)
    ]
    (tmp_path / "history.csv").write_text("\n".join(["meter,channel,taken_at,value,source", *rows]))
    amr(home, "fleet", "apply", str(tmp_path / "fleet.toml"))
    assert "stored 96" in amr(home, "import", str(tmp_path / "history.csv"))
    log = tmp_path / "collect.log"
    with log.open("wb") as file:
        service = subprocess.Popen([*AMR, "collect"], env=home, stderr=file)
    try:
        until = time.monotonic() + 120
        while "midnight │ 3 " not in " ".join(amr(home, "storage", "status").split()):
            assert service.poll() is None, f"the embedded server changes hands, the service stays: {log.read_text()}"
            assert time.monotonic() < until
    finally:
        service.send_signal(signal.SIGTERM)
        service.wait(timeout=60)
