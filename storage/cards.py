"""The registers as the door needs them, kept in memory for a few seconds: they are asked for with every batch."""

from __future__ import annotations

import time
from collections.abc import Collection
from typing import Any

import psycopg

from ingest.model import Register
from ingest.store import Card

KEPT = 3.0
"""Seconds after which a changed fleet is seen at the latest."""

_CARDS = """
SELECT r.id, m.serial, r.channel, r.digits, r.decimals, r.max_rate, m.gateway,
       (SELECT min(i.since) FROM installation i WHERE i.meter_id = m.id) AS since,
       m.id AS meter_id
FROM unnest(%s::text[]) AS wanted(serial)
JOIN meter m USING (serial)
JOIN register r ON r.meter_id = m.id
"""


class Cards:
    """A cache of registers by (meter serial, channel)."""

    def __init__(self) -> None:
        self._cards: dict[tuple[str, str], Card] = {}
        self._since = 0.0

    async def find(
        self, conn: psycopg.AsyncConnection[Any], keys: Collection[tuple[str, str]]
    ) -> dict[tuple[str, str], Card]:
        """Cards by key; keys of unknown meters or channels are absent."""
        if time.monotonic() - self._since > KEPT:
            self._cards.clear()
            self._since = time.monotonic()
        missing = {serial for serial, channel in keys if (serial, channel) not in self._cards}
        if missing:
            await self._load(conn, sorted(missing))
        return {key: self._cards[key] for key in keys if key in self._cards}

    async def _load(self, conn: psycopg.AsyncConnection[Any], serials: list[str]) -> None:
        rows = await (await conn.execute(_CARDS, (serials,))).fetchall()
        by_meter: dict[int, dict[str, int]] = {}
        for row in rows:
            by_meter.setdefault(row[8], {})[row[2]] = row[0]
        for register_id, serial, channel, digits, decimals, max_rate, gateway, since, meter_id in rows:
            register = Register(register_id, serial, channel, digits, decimals, max_rate, since)
            self._cards[serial, channel] = Card(register, gateway, _family(channel, by_meter[meter_id]))


def _family(channel: str, of_meter: dict[str, int]) -> tuple[int, tuple[int, ...]] | None:
    """(total, zones) of this channel's quantity as register numbers, when the meter has the total and several zones."""
    quantity, kind, _ = channel.split(".")
    total = of_meter.get(f"{quantity}.8.0")
    zones = tuple(of_meter[zone] for tariff in range(1, 9) if (zone := f"{quantity}.8.{tariff}") in of_meter)
    return (total, zones) if kind == "8" and total is not None and len(zones) > 1 else None
