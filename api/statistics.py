"""The figures a consumer looks at first: this month so far, the month before, the same month of last year."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Query, Response

from api.access import Asking, everything, see
from api.amounts import amount_json
from api.answers import json_answer, plain
from api.context import Here
from api.faults import Fault
from api.fields import Channel, Input
from api.instants import Range
from api.problems import invalid
from api.readings import check_channel_known
from api.responses import errors
from api.route import CabinetRoute
from api.schemas import StatisticsOut
from ingest.channel import is_counter, unit_of
from ingest.consumption import Policy, consumption
from ingest.statistics import AsOf, Figures, Statistics
from storage.points import Seen
from storage.statistics import point_statistics
from storage.stretches import stretches

router = APIRouter(tags=["consumption"], route_class=CabinetRoute)


class StatisticsQuery(Input):
    """Which energy."""

    channel: Channel = "1.8.0"


@router.get(
    "/points/{code}/statistics",
    operation_id="getStatistics",
    summary="The figures of a point",
    response_model=StatisticsOut,
    responses=errors(404),
)
async def get_statistics(code: str, query: Annotated[StatisticsQuery, Query()], here: Here, caller: Asking) -> Response:
    """As of the last reading. A period before the contract is null, one that it began in is cut to its dates.

    After a contract the figures are those of its last month.
    """
    check_counter(query.channel)
    async with here.look() as conn:
        seen = await see(conn, caller, code)
        return json_answer(await statistics_of(conn, seen, query.channel, here.now(), here.settings.policy))


def check_counter(channel: str) -> None:
    """Raise the 422 for a channel that counts nothing."""
    if not is_counter(channel):
        raise invalid(Fault("channel", channel, "not_a_counter", known="1.8.0"))


async def statistics_of(conn: Any, seen: Seen, channel: str, now: datetime, policy: Policy) -> dict[str, object]:
    """The figures of one channel of a point, as far as it may be seen."""
    code = seen.point.code
    parts = [part for part in everything(seen) if part.since <= now]
    at = min(now, parts[-1].until - datetime.resolution)
    found = await point_statistics(conn, code, channel, now=at, policy=policy, zone=seen.point.tz)
    periods = (found.month_to_date, found.previous_month, found.same_month_last_year)
    if all(figures.amount.amount is None for figures in periods):
        await check_channel_known(conn, seen, "channel", channel)
    shown = [await _visible(conn, code, channel, figures, parts, policy) for figures in periods]
    zone = seen.point.tz
    month, before, last_year = (None if figures is None else _figures_json(figures, zone) for figures in shown)
    return {
        "point": code,
        "zone": seen.point.zone,
        "channel": channel,
        "unit": unit_of(channel),
        "as_of": _as_of(found.as_of, parts[-1], zone),
        "month_to_date": month,
        "previous_month": before,
        "same_month_last_year": last_year,
        "completeness": plain(_completeness(found, shown[0])),
    }


async def _visible(
    conn: Any, code: str, channel: str, figures: Figures, parts: list[Range], policy: Policy
) -> Figures | None:
    """The figures as they are, those of the visible part of their period alone, or None."""
    period = Range(figures.amount.begin, figures.amount.end)
    inside = [cut for part in parts if (cut := period.within(part.since, part.until)) is not None]
    if not inside:
        return None
    if inside[-1] == period:
        return figures
    cuts = [inside[-1].since, inside[-1].until]
    found = (await stretches(conn, code, [channel], cuts))[channel]
    return Figures(consumption(found, cuts, policy)[0], None, None, ())


def _figures_json(figures: Figures, zone: ZoneInfo) -> dict[str, object]:
    average, greatest = figures.average_per_day, figures.maximum_day
    return {
        "amount": amount_json(figures.amount, zone),
        "average_per_day": None if average is None else plain(average),
        "maximum_day": None if greatest is None else amount_json(greatest, zone),
        "zones": [
            {
                "channel": one.channel,
                "amount": None if one.amount is None else plain(one.amount),
                "share": None if one.share is None else plain(one.share),
            }
            for one in figures.zones
        ],
    }


def _as_of(as_of: AsOf | None, part: Range, zone: ZoneInfo) -> dict[str, object] | None:
    if as_of is None or as_of.at < part.since:
        return None
    return {"taken_at": as_of.at.astimezone(zone), "source": as_of.source.label}


def _completeness(found: Statistics, month: Figures | None) -> Decimal:
    """Of the whole month where all of it may be seen, else of what may."""
    if month is found.month_to_date:
        return found.completeness
    return Decimal(0) if month is None else month.amount.completeness
