"""The catalogue and a one-off reading from the command line."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from collectors.cli import catalog, meter
from simulators.faults import Kind
from simulators.modbus import ModbusServer
from tests.collectors.modbus_rig import simulated
from tests.collectors.test_model_file import WHOLE

APP = typer.Typer()
APP.add_typer(catalog, name="catalog")
APP.add_typer(meter, name="meter")


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("collectors.cli_words.console._width", 200)  # its property would keep what it restores


def run(*arguments: str) -> Result:
    return CliRunner().invoke(APP, arguments)


def test_list_names_every_model() -> None:
    result = run("catalog", "list")
    assert result.exit_code == 0
    assert "eastron-sdm120" in result.stdout
    assert "Schneider Electric iEM3155" in result.stdout


def test_list_knows_the_folder_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "somebody-three.toml").write_text(WHOLE)
    assert "somebody-three" in run("catalog", "list", "--catalog", str(tmp_path)).stdout


def test_show_tells_the_source_the_registers_and_the_reads() -> None:
    result = run("catalog", "show", "wirenboard-map3e")
    assert "wb-mqtt-serial" in result.stdout
    assert "21.8.0 + 41.8.0 + 61.8.0" in result.stdout
    assert "read function 4, 0x1204…0x120f, 12 registers" in result.stdout


def test_show_of_an_unknown_model_names_the_known_ones() -> None:
    result = run("catalog", "show", "sdm")
    assert result.exit_code == 1
    assert "'sdm' is not in the catalogue; known are abb-b23" in result.stderr


def test_check_says_that_a_file_is_right(tmp_path: Path) -> None:
    file = tmp_path / "somebody-three.toml"
    file.write_text(WHOLE)
    result = run("catalog", "check", str(file))
    assert (result.exit_code, result.stderr) == (0, "")
    assert "right; 2 registers, 1 sums, 2 samples agree" in result.stdout


def test_check_explains_each_mistake_by_line(tmp_path: Path) -> None:
    file = tmp_path / "somebody-three.toml"
    file.write_text(WHOLE.replace('"int32"', '"int31"').replace("base = 1", "base = 3"))
    result = run("catalog", "check", str(file))
    assert result.exit_code == 1
    assert f"{file}:4: base = 3: write one of 0, 1" in result.stderr
    assert f"{file}:20: [register 1] type = 'int31': write one of" in result.stderr


def test_check_shows_samples_that_disagree(tmp_path: Path) -> None:
    file = tmp_path / "somebody-three.toml"
    file.write_text(WHOLE.replace('word_order = "low-first"', 'word_order = "high-first"'))
    result = run("catalog", "check", str(file))
    assert result.exit_code == 1
    assert "sample 3039 0000 of 21.8.0 decodes to" in result.stderr


def test_check_of_a_file_that_is_not_there(tmp_path: Path) -> None:
    result = run("catalog", "check", str(tmp_path / "none.toml"))
    assert result.exit_code == 1
    assert f"{tmp_path / 'none.toml'} is not there; give the path of a model file" in result.stderr


def test_check_of_a_folder_goes_through_all_of_it(tmp_path: Path) -> None:
    empty = run("catalog", "check", str(tmp_path))
    assert empty.exit_code == 1
    assert f"in {tmp_path} there is no model file; name yours" in empty.stderr
    (tmp_path / "somebody-three.toml").write_text(WHOLE)
    (tmp_path / "somebody-wrong.toml").write_text(WHOLE.replace("base = 1", "base = 3"))
    (tmp_path / "README.md").write_text("mine")
    result = run("catalog", "check", str(tmp_path))
    assert result.exit_code == 1
    assert f"{tmp_path / 'somebody-three.toml'}: right" in result.stdout
    assert f"{tmp_path / 'somebody-wrong.toml'}:4: base = 3" in result.stderr


def test_check_of_what_may_not_be_read(tmp_path: Path) -> None:
    (tmp_path / "somebody-three.toml").mkdir()
    (tmp_path / "somebody-three.toml" / "x-y.toml").mkdir()
    result = run("catalog", "check", str(tmp_path / "somebody-three.toml"))
    assert result.exit_code == 1
    assert "x-y.toml: Is a directory: give the path of a file" in result.stderr


async def read(server: ModbusServer, *more: str) -> Result:
    where = ("--address", f"127.0.0.1:{server.port}", "--kind", server.kind)
    return await asyncio.to_thread(run, "meter", "read", "--unit", "5", *where, *more)


@pytest.mark.parametrize("kind", ["modbus-tcp", "rtu-over-tcp"])
async def test_read_shows_every_register_with_its_unit(kind: str) -> None:
    unit = simulated("eastron-sdm120")
    async with ModbusServer({5: unit}, kind=kind) as server:
        result = await read(server, "--model", "eastron-sdm120")
    assert result.exit_code == 0
    rows = [line.split() for line in result.stdout.splitlines()]
    assert ["1.8.0", str(unit.meter.values(unit.clock.now())["1.8.0"]), "kWh"] in rows
    assert {row[0] for row in rows[1:]} >= {"1.8.0", "32.7.0", "14.7.0"}


async def test_read_raw_shows_the_words_in_four_orders() -> None:
    async with ModbusServer({5: simulated("carlo-gavazzi-em340")}) as server:
        result = await read(server, "--model", "carlo-gavazzi-em340", "--raw")
    header, *rows = (line.split() for line in result.stdout.splitlines())
    assert header == ["channel", "value", "unit", "words", "ABCD", "CDAB", "BADC", "DCBA"]
    [frequency] = [row for row in rows if row[0] == "14.7.0"]
    assert frequency[3] == "01f4"
    assert frequency[4:6] == ["50", "50"]


async def test_read_says_what_is_missing_and_what_is_summed() -> None:
    async with ModbusServer({5: simulated("wirenboard-map3e")}) as server:
        result = await read(server, "--model", "wirenboard-map3e")
    assert any(line.split()[0] == "1.8.0" and "kWh" in line for line in result.stdout.splitlines())


async def test_read_of_a_silent_meter_says_so() -> None:
    unit = simulated("eastron-sdm120")
    unit.break_with(Kind.DEAD)
    async with ModbusServer({5: unit}) as server:
        result = await read(server, "--model", "eastron-sdm120")
    assert result.exit_code == 1
    assert "unit 5 did not answer within 0.50 s" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--model", "nothing", "--address", "127.0.0.1:1"), "'nothing' is not in the catalogue"),
        (("--model", "abb-b23", "--address", "x:y"), "write host:port"),
        (("--model", "abb-b23", "--address", "127.0.0.1:1", "--kind", "udp"), "write one of modbus-tcp"),
        (("--model", "abb-b23", "--address", "127.0.0.1:1", "--unit", "300"), "write a number from 0 to 255"),
    ],
)
def test_mistakes_are_named(arguments: tuple[str, ...], told: str) -> None:
    result = run("meter", "read", *arguments)
    assert result.exit_code == 1
    assert told in result.stderr
