"""Meters that are only heard over MQTT: models with every channel the shipped formats bring, which nobody can poll."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from typer.testing import CliRunner

from collectors import cli
from collectors.catalog import load_catalog
from collectors.formats_in_use import load_formats, presets
from collectors.model_file import BadModel
from collectors.payload import Message
from collectors.pushed_model import parse_pushed_model
from collectors.serial_link import check_meter
from ingest.channel import is_counter
from ingest.errors import Misconfigured
from ingest.intake import Intake
from ingest.model import Line, Polled
from storage.adoption import Adoption, adopt
from storage.database import Database
from storage.readings import PostgresStore
from tests.collectors.push_rig import fetch

CATALOG = load_catalog()
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
SENSOR = (
    b'{"Time":"2026-11-20T12:00:00Z","ENERGY":{"Total":6.404,"Power":2629,"ApparentPower":2645,"ReactivePower":288,'
    b'"Factor":0.99,"Voltage":226,"Current":11.677,"Frequency":50}}'
)
HEAD = 'protocol = "mqtt"\nmanufacturer = "any"\nname = "plug"\nsource = "its label"\n'


def test_the_three_phase_models_have_every_channel_a_shipped_format_brings() -> None:
    brought = {
        channel
        for one in presets().values()
        for field in one.fields
        for channel in ([field.channel] if field.channel else field.channels)
    }
    zones = {"1.8.1", "1.8.2", "1.8.3", "1.8.4"}
    plain = {spec.channel for spec in CATALOG.pushed["mqtt-three-phase"].specs}
    assert brought - zones <= plain
    assert {spec.channel for spec in CATALOG.pushed["mqtt-three-phase-two-tariffs"].specs} == plain | {"1.8.1", "1.8.2"}


@pytest.mark.parametrize("slug", CATALOG.pushed)
def test_counters_have_a_rate_and_nothing_else_has(slug: str) -> None:
    for spec in CATALOG.pushed[slug].specs:
        assert (spec.max_rate is not None) is is_counter(spec.channel)
        assert spec.digits is None  # nobody knows at which value somebody else's device begins anew
    assert slug in CATALOG.specs()


async def test_a_plug_nobody_knew_is_adopted_with_all_it_said(database: Database) -> None:
    formats = load_formats(["tasmota"])
    await Intake(PostgresStore(database)).accept(formats.parse(Message("tele/plug-7/SENSOR", SENSOR, NOW)))
    assert await fetch(database, "SELECT DISTINCT reason FROM quarantine") == [("unknown_meter",)]
    wish = Adoption("plug-7", "MP-1", "mqtt-single-phase", zone="Europe/Samara")
    await adopt(
        database, lambda topic, raw, at: formats.parse(Message(topic, raw, at)), CATALOG.specs(), wish, author="test"
    )
    found = await fetch(
        database, "SELECT g.channel, r.value / 1000, r.quality FROM reading r JOIN register g ON g.id = r.register_id"
    )
    assert {channel: Decimal(int(milli)) / 1000 for channel, milli, quality in found if quality == 0} == {
        "1.8.0": Decimal("6.404"), "1.7.0": 2629, "9.7.0": 2645, "3.7.0": 288, "13.7.0": Decimal("0.99"),
        "32.7.0": 226, "31.7.0": Decimal("11.677"), "14.7.0": 50,
    }  # fmt: skip
    assert await fetch(database, "SELECT count(*) FROM quarantine") == [(0,)]


def test_it_cannot_be_polled() -> None:
    with pytest.raises(Misconfigured, match="give the meter a gateway"):
        CATALOG.model("mqtt-single-phase")
    polled = Polled("1", "mqtt-single-phase", "1", None)  # type: ignore[arg-type]
    with pytest.raises(Misconfigured, match="give the meter a gateway"):
        check_meter(Line("bus", "modbus-tcp", "127.0.0.1:502"), polled, CATALOG)


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        (HEAD, "at least one value"),
        (HEAD.replace("name", "nome") + '[[register]]\nchannels = ["1.8.0"]', "did you mean"),
        (HEAD + '[[register]]\nchannels = ["1.8"]', "OBIS"),
        (HEAD + '[[register]]\nchannels = ["99.7.0"]', "no known unit"),
        (HEAD + '[[register]]\nchannels = ["32.7.0"]\nmax_rate = "5"', "only energies"),
        (HEAD + '[[register]]\nchannels = ["1.8.0"]\nmax_rate = "0"', "above 0"),
        (HEAD + '[[register]]\nchannels = ["1.8.0", "1.8.0"]', "once"),
    ],
)
def test_mistakes_are_named_with_their_remedy(text: str, remedy: str) -> None:
    with pytest.raises(BadModel, match=remedy):
        parse_pushed_model("plug.toml", text.encode())


def test_a_model_of_ones_own_is_checked_listed_and_shown(tmp_path: Path) -> None:
    file = tmp_path / "my-plug.toml"
    file.write_text(HEAD + '[[register]]\nchannels = ["1.8.0", "32.7.0"]\n')
    run = CliRunner().invoke
    assert "2 values" in run(cli.catalog, ["check", str(file)]).output
    assert "my-plug" in run(cli.catalog, ["list", "--catalog", str(tmp_path)]).output
    shown = run(cli.catalog, ["show", "my-plug", "--catalog", str(tmp_path)])
    assert "its label" in shown.output
    assert "32.7.0" in shown.output
    file.write_text(HEAD)
    assert run(cli.catalog, ["check", str(file)]).exit_code == 1
