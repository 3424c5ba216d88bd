"""`amr quarantine …` and `amr meter unknown|foreign|adopt` as typed at a prompt."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
import typer
from typer.testing import CliRunner

from ingest.errors import Misconfigured, NotFound
from ingest.intake import Intake
from ingest.model import Line, Meter
from storage import cli_strangers
from storage import quarantine as stored
from storage.database import DatabaseSettings, open_database
from storage.fleet_model import Models
from storage.held import Parse
from storage.migrate import migrate
from storage.quarantine_cli import quarantine
from storage.readings import PostgresStore
from tests.storage.fleet_rig import MODELS, put
from tests.storage.test_adoption import GW2, OLD, POINT
from tests.storage.test_replay import TOPIC, message, one, own

Amr = Callable[..., str]
TODAY = datetime.now(UTC).isoformat()


@dataclass(frozen=True)
class Settings:
    """What the assembled program puts into the context."""

    database: DatabaseSettings

    def models(self) -> Models:
        return MODELS

    def check_line(self, line: Line) -> None:
        raise AssertionError(line)

    def check_meter(self, line: Line, meter: Meter) -> None:
        raise AssertionError(meter)

    def message_parser(self) -> Parse:
        return own


@pytest.fixture
def amr(database_settings: DatabaseSettings) -> Amr:
    """The verbs on a schema where three messages lie in quarantine."""

    async def furnish() -> None:
        async with open_database(database_settings) as database:
            await migrate(database)
            await put(database, POINT + OLD + '[[point]]\ncode = "p-2"\n')
            intake = Intake(PostgresStore(database))
            for topic, payload in (
                (TOPIC, message(("m1", "1.8.0", TODAY, "12.5"))),
                (GW2, message(one("old", 0, "5"))),
                (TOPIC, b"\x1b[2Jnot \xff ours"),
            ):
                await intake.accept(own(topic, payload, datetime.now(UTC)))

    asyncio.run(furnish())
    app = typer.Typer()
    app.add_typer(quarantine, name="quarantine")
    app.command("unknown")(cli_strangers.unknown_meters)
    app.command("foreign")(cli_strangers.foreign_meters)
    app.command("adopt")(cli_strangers.adopt_meter)

    def invoke(*words: str) -> str:
        result = CliRunner().invoke(app, list(words), obj=Settings(database_settings), env={"COLUMNS": "250"})
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.output

    return invoke


def test_it_is_listed_and_summed(amr: Amr) -> None:
    listed = amr("quarantine", "list")
    assert "mqtt:amr/v1/gw-1/readings" in listed
    assert "unknown_meter: 1 pieces" in listed
    assert "\x1b[2J" not in listed
    assert "m1" not in amr("quarantine", "list", "--meter", "old", "--reason", "foreign_meter").splitlines()[1]
    assert amr("quarantine", "list", "--limit", "1").count("mqtt:") == 1


def test_a_piece_is_shown_without_steering_the_terminal_and_given_out_whole(amr: Amr) -> None:
    [line] = [line for line in amr("quarantine", "list", "--reason", "malformed").splitlines() if "mqtt:" in line]
    number = line.split()[0]
    shown = amr("quarantine", "show", number)
    assert "topic    amr/v1/gw-1/readings" in shown
    assert "\\x1b[2Jnot \\xff ours" in shown
    assert "1 times" in shown
    assert "\x1b[2Jnot" in amr("quarantine", "show", number, "--raw")
    with pytest.raises(NotFound, match="amr quarantine list"):
        amr("quarantine", "show", "999999")


def test_unknown_and_foreign_meters_and_adoption(amr: Amr) -> None:
    unknown = amr("unknown")
    assert "m1" in unknown
    assert "gw-1" in unknown
    assert "1.8.0 = 12.5 kWh" in unknown
    foreign = amr("foreign")
    assert "old" in foreign
    assert "gateway gw-1" in foreign
    said = amr("adopt", "m1", "--point", "p-2", "--model", "sdm120", "--ct", "40", "--since", "2026-02-01")
    assert "m1 stands at p-2 since 2026-01-31T21:00:00+00:00, delivered by gateway gw-1" in said
    assert "left the quarantine 1; readings stored 1" in said
    assert "nobody" in amr("unknown")


def test_dropping_ends_though_pieces_keep_coming(amr: Amr, monkeypatch: pytest.MonkeyPatch) -> None:
    coming = iter([[1], [2]])

    async def drop(*asked: object, **more: object) -> list[int]:
        return next(coming)

    monkeypatch.setattr(stored, "drop", drop)
    assert "dropped 1" in amr("quarantine", "drop", "--all")


def test_replay_and_drop(amr: Amr) -> None:
    said = amr("quarantine", "replay", "--all")
    assert "tried 3, left the quarantine 0" in said
    assert "stay: foreign_meter 1" in said
    assert "dropped 1" in amr("quarantine", "drop", "--reason", "malformed", "--author", "petrova")
    assert "2 of the numbers were not there" in amr("quarantine", "drop", "99998", "99999")
    assert "dropped 2" in amr("quarantine", "drop", "--all")
    assert "the quarantine is empty" in amr("quarantine", "list")
    for words in (("replay",), ("drop",), ("drop", "--all", "--meter", "m1")):
        with pytest.raises(Misconfigured, match="or say --all"):
            amr("quarantine", *words)


def test_room(amr: Amr) -> None:
    assert "3 of 500000 pieces" in amr("quarantine", "room")
    assert "100% full" in amr("quarantine", "room", "--rows", "3", "--bytes", "1MiB")
    assert "3 of 3 pieces" in amr("quarantine", "list")
    with pytest.raises(Misconfigured, match="'a lot' is no size"):
        amr("quarantine", "room", "--bytes", "a lot")
    assert "1024.0 MiB" in amr("quarantine", "room", "--bytes", "1GiB")


def test_what_was_not_kept_is_told_until_it_is_settled(amr: Amr, database_settings: DatabaseSettings) -> None:
    amr("quarantine", "room", "--rows", "3")

    async def one_more() -> None:
        async with open_database(database_settings) as database:
            await Intake(PostgresStore(database)).accept(own(TOPIC, b"again", datetime.now(UTC)))

    asyncio.run(one_more())
    assert "NOT KEPT while the quarantine was full: 1 pieces by mqtt, malformed" in amr("quarantine", "list")
    assert "counting begins anew" in amr("quarantine", "room", "--settle")
    assert "NOT KEPT" not in amr("quarantine", "list")
