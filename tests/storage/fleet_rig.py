"""What the fleet tests share: a small catalogue, a street as a file, and readings put straight into the table."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from ingest.channel import to_micro
from ingest.model import Quality, RegisterSpec, Source
from storage.database import Database
from storage.fleet import apply, export
from storage.fleet_difference import Difference

MODELS = {
    "sdm120": (
        RegisterSpec("1.8.0", 6, 2, Decimal("15")),
        RegisterSpec("2.8.0", 6, 2, Decimal("15")),
        RegisterSpec("32.7.0", None, 1),
    ),
    "m206": (RegisterSpec("1.8.1", 6, 2), RegisterSpec("1.8.2", 6, 2)),
}

STREET = """
[[line]]
name = "tp-101"
kind = "modbus-tcp"
address = "10.0.0.7:502"
options = {timeout = 0.5, retries = 1, labels = ["a", "b"]}

[[point]]
code = "p-1"
name = "Садовая, 1"
address = "г. Самара, ул. Садовая, 1"
zone = "Europe/Samara"
official_code = "631234567890"

[[point]]
code = "p-2"
zone = "Europe/Volgograd"
category = "garage"

[[point]]
code = "p-3"

[[meter]]
serial = "10000001"
model = "sdm120"
line = "tp-101"
address = 5
period = "1h"
verified_until = 2031-05-01

[[meter]]
serial = "10000002"
model = "m206"
gateway = "gw-1"

[[meter]]
serial = "0042"
model = "CE-27"
registers = [{channel = "1.8.0", digits = 5, decimals = 1, max_rate = "7.5"}]

[[installation]]
point = "p-1"
meter = "10000001"
since = 2026-01-15
ct = 40
vt = "1.5"
opening = {"1.8.0" = "0.25"}

[[installation]]
point = "p-2"
meter = "0042"
since = 2024-03-01
until = 2026-02-01T12:30:00+03:00
opening = {"1.8.0" = 0}
closing = {"1.8.0" = 812.5}

[[installation]]
point = "p-2"
meter = "10000002"
since = 2026-02-01T12:30:00+03:00
opening = {"1.8.1" = "1", "1.8.2" = "2"}

[[contract]]
consumer = "ivanova"
point = "p-1"
since = 2026-01-15

[[contract]]
consumer = "petrov"
point = "p-2"
since = 2025-01-01
until = 2026-03-01
"""


async def put(database: Database, document: str, *, dry_run: bool = False) -> Difference:
    """Apply a file in a transaction of its own."""
    async with database.connection() as conn:
        return await apply(conn, document, MODELS, dry_run=dry_run)


async def written(database: Database) -> str:
    """The stored fleet, exported."""
    async with database.connection() as conn:
        return await export(conn, MODELS)


async def read(
    database: Database,
    meter: str,
    channel: str,
    taken_at: datetime,
    value: str,
    *,
    source: Source = Source.AUTOMATIC,
    quality: Quality = Quality.GOOD,
) -> None:
    """Store one reading as judged."""
    async with database.connection() as conn:
        await conn.execute(
            "INSERT INTO stored_reading (register_id, source, taken_at, received_at, value, quality, reasons) "
            "SELECT r.id, %s, %s, now(), %s, %s, 0 FROM register r JOIN meter m ON m.id = r.meter_id "
            "WHERE m.serial = %s AND r.channel = %s",
            (int(source), taken_at, to_micro(Decimal(value)), int(quality), meter, channel),
        )


def day(text: str) -> datetime:
    """An instant in UTC from a date or date and time."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


async def rows(database: Database, question: str) -> list[tuple[object, ...]]:
    async with database.connection() as conn:
        return await (await conn.execute(question.encode())).fetchall()
