"""What the pages need around them: a running demo with its API, and meters to go to. Started once for all pages."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import open_folder
from tests.docs.ready import ready

_PATIENCE = 120
_METERS = """
[[line]]
name = "converter"
kind = "modbus-tcp"
port = 0

[[meter]]
serial = "23000005"
model = "abb-b23"
line = "converter"
unit = 5

[[line]]
name = "spare"
kind = "modbus-tcp"
port = 0

[[meter]]
serial = "23000007"
model = "abb-b23"
line = "spare"
unit = 5

[[line]]
name = "transparent"
kind = "rtu-over-tcp"
port = 0

[[meter]]
serial = "23000006"
model = "abb-b23"
line = "transparent"
unit = 5

[[line]]
name = "cable"
kind = "pty"

[[meter]]
serial = "19000001"
model = "eastron-sdm120"
line = "cable"
unit = 1
"""


@dataclass(frozen=True)
class Street:
    """Where it is: the API's address and tokens, and the meters behind converters and a cable.

    `spare` is a converter that no page stores.
    """

    environment: dict[str, str]
    url: str
    consumer: str
    engineer: str
    converter: str
    spare: str
    transparent: str
    cable: str


@contextlib.contextmanager
def loaded() -> Iterator[dict[str, str]]:
    """An environment with a quick `amr` on its PATH, and nothing of ours set."""
    folder = open_folder()
    try:
        with ready(folder) as programs:
            clean = {name: value for name, value in os.environ.items() if not name.startswith("AMR_")}
            yield {**clean, "PATH": f"{programs}:{clean['PATH']}", "COLUMNS": "200", "NO_COLOR": "1"}
    finally:
        shutil.rmtree(folder)


@contextlib.contextmanager
def street(environment: dict[str, str]) -> Iterator[Street]:
    """The demo on a free port, and a second street for whoever goes to a meter."""
    folder = open_folder()
    data = {**environment, "AMR_DATA": str(folder / "data" / "demo")}
    meters_file = str(folder / "meters.toml")
    Path(meters_file).write_text(_METERS)
    try:
        with contextlib.ExitStack() as stack:
            alone = {**environment, "AMR_DATA": str(folder / "data"), "AMR_HTTP_PORT": "0"}
            shown = stack.enter_context(_started(folder / "demo.txt", 'step=month"', alone, "demo"))
            meters = stack.enter_context(
                _started(folder / "sim.txt", "Ctrl-C", alone, "simulate", str(folder / "meters.toml"))
            )
            made = subprocess.run(
                ["amr", "token", "create", "engineer-7", "--role", "engineer"],
                env=data,
                capture_output=True,
                text=True,
                check=True,
            )
            converter, spare, transparent = re.findall(r"127\.0\.0\.1:\d+", meters)
            yield Street(
                data,
                _one(r"(http://[\d.:]+)/docs", shown),
                _one(r"TOKEN=(amr_\S+)", shown),
                _one(r"(amr_\S+)", made.stdout),
                converter,
                spare,
                transparent,
                _one(r"(/dev/pts/\d+)", meters),
            )
    finally:
        shutil.rmtree(folder)


def _one(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    assert found, text
    return found[1]


@contextlib.contextmanager
def _started(file: Path, until: str, environment: dict[str, str], *words: str) -> Iterator[str]:
    """What it said once it was up; it is told to end, and has to."""
    with file.open("w") as out:
        process = subprocess.Popen(["amr", *words], env=environment, stdout=out, stderr=subprocess.STDOUT)
    try:
        limit = time.monotonic() + _PATIENCE
        while until not in file.read_text():
            assert process.poll() is None, file.read_text()
            assert time.monotonic() < limit, file.read_text()
            time.sleep(0.1)
        yield file.read_text()
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0, file.read_text()
