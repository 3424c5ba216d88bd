"""The commissioning kit for Меркурий and IEC meters, as an engineer types it; passwords are shown nowhere."""

from __future__ import annotations

import asyncio
import threading
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from collectors.catalog import load_catalog
from collectors.cli import catalog, line, meter
from collectors.cli_add import Read, Wanted, addition
from collectors.crc import crc16
from collectors.iec_frames import Bcc, command, with_parity
from collectors.masking import shown
from ingest.model import Line
from tests.collectors.serial_rig import AT, Rig, truth

app = typer.Typer()
app.add_typer(catalog, name="catalog")
app.add_typer(meter, name="meter")
app.add_typer(line, name="line")
SECRET = "864209"


def run(*words: str, fails: bool = False) -> str:
    result = CliRunner().invoke(app, words, env={"COLUMNS": "200", "AMR_METER_PASSWORD": ""})
    assert (result.exit_code != 0) == fails, result.output
    return result.output


@contextmanager
def served(rig: Rig) -> Iterator[Line]:
    """The rig's line in a thread of its own: the verbs run loops themselves."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    context = rig.line()

    async def enter() -> Line:
        return await context.__aenter__()

    async def leave() -> None:
        await context.__aexit__(None, None, None)

    try:
        yield asyncio.run_coroutine_threadsafe(enter(), loop).result(10)
    finally:
        asyncio.run_coroutine_threadsafe(leave(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def test_models_are_listed_shown_and_checked(tmp_path: Path) -> None:
    listed = run("catalog", "list")
    assert "mercury-236" in listed
    assert "eastron-sdm120" in listed
    told = run("catalog", "show", "mercury-234")
    for part in ("speaks mercury-230", "05 00 01", "1.8.1", "registers of 36 months and 123 days", "4096 intervals"):
        assert part in told
    shipped = Path("collectors/meters/neva-mt3xx.toml").read_text(encoding="utf-8")
    own = tmp_path / "taipit-own.toml"
    own.write_text(shipped, encoding="utf-8")
    assert "right; 12 values, 0 archives, 2 samples agree" in run("catalog", "check", str(own))
    own.write_text(shipped.replace('expected = "31.14"', 'expected = "31.15"'), encoding="utf-8")
    assert "decodes to 31.14" in run("catalog", "check", str(own), fails=True)


def test_a_meter_is_read_with_what_it_says_of_itself() -> None:
    rig = Rig()
    one = rig.mercury230(5, ratios=(1, 40), passwords=(SECRET.encode(),))
    with served(rig) as where:
        told = run(
            *("meter", "read", "--model", "mercury-230", "--kind", "serial-over-tcp", "--address", where.address),
            *("--unit", "5", "--password", SECRET),
        )
        wrong = run(
            *("meter", "read", "--model", "mercury-230", "--kind", "serial-over-tcp", "--address", where.address),
            *("--unit", "5", "--password", "000000"),
            fails=True,
        )
    assert "serial: 47000999" in told
    assert "ct: 40" in told
    assert f"{truth(one)['1.8.0'].normalize():f}" in told
    assert "none of 1 passwords" in wrong
    assert SECRET not in told
    assert "000000" not in wrong


def test_an_iec_meter_is_read_by_its_address() -> None:
    rig = Rig()
    one = rig.iec_meter("neva-mt3xx", serial="00000201")
    with served(rig) as where:
        told = run(
            *("meter", "read", "--model", "neva-mt3xx", "--kind", "serial-over-tcp", "--address", where.address),
            *("--unit", "00000201"),
        )
    assert "serial: 00000201" in told
    assert f"{truth(one)['1.8.0'].quantize(one.model.resolution).normalize():f}" in told
    assert "3.8.0 is no longer asked of this meter" in told


def test_a_line_is_scanned_for_them() -> None:
    rig = Rig()
    rig.mercury230(3)
    rig.mercury230(7, "47000111", passwords=(b"864209",))
    rig.iec_meter("energomera-ce102m")
    with served(rig) as where:
        told = run(
            *("meter", "scan", "--kind", "serial-over-tcp", "--address", where.address, "--units", "1-8"),
            *("--protocol", "mercury", "--protocol", "iec", "--timeout", "0.1"),
        )
    assert "address 3: serial 47000999, clock 2026-11-20 18:40:00" in told
    assert "address 7: answers, but: the meter opens its channel to none of 2 passwords" in told
    assert "EKT CE102Mv01, 9600 baud" in told
    assert "may be energomera-ce102m" in told
    assert "address 4" not in told
    assert "is unknown" in run(
        "meter", "scan", "--address", "h:1", "--kind", "serial", "--protocol", "dlms", fails=True
    )


def test_frames_are_watched_without_the_password_in_them() -> None:
    rig = Rig()
    rig.mercury230(5, passwords=(SECRET.encode(),))
    rig.iec_meter("energomera-ce102m", password=SECRET)
    with served(rig) as where:
        told = run(
            *("line", "watch", "--kind", "serial-over-tcp", "--address", where.address, "--meter", "5=mercury-230"),
            *("--meter", "141628345=energomera-ce102m", "--seconds", "2", "--every", "60", "--password", SECRET),
        )
    assert "→ Меркурий 5   [05 01 01 •• •• •• •• •• •• " in told
    assert "= unit 5: 1.8.0 = " in told
    assert "= unit 141628345: 1.8.0 = " in told
    assert told.count("•• •• •• •• •• ••") == 2
    for secret in (SECRET, SECRET.encode().hex(" "), with_parity(SECRET.encode()).hex(" ")):
        assert secret not in told


@pytest.mark.parametrize("coded", [bytes, with_parity])
def test_passwords_are_masked_in_any_frame(coded: type[bytes]) -> None:
    opening = b"\x05\x01\x01" + SECRET.encode()
    assert shown(b"\x00" + opening + crc16(opening)).startswith("00 05 01 01 •• •• •• •• •• •• ")
    wrong = shown(opening + b"\x00\x00")
    assert "••" not in wrong
    spoken = coded(command("P1", f"({SECRET})", Bcc.SUM))
    assert SECRET.encode().hex(" ") not in shown(spoken)
    assert shown(spoken).count("••") == 6
    assert shown(spoken[:-4]).count("••") == 5
    assert shown(bytes.fromhex("05 05 00 00")) == "05 05 00 00"


def test_what_is_added_has_the_address_as_it_is_written() -> None:
    wanted = Wanted("P-1", "tp-7", "00000201", "neva-mt3xx", None, "Europe/Samara", "30m", "1", "1")
    text = addition(wanted, "00000201", Read("00000201", {}, {}, AT), None, new_point=True)
    assert 'address = "00000201"' in text
    assert 'model = "neva-mt3xx"' in text
    assert load_catalog().serial_model("neva-mt3xx") is not None
    assert "options" not in text


def test_a_password_is_stored_with_the_meter_and_not_with_its_line() -> None:
    wanted = Wanted("P-1", "tp-7", "5", "mercury-234", None, "Europe/Samara", "30m", "1", "1", SECRET)
    line = Line("tp-7", "serial-over-tcp", "h:1", {"baud": 19200})
    text = addition(wanted, "47000999", Read("47000999", {}, {}, AT), line, new_point=False)
    added = tomllib.loads(text.replace('{"', '{ "'))
    assert added["line"][0]["options"] == {"baud": 19200}
    assert added["meter"][0]["options"] == {"password": SECRET}
    assert SECRET not in repr(wanted)


def test_a_password_that_is_asked_for_is_not_shown() -> None:
    rig = Rig()
    rig.mercury230(5, passwords=(SECRET.encode(),))
    with served(rig) as where:
        words = ("--model", "mercury-230", "--kind", "serial-over-tcp", "--address", where.address, "--unit", "5")
        result = CliRunner().invoke(app, ["meter", "read", *words, "--password", "-"], input=f"{SECRET}\n")
    assert result.exit_code == 0, result.output
    assert "password of the meter" in result.output
    assert "serial: 47000999" in result.output
    assert SECRET not in result.output
