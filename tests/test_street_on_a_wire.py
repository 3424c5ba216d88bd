"""A street with meters of every protocol, as `amr simulate` offers it: its own fleet file polls it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import amr
from ingest.intake import Intake
from simulators.clock import Clock
from simulators.street import Street
from simulators.street_fleet import street_text
from storage import fleet
from storage.database import Database
from storage.readings import PostgresStore
from tests.collectors.modbus_rig import PATIENCE

SECRET = "864209"
STREET = f"""
[[line]]
name = "tp-7"
kind = "serial-over-tcp"

[[line]]
name = "cellar"
kind = "pty"
baud = 19200

[[meter]]
serial = "47000999"
model = "mercury-234"
line = "tp-7"
address = "5"
password = "{SECRET}"
start = "1000"

[[meter]]
serial = "19531250"
model = "mercury-206"
line = "tp-7"
zones = true
start = "2000"

[[meter]]
serial = "14160009"
model = "energomera-ce303"
line = "tp-7"
start = "3000"

[[meter]]
serial = "00000201"
model = "neva-mt3xx"
line = "tp-7"
utc_offset = 3
start = "4000"

[[meter]]
serial = "11000020"
model = "eastron-sdm120"
line = "tp-7"
unit = 20
start = "5000"

[[meter]]
serial = "47000998"
model = "mercury-236"
line = "cellar"
address = "12"
start = "6000"
"""
_READ = """
SELECT m.serial, c.failure, c.drift, max(x.value) FROM meter m JOIN last_contact c ON c.meter_id = m.id
JOIN register r ON r.meter_id = m.id AND r.channel IN ('1.8.0', '1.8.1') LEFT JOIN reading x ON x.register_id = r.id
GROUP BY m.serial, c.failure, c.drift
"""


async def test_the_fleet_of_a_street_is_polled_whatever_its_meters_speak(database: Database) -> None:
    settings = amr.Settings()
    intake = Intake(PostgresStore(database))
    async with Street(STREET).start(Clock()) as running:
        text = street_text(running.spec, datetime.now(UTC), addresses=running.addresses())
        async with database.connection() as conn:
            difference = await fleet.apply(
                conn, text, settings.models(), check_line=settings.check_line, check_meter=settings.check_meter
            )
        assert SECRET in text
        assert SECRET not in difference.text()
        tasks = [
            asyncio.create_task(intake.run()),
            asyncio.create_task(amr.collecting(settings, database, intake)),
        ]
        try:
            async with asyncio.timeout(PATIENCE):
                while len(rows := await read(database)) < 6 or any(value is None for *_, value in rows.values()):  # noqa: ASYNC110 - nobody announces it
                    await asyncio.sleep(0.2)
        finally:
            for task in reversed(tasks):
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        for serial, truth in running.meters.items():
            failure, drift, value = rows[serial]
            assert failure is None, serial
            assert (drift is None) == (serial == "11000020")
            assert drift is None or abs(drift.total_seconds()) < 60
            now = truth.values(datetime.now(UTC))
            shown = max(now.get("1.8.1", Decimal(0)), Decimal(0) if serial == "19531250" else now["1.8.0"])
            assert abs(Decimal(value).scaleb(-6) - shown) < Decimal("0.1"), serial


async def read(database: Database) -> dict[str, tuple[Any, ...]]:
    async with database.connection() as conn:
        return {serial: tuple(facts) for serial, *facts in await (await conn.execute(_READ)).fetchall()}
