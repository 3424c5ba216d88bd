"""A small fleet put straight into the tables, for tests of what stands on it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal

from ingest.model import RegisterSpec
from storage.database import Database

LONG_AGO = datetime(2015, 1, 1, tzinfo=UTC)


async def install(
    database: Database,
    serial: str,
    registers: Sequence[RegisterSpec],
    *,
    point: str | None = None,
    zone: str = "Europe/Moscow",
    since: datetime = LONG_AGO,
    ct: Decimal = Decimal(1),
    gateway: str | None = None,
) -> None:
    """One meter with registers, standing at its own point (named after it unless told)."""
    async with database.connection() as conn:
        await conn.execute("INSERT INTO meter (serial, model, gateway) VALUES (%s, 'test', %s)", (serial, gateway))
        for spec in registers:
            await conn.execute(
                "INSERT INTO register (meter_id, channel, digits, decimals, max_rate)"
                " SELECT id, %s, %s, %s, %s FROM meter WHERE serial = %s",
                (spec.channel, spec.digits, spec.decimals, spec.max_rate, serial),
            )
        code = point or f"MP-{serial}"
        await conn.execute("INSERT INTO point (code, zone) VALUES (%s, %s) ON CONFLICT DO NOTHING", (code, zone))
        await conn.execute(
            "INSERT INTO installation (point_id, meter_id, since, ct)"
            " SELECT p.id, m.id, %s, %s FROM point p, meter m WHERE p.code = %s AND m.serial = %s",
            (since, ct, code, serial),
        )
