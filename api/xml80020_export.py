"""Days of stored consumption as 80020 messages, point by point."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from api.doorkeeper import Caller
from api.export_selection import Pages, chosen
from api.xml80020 import CHANNELS, CLOSING, Message, Point, Profile, Value, encoded, half_hours, opening, point_xml
from ingest.calendar_cuts import Step, start_of
from ingest.consumption import Amount, Stretch, consumption
from ingest.model import MeteringPoint, Quality
from storage.stretches import stretches


async def day_message(pages: Pages, caller: Caller, codes: Sequence[str], message: Message) -> AsyncIterator[bytes]:
    """The bytes of the message about these points (none named: all). Raises 404 before the first."""
    told = False
    async for seen in chosen(pages, caller, codes):
        async with pages() as conn:
            point = await _point(conn, seen.point, message)
        if point.profiles:
            yield encoded(("" if told else opening(message)) + point_xml(message, point))
            told = True
    yield encoded(CLOSING if told else opening(message) + CLOSING)


async def _point(conn: Any, point: MeteringPoint, message: Message) -> Point:
    """The channels that some meter of the point has; a point without a meter has none."""
    edges = half_hours(message.day, message.zone)
    month = start_of(edges[0], Step.MONTH, message.zone)
    cuts = edges if month == edges[0] else [month, *edges]
    found = await stretches(conn, point.code, list(CHANNELS.values()), cuts)
    profiles = [
        _profile(code, found[channel], edges, month)
        for code, channel in CHANNELS.items()
        if any(stretch.counters for stretch in found[channel])
    ]
    return Point(point.official_code or point.code, point.name or point.address, profiles)


def _profile(code: str, found: Sequence[Stretch], edges: Sequence[datetime], month: datetime) -> Profile:
    carried = Decimal(0)
    if month < edges[0]:
        [before] = consumption(found, [month, edges[0]])
        carried = before.amount or carried
    return Profile(code, carried, [_value(amount) for amount in consumption(found, edges)])


def _value(amount: Amount) -> Value:
    return Value(amount.amount, amount.quality is Quality.GOOD and amount.completeness == 1)
