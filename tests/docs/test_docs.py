"""What the documentation tells to type works: whole pages are run, and every `amr` command elsewhere exists."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import typer.main

import amr
from tests.conftest import open_folder
from tests.docs import console
from tests.docs.console import ROOT

RUN = ("first-meter.md", "cabinet.md")
"""Pages whose console blocks are run from top to bottom."""

PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
COMMAND = typer.main.get_command(amr.app)
_CODE = re.compile(r"^```(?:console|sh|bash)?\n(.*?)^```|`(amr [^`]+)`|^    (amr [^\n]+)$", re.DOTALL | re.MULTILINE)
_TOLD = re.compile(r"(?:^|[`$|&(] ?|bin/)amr ((?:[a-z][a-z0-9-]*)(?: [^`\n|&;)#]*)?)", re.MULTILINE)


@pytest.mark.parametrize("page", RUN)
def test_a_page_can_be_followed_from_top_to_bottom(page: str) -> None:
    said = console.run(ROOT / "docs" / page, open_folder())
    assert said.count("\n$ ") >= 4


def told(page: Path) -> list[str]:
    """Every `amr …` in code of a page."""
    text = page.read_text(encoding="utf-8")
    code = re.findall(
        r"^```(?:console|sh|bash)?\n(.*?)^```|`(amr [^`]+)`|^    (amr [^\n]+)$", text, re.DOTALL | re.MULTILINE
    )
    return [match for groups in code for part in groups if part for match in _TOLD.findall(part)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.name))
def test_every_command_a_page_names_exists(page: Path) -> None:
    for words in told(page):
        check(words.split(), page.name)


def check(words: list[str], page: str) -> None:
    """Follow the verbs down, then look for each option."""
    command: Any = COMMAND
    while words and re.fullmatch(r"[a-z0-9-]+", words[0]) and (verbs := getattr(command, "commands", None)):
        assert words[0] in verbs, f"{page}: amr … {' '.join(words)}: there is no {words[0]!r}"
        command, words = verbs[words[0]], words[1:]
    known = {name for one in command.params for name in (*one.opts, *one.secondary_opts)} | {"--help"}
    for word in words:
        option = re.match(r"--?[a-z][a-z0-9-]*", word)
        assert option is None or option[0] in known, f"{page}: {command.name} takes no {option[0]}"


def test_a_wrong_command_would_be_noticed() -> None:
    with pytest.raises(AssertionError, match="there is no 'nonsense'"):
        check(["meter", "nonsense"], "page")
    with pytest.raises(AssertionError, match="takes no --nonsense"):
        check(["meter", "ask", "--nonsense"], "page")
