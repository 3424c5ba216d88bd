"""The verbs of the database as typed at a prompt."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from ingest.errors import FleetConflict, Misconfigured, NotFound
from ingest.model import Line, Meter
from storage import cli
from storage.database import DatabaseSettings
from storage.fleet_model import Models
from storage.policy import StoragePolicy
from tests.conftest import open_folder
from tests.storage.fleet_rig import MODELS, STREET


@dataclass(frozen=True)
class Settings:
    """What the assembled program puts into the context."""

    database: DatabaseSettings
    storage: StoragePolicy = field(default_factory=StoragePolicy)

    def models(self) -> Models:
        return MODELS

    def check_line(self, line: Line) -> None:
        if "baud" in line.options:
            raise Misconfigured("baud: this key is unknown")

    def check_meter(self, line: Line, meter: Meter) -> None:
        if "level" in meter.options:
            raise Misconfigured("level: this key is unknown")


class Program:
    """The verbs mounted as the assembled program mounts them."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._app = typer.Typer()
        self._app.command("migrate")(cli.migrate)
        self._app.add_typer(cli.fleet, name="fleet")
        self._app.add_typer(cli.token, name="token")
        meter = typer.Typer()
        meter.command("exchange")(cli.exchange_meter)
        meter.command("ratio")(cli.change_ratio)
        self._app.add_typer(meter, name="meter")

    def __call__(self, *words: str) -> Result:
        """Run one command; an error of ours comes out as it is."""
        result = CliRunner().invoke(self._app, list(words), obj=self._settings, env={"COLUMNS": "200"})
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result


@pytest.fixture
def amr(database_settings: DatabaseSettings) -> Program:
    """The program on a schema of its own, migrated."""
    program = Program(Settings(database_settings))
    assert "applied house" in program("migrate").output
    return program


@pytest.fixture
def street(tmp_path: Path) -> str:
    file = tmp_path / "street.toml"
    file.write_text(STREET, encoding="utf-8")
    return str(file)


def test_migrate_twice(amr: Program) -> None:
    assert "up to date" in amr("migrate").output


def test_apply_show_export(amr: Program, street: str, tmp_path: Path) -> None:
    dry = amr("fleet", "apply", street, "--dry-run").output
    assert "+ point p-1" in dry
    assert "dry run: nothing was changed" in dry
    assert "12 added, 0 changed, 0 unchanged" in amr("fleet", "apply", street).output
    shown = amr("fleet", "show").output
    assert "tp-101/5" in shown
    assert "gateway gw-1" in shown
    assert "no meter" in shown
    exported = tmp_path / "exported.toml"
    exported.write_text(amr("fleet", "export").output, encoding="utf-8")
    assert "0 added, 0 changed, 12 unchanged" in amr("fleet", "apply", str(exported)).output
    assert amr("fleet", "export", "--registers").output.count("registers") == 3


def test_a_file_that_is_not_there(amr: Program) -> None:
    with pytest.raises(Misconfigured, match=r"no\.toml cannot be read"):
        amr("fleet", "apply", "no.toml")


def test_a_line_its_collector_refuses(amr: Program, tmp_path: Path) -> None:
    file = tmp_path / "line.toml"
    file.write_text('[[line]]\nname = "l"\nkind = "modbus-tcp"\naddress = "h:1"\noptions = {baud = 9600}\n')
    with pytest.raises(Misconfigured, match="baud: this key is unknown"):
        amr("fleet", "apply", str(file))


def test_tokens(amr: Program) -> None:
    made = amr("token", "create", "cabinet", "--role", "consumer", "--consumer", "ivanova", "--expires", "30d")
    assert made.stdout.startswith("amr_")
    assert len(made.stdout.strip()) == 47
    amr("token", "create", "phone", "--role", "operator", "--expires", "2199-01-01")
    amr("token", "revoke", "phone")
    listed = amr("token", "list").output
    assert "ivanova" in listed
    assert "2199-01-01 00:00Z" in listed
    assert made.stdout.strip() not in listed
    with pytest.raises(NotFound, match="amr token list"):
        amr("token", "revoke", "nobody")


def test_exchange_and_ratio(amr: Program, street: str) -> None:
    amr("fleet", "apply", street)
    said = amr(
        *("meter", "exchange", "p-1", "N", "--model", "sdm120", "--at", "2026-05-01"),
        *("--closing", "1.8.0=12.5", "--opening", "1.8.0=0.75", "--ct", "60"),
    ).output
    assert "ended 10000001 at p-1, 2026-01-14T20:00:00+00:00, with 1.8.0 = 12.5, K 60" in said
    assert "began N at p-1, 2026-04-30T20:00:00+00:00, with 1.8.0 = 0.75, K 90" in said
    said = amr("meter", "ratio", "p-1", "--at", "2026-05-02T10:00+04:00", "--reading", "1.8.0=1", "--ct", "20").output
    assert "began N at p-1, 2026-05-02T06:00:00+00:00, with 1.8.0 = 1, K 30" in said
    with pytest.raises(FleetConflict, match="not after meter N was put up"):
        amr("meter", "ratio", "p-1", "--at", "2026-05-01", "--reading", "1.8.0=1", "--ct", "10")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--at", "2026-05-01T10:00", "--reading", "1.8.0=1", "--ct", "2"), "--at '2026-05-01T10:00' has no time zone"),
        (("--at", "yesterday", "--reading", "1.8.0=1", "--ct", "2"), "--at 'yesterday' is no instant"),
        (("--at", "2026-05-01", "--reading", "12345", "--ct", "2"), "--reading '12345' is no reading"),
        (("--at", "2026-05-01", "--reading", "1.8.0=NaN", "--ct", "2"), "1.8.0=NaN"),
        (("--at", "2026-05-01", "--reading", "1.8.0=1", "--reading", "1.8.0=2", "--ct", "2"), "each channel once"),
        (("--at", "2026-05-01", "--reading", "1.8.0=1", "--ct", "0"), "--ct '0' is no ratio"),
        (("--at", "2026-05-01", "--reading", "1.8.0=1", "--vt", "x"), "--vt 'x' is no ratio"),
    ],
)
def test_options_that_say_nothing(amr: Program, street: str, words: tuple[str, ...], said: str) -> None:
    amr("fleet", "apply", street)
    with pytest.raises(Misconfigured) as caught:
        amr("meter", "ratio", "p-1", *words)
    assert said in str(caught.value)


def test_unknown_names(amr: Program) -> None:
    with pytest.raises(NotFound, match="no point 'p-9'"):
        amr("meter", "ratio", "p-9", "--at", "2026-05-01", "--reading", "1.8.0=1", "--ct", "2")
    with pytest.raises(Misconfigured, match="model 'x' is not in the catalogue; known are m206, sdm120"):
        amr("meter", "exchange", "p", "N", "--model", "x", "--at", "2026-05-01", "--closing", "1=1", "--opening", "1=1")
    with pytest.raises(Misconfigured, match="--expires 'soon'"):
        amr("token", "create", "n", "--role", "admin", "--expires", "soon")


def test_an_unmigrated_database_names_the_remedy(database_settings: DatabaseSettings) -> None:
    with pytest.raises(Misconfigured, match="amr migrate"):
        Program(Settings(database_settings))("fleet", "show")


@pytest.fixture
def data() -> Iterator[Path]:
    folder = open_folder()
    yield folder
    shutil.rmtree(folder)


def test_with_nothing_configured_the_embedded_database_serves(data: Path, street: str) -> None:
    program = Program(Settings(DatabaseSettings(None, data)))
    program("fleet", "apply", street)
    assert "10000001" in program("fleet", "show").output


@pytest.mark.parametrize(
    "words",
    [
        ("migrate",),
        ("fleet", "apply"),
        ("fleet", "export"),
        ("fleet", "show"),
        ("token", "create"),
        ("meter", "exchange"),
        ("meter", "ratio"),
    ],
)
def test_every_verb_has_help(words: tuple[str, ...]) -> None:
    program = Program(Settings(DatabaseSettings("", Path("/nonexistent"))))
    assert "Usage:" in program(*words, "--help").output
