"""`amr meter missed` and `amr line release`, as an engineer reads them."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import typer
from typer.testing import CliRunner

from ingest.delivery import Contact
from ingest.model import RegisterSpec
from storage import missed
from storage.cli_reliability import missed_polls, release_lines
from storage.database import DatabaseSettings, open_database
from storage.migrate import migrate
from tests.storage.rows import install
from tests.storage.test_cli import Settings

_KEPT = """
INSERT INTO collector (name, seen_at, keeps_until, lines, wants)
VALUES (%s, now() - %s, now() + interval '1 day', '{tp-1,tp-2}', '{tp-1,tp-2}')
"""


async def prepare(settings: DatabaseSettings) -> None:
    async with open_database(settings) as database:
        await migrate(database)
        await install(database, "m1", [RegisterSpec("1.8.0")])
        now = datetime.now(UTC)
        async with database.connection() as conn:
            contacts = [
                Contact("m1", now - timedelta(hours=3), "timeout", "line tp-1, unit 1: no answer in 1 s"),
                Contact("m1", now - timedelta(hours=1), "spool_full", "read while the database was away"),
            ]
            await missed.note(conn, contacts)
            await conn.execute(_KEPT, ("burnt", timedelta(hours=1)))
            await conn.execute(_KEPT, ("alive", timedelta(seconds=1)))


def run(verb: object, settings: DatabaseSettings, *words: str) -> str:
    app = typer.Typer()
    app.command()(verb)  # type: ignore[type-var]
    result = CliRunner().invoke(app, words, obj=Settings(settings), env={"COLUMNS": "200"})
    return " ".join((result.output or str(result.exception)).split())


def test_it_is_said_what_each_cause_means_and_whose_lines_are_free(database_settings: DatabaseSettings) -> None:
    asyncio.run(prepare(database_settings))
    said = run(missed_polls, database_settings, "m1")
    for words in ("timeout line tp-1, unit 1", "timeout: it was asked and did not answer: check its power",
                  "not_asked: nobody polled it then", "raise AMR_SPOOL_MB"):  # fmt: skip
        assert words in said
    assert "amr fleet show" in run(missed_polls, database_settings, "m2")
    assert "free for other collectors: tp-1, tp-2" in run(release_lines, database_settings, "burnt")
    assert "while it runs it keeps its lines by itself. Stop it" in run(release_lines, database_settings, "alive")
    assert "amr status names them" in run(release_lines, database_settings, "bunrt")
