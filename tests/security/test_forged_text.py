"""Serial numbers, topics and names that steer a terminal, read as markup, or pass for a line of the log."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import sys
from pathlib import Path

import pytest
from rich.console import Console
from rich.table import Table
from typer.testing import CliRunner

import amr
from api.cli_plain import PlainText, prepare
from ingest.delivery import Delivery, Reject
from ingest.intake import Intake
from ingest.log_format import ConsoleFormatter, JsonFormatter
from ingest.plain import plain
from storage.database import Database, DatabaseSettings
from storage.readings import PostgresStore

FORGED = "m1\n2026-11-20 12:00:00,000 INFO amr: all is well"
STEERING = "\x1b]0;owned\x07\x1b[2J\x9b31m\r\x08[/] [red]:battery: \u202egpj\u2028"


def record(message: str, *, failed: bool = False) -> logging.LogRecord:
    error = ValueError(message)
    trace = (ValueError, error, None) if failed else None
    return logging.LogRecord("collectors.line", logging.ERROR, "f", 1, "meter %s", (message,), trace)


@pytest.mark.parametrize("failed", [False, True])
@pytest.mark.parametrize("form", [ConsoleFormatter, JsonFormatter])
@pytest.mark.parametrize("text", [FORGED, FORGED.replace("\n", "\r\n"), FORGED.replace("\n", "\u2028"), STEERING])
def test_no_text_begins_a_record_or_steers(form: type[logging.Formatter], text: str, failed: bool) -> None:
    written = form().format(record(text, failed=failed))
    first, *more = written.splitlines()
    assert "collectors.line" in first
    assert all(line.startswith("  | ") for line in more)
    assert written.replace("\n", "").isprintable()
    if form is JsonFormatter:
        assert json.loads(written)["message"] == f"meter {text}"


def test_a_trace_stays_readable() -> None:
    try:
        raise ValueError("a\nb")
    except ValueError:
        made = logging.LogRecord("amr", logging.ERROR, "f", 1, "нет ответа\tдва", None, sys.exc_info())
    lines = ConsoleFormatter().format(made).splitlines()
    assert lines[0].endswith("ERROR amr: нет ответа\tдва")
    assert lines[1] == "  | Traceback (most recent call last):"
    assert lines[-2:] == ["  | ValueError: a", "  | b"]


def test_what_is_printable_stays_as_it_is() -> None:
    assert plain("ул. Ленина, 1 — кв. 2 [x]") == "ул. Ленина, 1 — кв. 2 [x]"
    assert plain("a\nb\x1b", keep="\n") == "a\nb\\x1b"


def test_a_console_shows_what_came_in_its_own_colours_only() -> None:
    shown = Console(file=io.StringIO(), force_terminal=True, width=200, markup=False, emoji=False, highlight=False)
    shown.push_render_hook(PlainText())
    table = Table("meter", box=None)
    table.add_row(STEERING, style="red")
    shown.print(table)
    shown.print(STEERING)
    assert isinstance(shown.file, io.StringIO)
    written = shown.file.getvalue()
    assert "\x1b[31m" in written, "the style that is ours"
    for sign in ("\x1b]", "\x1b[2J", "\x9b", "\x07", "\r", "\x08", "\u202e", "\u2028"):
        assert sign not in written
    assert written.count("[/] [red]:battery:") == 2


def test_every_console_of_the_command_line_does() -> None:
    found = {
        id(thing): (name, thing)
        for name, module in sys.modules.items()
        if name.partition(".")[0] in ("amr", "api", "collectors", "storage")
        for thing in vars(module).values()
        if isinstance(thing, Console)
    }
    assert len(found) >= 5
    for name, console in found.values():
        if name != "storage.cli_token":  # its one console says one fixed sentence
            assert any(isinstance(hook, PlainText) for hook in console._render_hooks), name


def table() -> Table:
    shown = Table("point", "meter", "said", box=None)
    shown.add_row("MP-1000-A/7", "190001234567890", "no answer for an hour")
    return shown


def test_a_narrow_terminal_shows_all_of_a_serial_number() -> None:
    file = io.StringIO()
    terminal = Console(file=file, force_terminal=True, width=24, color_system=None)
    prepare(terminal)
    terminal.print(table())
    below = "".join(file.getvalue().splitlines()[1:])
    assert sorted(below.replace(" ", "")) == sorted("MP-1000-A/7190001234567890noanswerforanhour")


def test_a_pipe_gets_lines_of_any_length(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    file = io.StringIO()
    pipe = Console(file=file)
    prepare(pipe)
    pipe.print("190001234567890 " * 20)
    assert file.getvalue().count("\n") == 1


async def test_verbs_that_show_what_came(
    database: Database, database_settings: DatabaseSettings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    came = Delivery(f"mqtt:amr/{STEERING}", [], rejects=[Reject("malformed", STEERING, STEERING.encode(), STEERING)])
    await Intake(PostgresStore(database)).accept(came)
    async with database.connection() as conn:
        await conn.execute("INSERT INTO point (code, name, zone) VALUES (%s, %s, 'UTC')", (STEERING, STEERING))
        await conn.execute("INSERT INTO line (name, kind, address) VALUES (%s, 'modbus-tcp', 'h:1')", (STEERING,))
        await conn.execute(
            "INSERT INTO meter (serial, model, line_id, address) SELECT %s, 'x', id, '1' FROM line", (STEERING,)
        )
        await conn.execute(
            "INSERT INTO installation (point_id, meter_id, since) SELECT p.id, m.id, now() FROM point p, meter m"
        )
    assert database_settings.url
    monkeypatch.setenv("AMR_DATABASE_URL", database_settings.url)
    monkeypatch.setenv("AMR_DATA", str(tmp_path))
    for words in (
        ["quarantine", "list"],
        ["quarantine", "show", "1"],
        ["status"],
        ["fleet", "show"],
        ["fleet", "export"],
    ):
        result = await run(words)
        assert result.replace("\n", "").replace("\t", "").isprintable(), words
        assert "\\x1b" in result or "\\u001b" in result or words == ["status"], words


async def run(words: list[str]) -> str:
    result = await asyncio.to_thread(CliRunner().invoke, amr.app, words)
    assert result.exit_code in (0, 1), result.output
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.output
