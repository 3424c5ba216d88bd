"""Power quality of a point: the last momentary values, and of each day the least, the greatest, the time outside."""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Query, Response
from pydantic import Field

from api.access import Asking, everything, see, visible
from api.answers import as_of_json, json_answer, plain
from api.context import Here
from api.faults import Fault
from api.fields import Channel, Input
from api.instants import Range, When, make_range, resolve
from api.power_quality_schemas import PowerQualityOut
from api.problems import invalid
from api.readings import latest_of
from api.responses import errors
from api.route import CabinetRoute
from ingest.calendar_cuts import Step, cuts, shifted
from ingest.channel import from_micro, unit_of
from ingest.consumption import Policy
from ingest.instants import instant, micros, span
from ingest.power_quality import LONGEST, Figures, Limits, Moment, figures, limits_of, phase_of, quantity_of
from storage import power_quality
from storage.history import StoredReading
from storage.points import Seen
from storage.power_quality import Standing

router = APIRouter(tags=["readings"], route_class=CabinetRoute)
MOST_DAYS = 31
MOST_MOMENTS = 100_000
_USUAL = 7
_MANY = 10_000


class PowerQualityQuery(Input):
    """Which days; left out, the last seven with today."""

    since: When | None = Field(None, alias="from", description="the first instant; a date begins in the point's zone")
    until: When | None = Field(None, alias="to", description="the instant after the last; left out, now")
    channel: Channel | None = Field(None, description="one momentary channel, 32.7.0 for the voltage of L1")


@router.get(
    "/points/{code}/power-quality",
    operation_id="getPowerQuality",
    summary="Power quality of a point",
    response_model=PowerQualityOut,
    responses=errors(404),
)
async def get_power_quality(
    code: str, query: Annotated[PowerQualityQuery, Query()], here: Here, caller: Asking
) -> Response:
    """Voltage, current, power, power factor and frequency as the meters give them, at single moments.

    A moment stands for the time until the next, 45 minutes at most. `outside` counts the time beyond ±10 % of the
    nominal voltage. The figures show where to look: GOST 32144 and EN 50160 judge averages of ten minutes.
    """
    if query.channel is not None and quantity_of(query.channel) is None:
        raise invalid(Fault("channel", query.channel, "not_momentary"))
    now = here.now()
    async with here.page() as conn:
        seen = await see(conn, caller, code)
        asked = _asked(query, seen.point.tz, now)
        wide = visible(seen, Range(asked.since - LONGEST, min(asked.until, now))) if asked.since < now else []
        parts = [await _read(conn, seen, query, part) for part in wide]
        newest = await _last(conn, seen, query.channel, here.settings.policy)
        stood = await _standing_at(conn, code, newest)
    registers = [one for part in parts for one in part[1]] + [one for one in stood if one is not None]
    limits = None if any(one.vt != 1 for one in registers) else limits_of(here.settings.nominal_voltage)
    count = sum(len(moments) for _, _, found in parts for moments in found.values())

    def work() -> list[dict[str, object]]:
        return [day for part in parts for day in _days(*part, asked, limits, seen.point.tz)]

    days = await asyncio.to_thread(work) if count > _MANY else work()
    return json_answer(
        {
            "point": code,
            "zone": seen.point.zone,
            "as_of": as_of_json(newest, seen.point.tz),
            "limits": None if limits is None else _limits_json(here.settings.nominal_voltage, limits),
            "last": [_last_json(reading, one, seen.point.tz) for reading, one in zip(newest, stood, strict=True)],
            "days": days,
        }
    )


_Part = tuple[Range, list[Standing], dict[str, list[Moment]]]
"""A part of time that may be seen, the registers of it, and their moments by channel."""


def _asked(query: PowerQualityQuery, zone: ZoneInfo, now: datetime) -> Range:
    """The days meant. Raises the 422 for too many of them."""
    until = now if query.until is None else resolve(query.until, zone)
    since = shifted(until, Step.DAY, 1 - _USUAL, zone) if query.since is None else resolve(query.since, zone)
    asked = make_range(since, until, zone)
    if asked.until - asked.since > timedelta(days=MOST_DAYS, hours=1):
        raise invalid(Fault("from", since.isoformat(), "too_many_days", most=MOST_DAYS))
    return asked


async def _read(conn: Any, seen: Seen, query: PowerQualityQuery, part: Range) -> _Part:
    registers = await power_quality.standing(conn, seen.point.code, part.since, part.until, query.channel)
    registers = [one for one in registers if quantity_of(one.channel) is not None]
    found = await power_quality.moments(conn, registers, most=MOST_MOMENTS)
    if found is None:
        raise invalid(Fault("from", part.since.isoformat(), "too_many_moments", most=MOST_MOMENTS))
    return part, registers, found


async def _last(conn: Any, seen: Seen, channel: str | None, policy: Policy) -> list[StoredReading]:
    """The newest momentary readings that may be seen."""
    counted = [item.reading for item in await latest_of(conn, seen.point.code, everything(seen), policy)]
    return [one for one in counted if channel in (None, one.channel) and quantity_of(one.channel) is not None]


async def _standing_at(conn: Any, code: str, newest: Sequence[StoredReading]) -> list[Standing | None]:
    """The register of each reading, as its meter stood then."""
    if not newest:
        return []
    instants = [reading.taken_at for reading in newest]
    found = await power_quality.standing(conn, code, min(instants), max(instants) + timedelta.resolution)
    return [
        next(
            (one for one in found if (one.meter, one.channel) == (r.meter, r.channel) and one.covers(r.taken_at)), None
        )
        for r in newest
    ]


def _days(
    part: Range,
    registers: Sequence[Standing],
    found: Mapping[str, Sequence[Moment]],
    asked: Range,
    limits: Limits | None,
    zone: ZoneInfo,
) -> list[dict[str, object]]:
    """The figures of every day of a part of time."""
    begin = max(part.since, asked.since)
    if begin >= part.until:
        return []
    edges = cuts(begin, part.until, Step.DAY, zone)
    held = span(LONGEST)
    days = []
    for first, last in pairwise(edges):
        since, until = micros(first), micros(last)
        channels = []
        for channel in dict.fromkeys(one.channel for one in registers):
            moments = found[channel]
            near = moments[bisect_left(moments, (since - held,)) : bisect_left(moments, (until,))]
            bounds = limits if quantity_of(channel) == "voltage" else None
            channels.append(_figures_json(channel, figures(near, since, until, bounds), zone))
        days.append({"from": first.astimezone(zone), "to": last.astimezone(zone), "channels": channels})
    return days


def _momentary(channel: str) -> dict[str, object]:
    return {
        "channel": channel,
        "quantity": quantity_of(channel),
        "phase": phase_of(channel),
        "unit": unit_of(channel),
    }


def _figures_json(channel: str, found: Figures, zone: ZoneInfo) -> dict[str, object]:
    return {
        **_momentary(channel),
        "minimum": _moment_json(found.minimum, zone),
        "maximum": _moment_json(found.maximum, zone),
        "count": found.count,
        "completeness": plain(found.known),
        "outside": None if found.outside is None else plain(found.outside),
    }


def _moment_json(moment: Moment | None, zone: ZoneInfo) -> dict[str, object] | None:
    if moment is None:
        return None
    return {"value": plain(from_micro(moment.value)), "taken_at": instant(moment.at).astimezone(zone)}


def _last_json(reading: StoredReading, stood: Standing | None, zone: ZoneInfo) -> dict[str, object]:
    ratio = Decimal(1) if stood is None else stood.ratio
    return {
        **_momentary(reading.channel),
        "value": plain(reading.value * ratio),
        "taken_at": reading.taken_at.astimezone(zone),
        "quality": reading.quality.label,
    }


def _limits_json(nominal: Decimal, limits: Limits) -> dict[str, object]:
    return {
        "nominal": plain(nominal),
        "low": plain(from_micro(limits.low)),
        "high": plain(from_micro(limits.high)),
    }
