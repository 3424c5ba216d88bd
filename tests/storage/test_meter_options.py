"""Options of meters through the fleet file, the database and back; their passwords shown nowhere and lost nowhere."""

from __future__ import annotations

import tomllib
from datetime import timedelta

import pytest

from ingest.errors import Misconfigured
from ingest.model import Line, Meter, Polled
from storage.database import Database
from storage.fleet import apply, export, polled_lines
from storage.fleet_secrets import MASK
from tests.storage.fleet_rig import MODELS, put, rows, written

SECRET, SHARED = "864209", "135790"
SERIAL = f"""
[[line]]
name = "tp-7"
kind = "serial-over-tcp"
address = "10.0.0.7:4001"
options = {{password = "{SHARED}", baud = 9600}}

[[meter]]
serial = "47000999"
model = "m206"
line = "tp-7"
address = "0x02CCD8E7"
options = {{password = "{SECRET}", level = 2, clock_zone = "Europe/Moscow", sent = {{later = true}}}}

[[meter]]
serial = "47000111"
model = "m206"
line = "tp-7"
address = "0047000111"
"""


async def asked(database: Database) -> dict[str, Polled]:
    async with database.connection() as conn:
        (line,) = await polled_lines(conn)
    assert line.line.options["password"] == SHARED
    return {meter.serial: meter for meter in line.meters}


async def test_options_reach_whoever_asks_the_meter(database: Database) -> None:
    await put(database, SERIAL)
    meters = await asked(database)
    options = {"password": SECRET, "level": 2, "clock_zone": "Europe/Moscow", "sent": {"later": True}}
    assert meters["47000999"] == Polled("47000999", "m206", "0x02CCD8E7", timedelta(minutes=30), "UTC", options)
    assert meters["47000111"].options == {}
    assert SECRET not in repr(meters)


async def test_no_password_is_in_what_applying_says_or_records(database: Database) -> None:
    first = await put(database, SERIAL)
    assert f'"password": "{MASK}"' in first.text()
    changed = await put(database, SERIAL.replace(SECRET, "975318").replace('"tp-7"\nkind', '"tp-7"\n\nkind'))
    assert changed.names("meter") == {"47000999"}
    assert changed.names("line") == set()
    assert "another" in changed.text()
    assert (await asked(database))["47000999"].options["password"] == "975318"
    events = await rows(database, "SELECT detail::text FROM event")
    for text in (first.text(), changed.text(), str(events)):
        assert not any(secret in text for secret in (SECRET, SHARED, "975318"))


async def test_an_export_has_stars_and_applying_them_keeps_the_passwords(database: Database) -> None:
    await put(database, SERIAL)
    text = await written(database)
    assert SECRET not in text
    assert SHARED not in text
    assert text.startswith("# Passwords are ")
    assert "--secrets" in text.splitlines()[1]
    assert [meter["options"]["password"] for meter in tomllib.loads(text)["meter"] if "options" in meter] == [MASK]
    assert not await put(database, text)
    difference = await put(database, text.replace("level = 2", "level = 1"))
    assert difference.names("meter") == {"47000999"}
    kept = (await asked(database))["47000999"].options
    assert (kept["password"], kept["level"]) == (SECRET, 1)


async def test_an_export_with_secrets_is_whole(database: Database) -> None:
    await put(database, SERIAL)
    async with database.connection() as conn:
        text = await export(conn, MODELS, secrets=True)
    assert not text.startswith("#")
    assert [meter["options"]["password"] for meter in tomllib.loads(text)["meter"] if "options" in meter] == [SECRET]
    assert not await put(database, text)


async def test_stars_for_a_password_that_is_not_stored_are_a_mistake(database: Database) -> None:
    await put(database, SERIAL)
    with pytest.raises(Misconfigured, match=r"line \d+: \[\[meter\]\] 47000111: options.*password.*stars") as wrong:
        await put(
            database,
            '[[meter]]\nserial = "47000111"\nmodel = "m206"\nline = "tp-7"\naddress = "0047000111"\n'
            f'options = {{password = "{MASK}"}}\n',
        )
    assert SHARED not in str(wrong.value)


async def test_an_option_left_out_is_taken_away(database: Database) -> None:
    await put(database, SERIAL)
    await put(database, '[[meter]]\nserial = "47000999"\nmodel = "m206"\nline = "tp-7"\naddress = "5"\n')
    assert (await asked(database))["47000999"].options == {}


async def test_a_wrong_option_is_told_without_the_password(database: Database) -> None:
    def check(line: Line, meter: Meter) -> None:
        if meter.options:
            raise Misconfigured(f"meter {meter.serial}: level {meter.options['level']} is none; write 1 or 2")

    with pytest.raises(Misconfigured, match=r"\[\[meter\]\] 47000999: options.*level 2 is none") as wrong:
        async with database.connection() as conn:
            await apply(conn, SERIAL, MODELS, check_meter=check)
    assert MASK in str(wrong.value)
    assert SECRET not in str(wrong.value)


async def test_exchange_leaves_each_device_its_own_options(database: Database) -> None:
    await put(database, SERIAL)
    await put(database, '[[meter]]\nserial = "47000999"\nmodel = "m206"\noptions = {password = "***"}\n')
    async with database.connection() as conn:
        found = await (await conn.execute("SELECT options FROM meter WHERE serial = '47000999'")).fetchone()
    assert found == ({"password": SECRET},)
