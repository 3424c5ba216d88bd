"""A substation and a central ingest, two processes with the shipped broker between them, each killed with -9."""

from __future__ import annotations

import asyncio
import os
import re
import sqlite3
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager, closing
from pathlib import Path

import httpx
import pytest

import amr
from ingest.errors import Misconfigured
from simulators.clock import Clock
from simulators.mosquitto import Mosquitto
from simulators.street import Street, free_port
from storage import fleet, fleet_polled
from storage.database import Database, DatabaseSettings
from tests.collectors.push_rig import fetch, until
from tests.collectors.shipped import shipped_settings

METERS = range(1, 5)
STREET = """
[[line]]
name = "bus"
kind = "modbus-tcp"
port = 0
""" + "".join(
    f'[[meter]]\nserial = "6100000{n}"\nmodel = "eastron-sdm630"\nline = "bus"\nunit = {n}\nstart = "{n}000.5"\n'
    for n in METERS
)
PATIENCE = 60.0


def substation(address: str) -> str:
    """What the substation knows: the line and the meters on it."""
    meters = "".join(
        f'[[meter]]\nserial = "6100000{n}"\nmodel = "eastron-sdm630"\nline = "bus"\naddress = {n}\nperiod = "1s"\n'
        for n in METERS
    )
    return f'[[line]]\nname = "bus"\nkind = "modbus-tcp"\naddress = "{address}"\n{meters}'


async def central_fleet(database: Database) -> None:
    """What the centre knows: the same meters, brought by a gateway."""
    text = "".join(f'[[meter]]\nserial = "6100000{n}"\nmodel = "eastron-sdm630"\ngateway = "tp-101"\n' for n in METERS)
    async with database.connection() as conn:
        await fleet.apply(conn, text, amr.Settings().models())


@asynccontextmanager
async def collecting(*words: str, **settings: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """`amr collect` in a process of its own; ended at the end, if it was not killed."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("AMR_")}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "amr", "collect", *words, env={**clean, **settings},
        stdout=asyncio.subprocess.DEVNULL, stderr=None,  # what it logs is shown with a failure
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        async with asyncio.timeout(PATIENCE):
            await process.wait()


def spooled(file: Path) -> tuple[int, int]:
    """How many deliveries are on the substation's disk, and how many ever were."""
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=20)) as conn:
        [(now,)] = conn.execute("SELECT count(*) FROM item").fetchall()
        ever = conn.execute("SELECT seq FROM sqlite_sequence WHERE name = 'item'").fetchone()
    return now, ever[0] if ever else 0


async def test_a_changed_fleet_file_is_polled_without_a_restart_and_a_wrong_one_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(fleet_polled, "LOOK", 0.01)
    file = tmp_path / "substation.toml"
    file.write_text(substation("127.0.0.1:1502"))
    async with aclosing(amr._edge_lines(amr.Settings(fleet=file))) as fleets:
        [line] = await anext(fleets)
        first = line.meters[0]
        assert (first.serial, first.address, first.period.seconds) == ("61000001", "1", 1)
        following = asyncio.ensure_future(anext(fleets))
        file.write_text("[[meter]]")
        await until(lambda: "is not what is polled" in caplog.text)
        file.write_text(substation("127.0.0.1:1503"))
        [line] = await asyncio.wait_for(following, PATIENCE)
        assert line.line.address == "127.0.0.1:1503"


@pytest.mark.parametrize("text", ["[[meter]]", "[[lines]]", "\xff", None])
async def test_a_wrong_fleet_file_ends_it_at_the_start(text: str | None, tmp_path: Path) -> None:
    file = tmp_path / "substation.toml"
    if text is not None:
        file.write_bytes(text.encode("latin-1"))
    with pytest.raises(Misconfigured, match=r"substation\.toml"):
        await anext(amr._edge_lines(amr.Settings(fleet=file)))


async def test_nothing_polled_is_lost_or_doubled_whoever_is_killed(
    database: Database, database_settings: DatabaseSettings, tmp_path: Path
) -> None:
    await central_fleet(database)
    spool = tmp_path / "edge/spool/forward/tp-101.sqlite"
    file = tmp_path / "substation.toml"

    async def polls() -> int:
        [(count,)] = await fetch(
            database,
            "SELECT count(DISTINCT (meter_id, taken_at)) FROM reading x JOIN register r ON r.id = x.register_id",
        )
        return int(count)

    async def more(count: int) -> None:
        """So many more polls are stored."""
        wanted = await polls() + count

        async def there() -> bool:
            return await polls() >= wanted

        await until(there, PATIENCE)

    async def waiting(count: int) -> None:
        """So many deliveries wait on the substation's disk."""
        await until(lambda: spooled(spool)[0] >= count, PATIENCE)

    with shipped_settings("amr", "tp-101") as shipped:
        async with Mosquitto(shipped) as broker, Street(STREET).start(Clock()) as street:
            file.write_text(substation(street.addresses()["bus"]))
            address = f"127.0.0.1:{broker.port}"
            edge = ("--forward", f"mqtt://tp-101:secret@{address}", "--fleet", str(file))
            of_edge = {"AMR_DATA": str(tmp_path / "edge"), "AMR_FORWARD_SPREAD": "0.2"}
            of_centre = {
                "AMR_DATABASE_URL": str(database_settings.url), "AMR_MQTT_URL": f"mqtt://amr:secret@{address}",
                "AMR_MQTT_TRY_OUT": "false", "AMR_DATA": str(tmp_path / "centre"),
            }  # fmt: skip
            async with collecting(*edge, **of_edge) as first:
                async with collecting(**of_centre) as centre:
                    await more(8)
                    await broker.kill()
                    await waiting(8)
                    await broker.start()
                    await more(12)
                    centre.kill()
                await waiting(8)
                first.kill()
            assert spooled(spool)[0] >= 8
            async with collecting(**of_centre):
                port = free_port(0)
                async with collecting(*edge, **of_edge, AMR_METRICS_PORT=str(port)):
                    await more(12)

                    async def confirmed() -> bool:
                        async with httpx.AsyncClient() as client:
                            page = (await client.get(f"http://127.0.0.1:{port}/metrics")).text
                        counted = re.search(r"^amr_forward_confirmed_total (.*)$", page, re.MULTILINE)
                        return "amr_spool_items" in page and counted is not None and float(counted[1]) > 0

                    await until(confirmed, PATIENCE)
                file.write_text(file.read_text().replace('"1s"', '"1d"'))
                async with collecting(*edge, **of_edge):  # nothing more is polled, what is left is brought in
                    await until(lambda: spooled(spool)[0] == 0, PATIENCE)
            assert await polls() == spooled(spool)[1]
    assert await fetch(database, "SELECT count(*) FROM quarantine") == [(0,)]
    assert await fetch(database, "SELECT count(*) FROM reading WHERE quality <> 0") == [(0,)]
    assert not list((tmp_path / "edge").glob("**/PG_VERSION"))  # a substation needs no database
