"""Green Button over HTTP: a point's consumption as ESPI, for programs that know nothing of this API."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import UTC, datetime
from itertools import groupby
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from api.access import Asking, see, visible
from api.consumption import check_step
from api.context import Here
from api.doorkeeper import Caller
from api.download import download, files
from api.export_selection import Pages
from api.faults import Fault
from api.fields import Channel, Input
from api.green_button import CLOSING, Block, Feed, block_xml, opening, power_of
from api.instants import Range, When, make_range
from api.language import language_of
from api.problems import invalid
from api.readings import check_channel_known
from api.responses import errors
from api.route import CabinetRoute
from api.texts import Language, Text
from ingest.calendar_cuts import Step, cuts, start_of
from ingest.channel import is_counter
from ingest.consumption import Amount, Policy, consumption
from ingest.model import MeteringPoint
from storage.stretches import stretches

router = APIRouter(tags=["exports"], route_class=CabinetRoute)

ATOM = "application/atom+xml"
StepName = Literal["half-hour", "hour", "day", "month"]
_BLOCKS = {Step.HALF_HOUR: Step.DAY, Step.HOUR: Step.DAY, Step.DAY: Step.MONTH, Step.MONTH: Step.YEAR}
_SECONDS = {Step.HALF_HOUR: 1800, Step.HOUR: 3600}
_TITLE = Text("Energy usage of {point}", "Потребление энергии: {point}")
_QUANTITIES = ("1", "2", "3", "4")


class UsageQuery(Input):
    """Which energy, over which range, in which intervals."""

    since: When = Field(alias="from", description="the first instant; a date begins in the point's zone")
    until: When = Field(alias="to", description="the instant after the last")
    step: StepName = "hour"
    channel: Channel = "1.8.0"


@router.get(
    "/points/{code}/green-button",
    operation_id="getGreenButton",
    summary="Consumption of a point as Green Button data",
    response_class=Response,
    responses={**files(ATOM, description="An Atom feed of ESPI resources."), **errors(404)},
)
async def get_green_button(
    code: str, query: Annotated[UsageQuery, Query()], request: Request, here: Here, caller: Asking
) -> Response:
    """UsagePoint, MeterReading, ReadingType and IntervalBlocks of NAESB ESPI, over the time you may see.

    Values are whole numbers, exact by `powerOfTenMultiplier`, the transformer ratio applied. Intervals without grounds
    are left out; estimated ones have quality 8, doubtful ones and those measured in part 10.
    """
    most, policy = here.settings.interval_limit, here.settings.policy
    pieces = usage(here.page, caller, code, query, language_of(request), most, here.now(), policy)
    return await download(pieces, ATOM, f"green-button-{code}.xml")


async def usage(
    pages: Pages,
    caller: Caller,
    code: str,
    query: UsageQuery,
    language: Language,
    most: int,
    now: datetime,
    policy: Policy | None = None,
) -> AsyncIterator[bytes]:
    """The bytes of the feed. Raises 404 and 422 before the first."""
    step = Step(query.step)
    if not is_counter(query.channel) or query.channel.split(".")[0] not in _QUANTITIES:
        raise invalid(Fault("channel", query.channel, "not_a_counter", known="1.8.0"))
    async with pages() as conn:
        seen = await see(conn, caller, code)
        asked = make_range(query.since, query.until, seen.point.tz)
        check_step(asked, step, "missing", most)
        parts = visible(seen, asked)
        amounts = [one for part in parts for one in await _amounts(conn, seen.point, query.channel, step, part, policy)]
        if all(one.amount is None for one in amounts):
            await check_channel_known(conn, seen, "channel", query.channel)
    title = _TITLE.say(language, {"point": seen.point.name or code})
    feed = Feed(seen.point, query.channel, _SECONDS.get(step), power_of(amounts), now.astimezone(UTC), title)
    span = (parts[0].since, parts[-1].until) if parts else (asked.since, asked.until)
    yield opening(feed, *span).encode()
    for block in blocks(amounts, _BLOCKS[step], seen.point.tz):
        yield block_xml(feed, block).encode()
    yield CLOSING.encode()


async def _amounts(
    conn: Any, point: MeteringPoint, channel: str, step: Step, part: Range, policy: Policy | None
) -> Sequence[Amount]:
    edges = cuts(part.since, part.until, step, point.tz)
    found = (await stretches(conn, point.code, [channel], edges))[channel]
    return await asyncio.to_thread(consumption, found, edges, policy)


def blocks(amounts: Sequence[Amount], by: Step, zone: ZoneInfo) -> Iterator[Block]:
    """Amounts by the calendar day, month or year they begin in."""
    for _, group in groupby(amounts, key=lambda amount: start_of(amount.begin, by, zone)):
        of_block = list(group)
        yield Block(of_block[0].begin, of_block[-1].end, of_block)
