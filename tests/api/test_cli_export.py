"""The verbs that write and read files, as typed at a prompt."""

from __future__ import annotations

import asyncio
import csv
import getpass
import io
from datetime import UTC, datetime, timedelta
from pathlib import Path
from xml.etree.ElementTree import Element

import openpyxl
import pytest
import typer
from defusedxml.ElementTree import fromstring
from typer.testing import CliRunner, Result

import amr
from api.cli_export import export
from ingest.delivery import Delivery
from ingest.errors import AmrError, Malformed, Misconfigured, NotFound
from ingest.intake import Intake
from ingest.model import Reading
from storage import audit
from storage.audit import Act
from storage.database import DatabaseSettings, open_database
from storage.migrate import migrate
from storage.readings import PostgresStore
from tests.api.conftest import daily, furnish
from tests.api.test_xml80020 import packed
from tests.api.test_xml80020_http import DAY, day_of, file_of, half_hourly


class Program:
    """The verbs mounted as the assembled program mounts them, in a folder of their own."""

    def __init__(self) -> None:
        self._app = typer.Typer()
        self._app.add_typer(export, name="export")
        self._app.command("import")(amr.import_readings)
        self._settings = amr.Settings()

    def __call__(self, *words: str) -> Result:
        """Run one command; an error of ours comes out as it is."""
        result = CliRunner().invoke(self._app, list(words), obj=self._settings, env={"COLUMNS": "200"})
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    def fails(self, error: type[AmrError], told: str, *words: str) -> None:
        """Run a command that ends in one of our errors."""
        with pytest.raises(error) as caught:
            self(*words)
        assert told in str(caught.value), str(caught.value)


async def _fill(settings: DatabaseSettings) -> None:
    async with open_database(settings) as database:
        await migrate(database)
        await furnish(database)
        readings: list[Reading] = [
            *half_hourly("M-1-NEW", "1.8.0", DAY, "0.3", 49),
            *daily("M-2", "1.8.1", "100", "2", 40),
        ]
        await Intake(PostgresStore(database)).accept(Delivery("test", readings))


def root(file: Path) -> Element:
    found: Element = fromstring(file.read_bytes())
    return found


@pytest.fixture
def run(database_settings: DatabaseSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Program:
    """The program beside a furnished database, its files in a folder of its own."""
    assert database_settings.url is not None
    asyncio.run(_fill(database_settings))
    monkeypatch.setenv("AMR_DATABASE_URL", database_settings.url)
    monkeypatch.setenv("AMR_COMPANY_INN", "7703311228")
    monkeypatch.setenv("AMR_COMPANY_NAME", "Сети")
    monkeypatch.setenv("AMR_SENDER_ZONES", "600004=Europe/Moscow")
    monkeypatch.chdir(tmp_path)
    return Program()


def test_every_file_is_written_whole(run: Program, tmp_path: Path) -> None:
    whole = ("--from", "2023-01-01", "--to", "2023-12-31")
    assert "wrote readings.csv" in run("export", "readings", *whole, "--point", "flat-2").output
    table = list(csv.reader(io.StringIO((tmp_path / "readings.csv").read_text(encoding="utf-8"), newline="")))
    assert (table[0][0], len(table)) == ("точка учёта", 41)
    run("export", "consumption", *whole, "--step", "month", "--format", "xlsx", "-o", "c.xlsx")
    assert openpyxl.load_workbook(tmp_path / "c.xlsx").worksheets[0]["A2"].value == "empty"
    run("export", "statement", "2023-01", "--language", "en")
    assert "January 2023" in openpyxl.load_workbook(tmp_path / "statement-2023-01.xlsx").worksheets[0]["A1"].value
    run("export", "statement", "2023-01", "--format", "pdf")
    assert (tmp_path / "statement-2023-01.pdf").read_bytes().startswith(b"%PDF")
    run("export", "green-button", "flat-2", *whole[:3], "2023-01-09", "--channel", "1.8.1", "--step", "day")
    assert root(tmp_path / "green-button-flat-2.xml").tag.endswith("feed")
    told = run("export", "80020", "2023-03-09", "--days", "2", "--number", "7").output
    assert told.count("wrote") == 2
    day = root(tmp_path / "80020_7703311228_20230310_8.xml")
    assert sum(int(value.text or 0) for value in day.iter("value")) == 14  # 48 x 0.3 = 14.4
    assert not list(tmp_path.glob("*.part"))


async def _on_record(settings: DatabaseSettings) -> list[Act]:
    now = datetime.now(UTC)
    async with open_database(settings) as database, database.connection() as conn:
        return (await audit.find(conn, since=now - timedelta(hours=1), until=now + timedelta(hours=1)))[::-1]


def test_every_file_is_on_record_and_a_refused_one_too(
    run: Program, database_settings: DatabaseSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(getpass, "getuser", lambda: "olga")
    whole = ("--from", "2023-01-01", "--to", "2023-02-01")
    run("export", "readings", *whole, "--point", "flat-2", "--point", "flat-1")
    run.fails(NotFound, "nowhere", "export", "consumption", *whole, "--point", "nowhere")
    run("export", "green-button", "flat-2", *whole, "--channel", "1.8.1", "-o", "-")
    run("export", "80020", "2023-03-09", "--days", "2")
    run("export", "statement", "2023-01")
    acts = asyncio.run(_on_record(database_settings))
    assert {(act.actor, act.role, act.client) for act in acts} == {("cli:olga", "admin", None)}
    assert [(act.operation, act.point, act.status) for act in acts] == [
        ("exportReadings", None, 200),
        ("exportConsumption", None, 404),
        ("getGreenButton", "flat-2", 200),
        ("export80020", None, 200),
        ("export80020", None, 200),
        ("exportStatement", None, 200),
    ]
    assert acts[0].detail.startswith("point=flat-2&point=flat-1&from=2023-01-01&to=2023-02-01")
    assert [act.detail for act in acts[3:5]] == ["day=2023-03-09", "day=2023-03-10"]


def test_what_cannot_be_put_on_record_is_not_shown(
    run: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refused(*_: object, **__: object) -> None:
        raise Misconfigured("no right to write the record")

    monkeypatch.setattr(audit, "write", refused)
    run.fails(Misconfigured, "no right", "export", "readings", "--from", "2023-01-01", "--to", "2023-02-01")
    assert list(tmp_path.iterdir()) == []


def test_mistakes_are_named_and_leave_no_file(run: Program, tmp_path: Path) -> None:
    run.fails(Misconfigured, "from '2023-02-30'", "export", "readings", "--from", "2023-02-30", "--to", "2023-03-01")
    whole = ("--from", "2023-01-01", "--to", "2023-02-01")
    run.fails(NotFound, "nowhere", "export", "readings", *whole, "--point", "nowhere")
    run.fails(Misconfigured, "month '2023'", "export", "statement", "2023")
    run.fails(Misconfigured, "--language", "export", "statement", "2023-01", "--language", "fr")
    run.fails(Misconfigured, "Europe/Samara", "export", "80020", "2023-03-10", "--zone", "Mars")
    run.fails(Misconfigured, "cannot be written", "export", "readings", *whole, "-o", "/nowhere/x.csv")
    run.fails(Misconfigured, "step", "export", "consumption", *whole, "--step", "year")
    assert list(tmp_path.iterdir()) == []


def test_messages_of_others_are_taken_and_every_refusal_is_named(run: Program, tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_bytes(file_of(day_of("34-1", "about 5"), day_of("nobody")))
    told = run("import", "a.xml").output
    assert "stored 0, repeated 0, empty 0, not for settlement 0, refused 96" in told
    assert "point 'nobody' is unknown (48 rows)" in told
    assert "34-1/01 0000-0030: value 'about 5'" in told
    good = file_of(day_of("34-1", "2")).replace(b"20230310", b"20230311")
    (tmp_path / "b.zip").write_bytes(packed(("1.xml", good), ("2.xml", good), ("3.xml", b"<cut")))
    run.fails(Malformed, "1 files could not be read", "import", "b.zip")
    (tmp_path / "c.xml").write_bytes(good)
    assert "stored 0, repeated 48" in run("import", "c.xml").output
    assert "stored 14, repeated 34" in run("import", "c.xml", "--zone", "Asia/Vladivostok").output
    run.fails(Misconfigured, "Mars", "import", "c.xml", "--zone", "Mars")
    run.fails(Misconfigured, "80020", "import", "/nowhere.xml")
