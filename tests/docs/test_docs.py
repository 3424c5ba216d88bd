"""What the documentation tells to type works: every command of every page is run, and every verb it names exists."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

import amr
from tests.conftest import open_folder
from tests.docs import console
from tests.docs.console import ROOT, Reading
from tests.docs.pages import ALONE, ELSEWHERE, NOT_RUN, readings
from tests.docs.street import Street, loaded, street

PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")])
COMMAND = typer.main.get_command(amr.app)
WITH_COMMANDS = [page for page in PAGES if console.commands(page)]
_CODE = re.compile(r"^```(?:console|sh|bash)?\n(.*?)^```|`(amr [^`]+)`", re.DOTALL | re.MULTILINE)
_TOLD = re.compile(r"(?:^|[`$|&(] ?|bin/)amr ((?:[a-z][a-z0-9-]*)(?: [^`\n|&;)#]*)?)", re.MULTILINE)


def excused(page: Path, command: str) -> bool:
    """Whether it is run elsewhere or cannot be run."""
    return any(page.name == name and command.startswith(begin) for name, begin in (*ELSEWHERE, *NOT_RUN))


def runnable(page: Path) -> list[str]:
    return [command for command in console.commands(page) if not excused(page, command)]


RUN = [page for page in WITH_COMMANDS if runnable(page)]


@pytest.fixture(scope="module")
def environment() -> Iterator[dict[str, str]]:
    with loaded() as found:
        yield found


@pytest.fixture(scope="module")
def around(environment: dict[str, str]) -> Iterator[Street]:
    with street(environment) as running:
        yield running


@pytest.fixture
def folder() -> Iterator[Path]:
    made = open_folder()
    yield made
    shutil.rmtree(made)


@pytest.mark.parametrize("name", ALONE)
def test_a_page_can_be_followed_from_nothing(name: str, environment: dict[str, str], folder: Path) -> None:
    page = ROOT / "docs" / name
    said = console.run(page, runnable(page), folder, {**environment, "AMR_DATA": str(folder / "data")})
    assert said.count("\n$ ") >= 4


@pytest.mark.parametrize("page", [page for page in RUN if page.name not in ALONE], ids=lambda page: str(page.name))
def test_every_command_of_a_page_is_run(page: Path, around: Street, folder: Path) -> None:
    console.run(page, runnable(page), folder, around.environment, readings(around)[page.name])


def test_what_a_page_shows_to_be_typed_begins_with_a_dollar() -> None:
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for block in re.findall(r"^```console\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
            assert block.startswith("$ "), f"{page.name}: what is typed stands behind `$ `:\n{block}"
        hidden = re.findall(r"^(?:    |```(?:sh|bash)?\n)((?:amr|curl|docker|kubectl) [^\n]*)", text, re.MULTILINE)
        assert hidden == [], f"{page.name}: put this into a console block, so that it is run"


@pytest.mark.parametrize(("name", "begin"), [*ELSEWHERE, *NOT_RUN])
def test_no_excuse_is_left_over(name: str, begin: str) -> None:
    (page,) = [page for page in PAGES if page.name == name]
    assert [command for command in console.commands(page) if command.startswith(begin)]


@pytest.mark.parametrize(("file", "words"), sorted(set(ELSEWHERE.values())))
def test_what_is_run_elsewhere_is_run_there(file: str, words: str) -> None:
    assert words in (ROOT / file).read_text(encoding="utf-8")


def test_a_command_that_fails_or_says_something_else_is_noticed(environment: dict[str, str], folder: Path) -> None:
    page = ROOT / "docs" / "operations.md"
    with pytest.raises(AssertionError, match=r"ended with 2:(?s:.)*No such command 'nonsense'"):
        console.run(page, ["amr nonsense", "echo never"], folder, environment)
    with pytest.raises(AssertionError, match="Usage"):
        console.run(page, ["amr --help"], folder, environment, Reading(says=("nobody says this",)))


def told(page: Path) -> list[str]:
    """Every `amr …` in code of a page."""
    code = _CODE.findall(page.read_text(encoding="utf-8"))
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
