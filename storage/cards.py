"""The registers as the door needs them."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import psycopg

from ingest.model import Register
from ingest.store import Card

_CARDS = """
SELECT r.id, m.serial, r.channel, r.digits, r.decimals, r.max_rate, m.gateway, first.since, m.id AS meter_id
FROM unnest(%s::text[]) AS wanted(serial)
JOIN meter m USING (serial)
CROSS JOIN LATERAL (SELECT min(since) AS since FROM installation WHERE meter_id = m.id) first
JOIN register r ON r.meter_id = m.id
"""


async def find_cards(
    conn: psycopg.AsyncConnection[Any], keys: Collection[tuple[str, str]]
) -> dict[tuple[str, str], Card]:
    """Cards by (meter serial, channel); keys of unknown meters or channels are absent."""
    serials = sorted({serial for serial, _ in keys})
    rows = await (await conn.execute(_CARDS, (serials,))).fetchall()
    by_meter: dict[int, dict[str, int]] = {}
    decimals_of: dict[int, int] = {}
    for row in rows:
        by_meter.setdefault(row[8], {})[row[2]] = row[0]
        decimals_of[row[0]] = row[4]
    cards = {}
    for register_id, serial, channel, digits, decimals, max_rate, gateway, since, meter_id in rows:
        if (serial, channel) in keys:
            register = Register(register_id, serial, channel, digits, decimals, max_rate, since)
            family = _family(channel, by_meter[meter_id])
            coarsest = (
                min((decimals_of[member] for member in (family[0], *family[1])), default=3) if family else decimals
            )
            cards[serial, channel] = Card(register, gateway, family, coarsest)
    return cards


def _family(channel: str, of_meter: dict[str, int]) -> tuple[int, tuple[int, ...]] | None:
    """(total, zones) of this channel's quantity as register numbers, when the meter has the total and several zones."""
    quantity, kind, _ = channel.split(".")
    total = of_meter.get(f"{quantity}.8.0")
    zones = tuple(of_meter[zone] for tariff in range(1, 9) if (zone := f"{quantity}.8.{tariff}") in of_meter)
    return (total, zones) if kind == "8" and total is not None and len(zones) > 1 else None
