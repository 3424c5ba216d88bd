"""Runs the console blocks of a page as a reader would: one shell, in order, stopping at the first that fails."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
_BLOCK = re.compile(r"^```console\n(.*?)^```", re.DOTALL | re.MULTILINE)
_TOML = re.compile(r"^```toml\n(.*?)^```", re.DOTALL | re.MULTILINE)
_PORT = re.compile(r"(?:127\.0\.0\.1:|port = |PORT=)(1[458]\d{3})\b")
_PATIENCE = 240


@dataclass(frozen=True)
class Reading:
    """How a page is read here.

    `here` is what stands on the page and what it is on this machine, `files` which TOML block of the page (from 0) a
    reader saves under which name, `before` what a reader did before the page, as shell. `answers` are typed when a
    command that begins so asks. A command of `lasting` runs until its reader has seen what is named there. What `says`
    names must have been shown in the end. Ending with 1 is an answer of the `answering` ones, and no failure.
    """

    here: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, int] = field(default_factory=dict)
    before: str = ""
    answers: Mapping[str, str] = field(default_factory=dict)
    lasting: Mapping[str, str] = field(default_factory=dict)
    answering: tuple[str, ...] = ()
    says: tuple[str, ...] = ()


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


def run(page: Path, typed: list[str], folder: Path, environment: Mapping[str, str], how: Reading | None = None) -> str:
    """Everything the commands of the page printed. Raises AssertionError with it when one of them failed.

    Ports are exchanged for free ones. What runs in the background is told to end, and has to.
    """
    how = how or Reading()
    script = "\n".join(
        ["set -e -o pipefail", "shopt -s expand_aliases", *_files(page, how), how.before, *_lines(typed, how)]
    )
    for told, here in how.here.items():
        assert told in script, f"{page.name} says nothing of {told}"
        script = script.replace(told, here)
    shell = subprocess.Popen(
        ["bash", "-c", f"trap 'kill -TERM $(jobs -p) 2>/dev/null || true; wait' EXIT\n{_with_free_ports(script)}"],
        cwd=folder,
        env=dict(environment),
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
    assert [one for one in how.says if one not in said] == [], said
    return said


def _files(page: Path, how: Reading) -> list[str]:
    """What a reader saves from the page."""
    blocks = _TOML.findall(page.read_text(encoding="utf-8"))
    return [f"cat > {name} <<'SAVED'\n{blocks[number]}SAVED" for name, number in how.files.items()]


def _lines(typed: list[str], how: Reading) -> list[str]:
    lines = []
    starting = False
    for command in typed:
        lines.append(f"echo {_quoted('$ ' + command)}")
        answer = _of(how.answers, command)
        seen = _of(how.lasting, command)
        if seen is not None:
            lines.append(_watched(command, seen))
        elif starting:  # a reader waits until it is up
            lines.append(f"until {_answered(command, answer)}; do sleep 0.5; done")
        else:
            line = _answered(command, answer)
            lines.append(f"{{ {line}\n}} || test $? = 1" if command.startswith(how.answering or "\0") else line)
        starting = command.endswith(" &")
    return lines


def _of(table: Mapping[str, str], command: str) -> str | None:
    return next((value for begin, value in table.items() if command.startswith(begin)), None)


def _answered(command: str, answer: str | None) -> str:
    return command if answer is None else f"echo {_quoted(answer)} | {command}"


def _watched(command: str, seen: str) -> str:
    """Runs until it showed what is looked for, is then told to end, and has to end well."""
    program = command.split("  #")[0]
    ended = "{ cat lasting.txt; exit 1; }"
    look = f"until grep -q {_quoted(seen)} lasting.txt; do kill -0 $lasting || {ended}; sleep 0.2; done"
    end = "kill -INT $lasting; wait $lasting; cat lasting.txt"
    return f"touch lasting.txt; {program} > lasting.txt 2>&1 & lasting=$!\n{look}\n{end}"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def _with_free_ports(script: str) -> str:
    for port in sorted(set(_PORT.findall(script))):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            script = script.replace(port, str(probe.getsockname()[1]))
    return script
