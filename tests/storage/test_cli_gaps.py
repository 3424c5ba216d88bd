"""`amr meter gaps`: what stays missing, for people and for programs."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import typer
from typer.testing import CliRunner

from ingest.gaps import Gap, Wanted
from storage.cli_gaps import list_gaps
from storage.database import DatabaseSettings, open_database
from storage.migrate import migrate
from storage.shelf import Shelf
from tests.storage.rows import install
from tests.storage.test_cli import Settings
from tests.storage.test_shelf import SPECS

FIRST = datetime(2026, 10, 29, 20, tzinfo=UTC)
DAY = timedelta(days=1)


async def prepare(settings: DatabaseSettings) -> None:
    async with open_database(settings) as database:
        await migrate(database)
        await install(database, "m1", SPECS, zone="Europe/Samara", point="P-1")
        await install(database, "m2", SPECS, point="P-2")
        midnights = [FIRST + step * DAY for step in (0, 1, 2, 5)]
        gaps = [
            *(Gap(at, at, "month" if at == FIRST + 2 * DAY else "day", "too_old") for at in midnights),
            Gap(FIRST, FIRST + DAY / 2, "polls", "no_memory"),
            Gap(FIRST + DAY / 2, FIRST + DAY, "polls", "no_memory"),
        ]
        await Shelf(database).lost("m1", gaps, Wanted((), FIRST, FIRST + 30 * DAY))


def run(settings: DatabaseSettings, *words: str) -> str:
    app = typer.Typer()
    app.command()(list_gaps)
    result = CliRunner().invoke(app, words, obj=Settings(settings), env={"COLUMNS": "200"})
    return result.output or repr(result.exception)


def test_gaps_are_listed(database_settings: DatabaseSettings) -> None:
    asyncio.run(prepare(database_settings))
    table = [" ".join(line.split()) for line in run(database_settings, "P-1").splitlines()]
    assert table == [
        "point meter missing from to count why",
        "P-1 m1 00:00 2026-10-30 00:00 2026-10-31 00:00 2 too_old",
        "P-1 m1 00:00 2026-11-04 00:00 2026-11-04 00:00 1 too_old",
        "P-1 m1 00:00 of the 1st 2026-11-01 00:00 2026-11-01 00:00 1 too_old",
        "P-1 m1 readings 2026-10-30 00:00 2026-10-31 00:00 2 no_memory",
        "from and to are local: Europe/Samara",
        "no_memory: the model keeps nothing that could fill it",
        "too_old: the meter's memory no longer reaches so far",
    ]
    rows = run(database_settings, "--all", "--csv").splitlines()
    assert len(rows) == 7
    assert rows[1].startswith("P-1,m1,test,day,2026-10-30T00:00:00+04:00,2026-10-30T00:00:00+04:00,too_old,")
    assert "nothing is missing" in run(database_settings, "P-2")
    assert "say which point" in run(database_settings)
    assert "say which point" in run(database_settings, "P-1", "--all")
    assert "neither a point's code" in run(database_settings, "P-3")
