"""`amr audit` as typed at a prompt."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import typer
from typer.testing import CliRunner

from ingest.errors import Misconfigured
from storage.audit import write
from storage.cli_audit import audit
from storage.database import DatabaseSettings, open_database
from storage.migrate import migrate

Amr = Callable[..., str]


@dataclass(frozen=True)
class Settings:
    """What the assembled program puts into the context."""

    database: DatabaseSettings


@pytest.fixture
def amr(database_settings: DatabaseSettings) -> Amr:
    """The verb on a schema with three acts on record."""

    async def furnish() -> None:
        async with open_database(database_settings) as database:
            await migrate(database)
            async with database.connection() as conn:
                for actor, point, detail in (("olga", "p-1", "=HYPERLINK()"), ("olga", "p-2", ""), ("egor", "p-1", "")):
                    await write(
                        conn, actor=actor, role="operator", operation="getPoint", point=point, status=200, detail=detail
                    )

    asyncio.run(furnish())
    app = typer.Typer()
    app.command()(audit)

    def invoke(*words: str) -> str:
        result = CliRunner().invoke(app, list(words), obj=Settings(database_settings), env={"COLUMNS": "200"})
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.output

    return invoke


def rows(output: str) -> list[dict[str, str]]:
    """CSV output by heading."""
    return list(csv.DictReader(io.StringIO(output)))


def test_everything_newest_first(amr: Amr) -> None:
    assert [(row["who"], row["point"]) for row in rows(amr("--csv"))] == [
        ("egor", "p-1"),
        ("olga", "p-2"),
        ("olga", "p-1"),
    ]
    assert "egor" in amr()


def test_one_person_one_point_one_row(amr: Amr) -> None:
    assert [row["point"] for row in rows(amr("--csv", "--who", "olga"))] == ["p-2", "p-1"]
    assert [row["who"] for row in rows(amr("--csv", "--point", "p-1"))] == ["egor", "olga"]
    assert len(rows(amr("--csv", "--limit", "1"))) == 1
    assert "nothing is on record" in amr("--who", "nobody")
    assert rows(amr("--csv", "--since", "2020-01-01", "--until", "2020-02-01")) == []


def test_what_clients_sent_is_no_formula(amr: Amr) -> None:
    assert rows(amr("--csv", "--who", "olga"))[-1]["detail"] == "'=HYPERLINK()"


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("--since", "yesterday"), "--since 'yesterday'"),
        (("--since", "2026-01-02", "--until", "2026-01-01"), "--since"),
        (("--limit", "0"), "--limit 0"),
    ],
)
def test_wrong_options_are_named(amr: Amr, words: tuple[str, ...], named: str) -> None:
    with pytest.raises(Misconfigured, match=named):
        amr(*words)
