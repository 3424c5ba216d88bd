"""The clocks of several points at once: for lists that show each instant where it belongs."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any
from zoneinfo import ZoneInfo

import psycopg

_ZONES = "SELECT code, zone FROM point WHERE code = ANY(%s)"


async def zones(conn: psycopg.AsyncConnection[Any], codes: Collection[str]) -> Mapping[str, ZoneInfo]:
    """The zone of each point of these codes that is stored."""
    rows = await (await conn.execute(_ZONES, (sorted(codes),))).fetchall()
    return {code: ZoneInfo(zone) for code, zone in rows}
