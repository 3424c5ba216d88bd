"""Days of stored consumption as 80020 messages, point by point."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal

from api.doorkeeper import Caller
from api.export_selection import Pages, chosen, together
from api.xml80020 import CHANNELS, CLOSING, Message, Point, Profile, Value, encoded, half_hours, opening, point_xml
from ingest.calendar_cuts import Step, start_of
from ingest.consumption import Amount, Policy, Stretch, consumption
from ingest.model import MeteringPoint, Quality
from storage.stretches import stretches_of

_GROUP = 20
"""Points looked up together."""


async def day_message(
    pages: Pages, caller: Caller, codes: Sequence[str], message: Message, policy: Policy | None = None
) -> AsyncIterator[bytes]:
    """The bytes of the message about these points (none named: all). Raises 404 before the first."""
    told = False
    async for group in together(chosen(pages, caller, codes), _GROUP):
        points = await _points(pages, [seen.point for seen in group], message, policy)
        text = "".join(point_xml(message, point) for point in points if point.profiles)
        if text:
            yield encoded(text if told else opening(message) + text)
            told = True
    yield encoded(CLOSING if told else opening(message) + CLOSING)


async def _points(
    pages: Pages, points: Sequence[MeteringPoint], message: Message, policy: Policy | None
) -> list[Point]:
    """The points with the channels that some meter of theirs has; one without a meter has none."""
    edges = half_hours(message.day, message.zone)
    month = start_of(edges[0], Step.MONTH, message.zone)
    cuts = edges if month == edges[0] else [month, *edges]
    async with pages() as conn:
        found = await stretches_of(conn, [point.code for point in points], list(CHANNELS.values()), cuts)
    return await asyncio.to_thread(_computed, points, found, (edges, month), policy)


def _computed(
    points: Sequence[MeteringPoint],
    found: Mapping[str, Mapping[str, Sequence[Stretch]]],
    times: tuple[Sequence[datetime], datetime],
    policy: Policy | None,
) -> list[Point]:
    """A group's days, by the cuts of the day and the beginning of the month; computed where it stops nobody else."""
    return [
        Point(
            point.official_code or point.code,
            point.name or point.address,
            [
                _profile(code, found[point.code][channel], *times, policy)
                for code, channel in CHANNELS.items()
                if any(stretch.counters for stretch in found[point.code][channel])
            ],
        )
        for point in points
    ]


def _profile(
    code: str, found: Sequence[Stretch], edges: Sequence[datetime], month: datetime, policy: Policy | None
) -> Profile:
    carried = Decimal(0)
    if month < edges[0]:
        [before] = consumption(found, [month, edges[0]], policy)
        carried = before.amount or carried
    return Profile(code, carried, [_value(amount) for amount in consumption(found, edges, policy)])


def _value(amount: Amount) -> Value:
    return Value(amount.amount, amount.quality is Quality.GOOD and amount.completeness == 1)
