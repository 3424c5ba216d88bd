"""Runs the console blocks of a page as a reader would: one shell, in order, stopping at the first that fails."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
_BLOCK = re.compile(r"^```console\n(.*?)^```", re.DOTALL | re.MULTILINE)
_PORT = re.compile(r"\b1[58]\d{3}\b")
_PATIENCE = 240


def commands(page: Path) -> list[str]:
    """What stands behind each `$ `, with the lines of a here-document."""
    found: list[str] = []
    for block in _BLOCK.findall(page.read_text(encoding="utf-8")):
        ending: str | None = None
        for line in block.splitlines():
            if ending is not None:
                found[-1] += f"\n{line}"
                ending = None if line == ending else ending
            elif line.startswith("$ "):
                found.append(line.removeprefix("$ "))
                here = re.search(r"<<(\w+)", line)
                ending = here[1] if here else None
    return found


def run(page: Path, folder: Path) -> str:
    """Everything the commands printed. Raises AssertionError with it when one of them failed.

    Ports are exchanged for free ones. What runs in the background is told to end, and has to.
    """
    lines = ["set -e", "shopt -s expand_aliases"]
    starting = False
    for command in commands(page):
        lines += [f"echo {_quoted('$ ' + command)}", f"until {command}; do sleep 1; done" if starting else command]
        starting = command.endswith(" &")  # a reader waits until it is up
    script = _with_free_ports("\n".join(lines))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AMR_")}
    environment |= {
        "AMR_DATA": str(folder / "data"),
        "PATH": f"{Path(sys.executable).parent}:{environment['PATH']}",
        "COLUMNS": "200",
    }
    shell = subprocess.Popen(
        ["bash", "-c", f"trap 'kill -TERM $(jobs -p) 2>/dev/null; wait' EXIT\n{script}"],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        said, _ = shell.communicate(timeout=_PATIENCE)
    except subprocess.TimeoutExpired:
        os.killpg(shell.pid, signal.SIGKILL)
        said, _ = shell.communicate()
    assert shell.returncode == 0, f"{page.name} ended with {shell.returncode}:\n{said}"
    return said


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def _with_free_ports(script: str) -> str:
    for port in sorted(set(_PORT.findall(script))):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            script = script.replace(port, str(probe.getsockname()[1]))
    return script
