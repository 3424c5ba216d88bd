"""What was consumed: amounts by calendar steps in the point's zone, computed from the readings around each cut."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, NamedTuple, ParamSpec, TypeVar
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Query, Response
from pydantic import Field

from api.access import Asking, see, visible
from api.amounts import amount_json, written
from api.answers import as_of_json, json_answer, plain
from api.context import Here
from api.doorkeeper import Caller
from api.faults import Fault
from api.fields import Channel, Input
from api.instants import Range, When, make_range
from api.problems import invalid
from api.readings import check_channel_known, latest_of
from api.responses import errors
from api.route import CabinetRoute
from api.schemas import ConsumptionOut
from ingest import consumption as engine
from ingest.amounts import Joined, pieces
from ingest.calendar_cuts import Step, cuts, shifted
from ingest.channel import is_counter, unit_of
from ingest.consumption import Amount, Policy, Stretch
from ingest.model import worst
from storage.history import StoredReading
from storage.points import Seen
from storage.statistics import months
from storage.stretches import stretches

router = APIRouter(tags=["consumption"], route_class=CabinetRoute)

StepName = Literal["half-hour", "hour", "day", "month", "year"]
Gaps = Literal["missing", "distribute", "substitute"]
Items = Callable[[Sequence[Amount], ZoneInfo], object]
"""What becomes of the amounts in an answer."""

P = ParamSpec("P")
T = TypeVar("T")
_MANY = 1_000
_SHORTEST = {
    Step.HALF_HOUR: timedelta(minutes=30),
    Step.HOUR: timedelta(hours=1),
    Step.DAY: timedelta(hours=23),
    Step.MONTH: timedelta(days=27, hours=23),
    Step.YEAR: timedelta(days=364, hours=23),
}


class ConsumptionQuery(Input):
    """Which energy, over which range, cut how."""

    since: When = Field(alias="from", description="the first instant; a date begins in the point's zone")
    until: When = Field(alias="to", description="the instant after the last")
    step: StepName = "day"
    channel: Channel = "1.8.0"
    gaps: Gaps = Field(
        "missing",
        description="What stands for intervals without grounds: nothing; the measured total spread evenly over them; "
        "or, for months, also last year's month or an average. Always labelled among the reasons and never in `total`.",
    )


@router.get(
    "/points/{code}/consumption",
    operation_id="getConsumption",
    summary="Consumption of a point",
    response_model=ConsumptionOut,
    responses=errors(404),
)
async def get_consumption(
    code: str, query: Annotated[ConsumptionQuery, Query()], here: Here, caller: Asking
) -> Response:
    """Amounts over [from, to), cut at the calendar's borders in the point's zone. The ends need not be such borders.

    A consumer's range is cut to the dates of the contract.
    """
    async with here.look() as conn:
        most, policy = here.settings.interval_limit, here.settings.policy
        return json_answer(await consumption_of(conn, caller, code, query, most, here.now(), policy))


async def consumption_of(
    conn: Any,
    caller: Caller,
    code: str,
    query: ConsumptionQuery,
    most: int,
    now: datetime,
    policy: Policy,
    items: Items = written,
) -> dict[str, object]:
    """The amounts of one point as known at `now`, as far as the caller may see them; `most` intervals at most."""
    step, channel = Step(query.step), query.channel
    if not is_counter(channel):
        raise invalid(Fault("channel", channel, "not_a_counter", known="1.8.0"))
    seen = await see(conn, caller, code)
    zone = seen.point.tz
    asked = make_range(query.since, query.until, zone)
    check_step(asked, step, query.gaps, most)
    parts = visible(seen, asked)
    computed = [await _amounts(conn, code, query, part, policy, zone) for part in parts]
    if not any(item.known for item in computed):
        await check_channel_known(conn, seen, "channel", channel)
    amounts: Sequence[Amount] = Joined([piece for item in computed for piece in pieces(item.amounts)])
    if query.gaps == "substitute":
        amounts = await _with_substitutes(conn, seen, channel, parts, amounts, now, policy)
    span = Range(parts[0].since, parts[-1].until) if parts else asked
    return {
        "point": code,
        "zone": seen.point.zone,
        "channel": channel,
        "unit": unit_of(channel),
        "step": step.value,
        "from": span.since.astimezone(zone),
        "to": span.until.astimezone(zone),
        "as_of": as_of_json(await _newest(conn, code, channel, parts, policy), zone),
        "total": _total([item.whole for item in computed], zone),
        "items": await _aside(len(amounts), items, amounts, zone),
    }


async def _with_substitutes(
    conn: Any,
    seen: Seen,
    channel: str,
    parts: list[Range],
    items: Sequence[Amount],
    now: datetime,
    policy: Policy,
) -> list[Amount]:
    """The same months, those without grounds substituted; never from readings of a time that may not be seen."""
    zone = seen.point.tz
    found: dict[tuple[datetime, datetime], Amount] = {}
    for part in parts:
        year_before = Range(shifted(part.since, Step.MONTH, -12, zone), part.until)
        if visible(seen, year_before) != [year_before]:
            continue
        amounts = await months(conn, seen.point.code, channel, part.since, part.until, now=now, policy=policy)
        found.update({(one.begin, one.end): one for one in amounts})
    return [found.get((item.begin, item.end), item) if item.amount is None else item for item in items]


class _Computed(NamedTuple):
    """The amounts of a whole range and of its steps; `known`: some meter there has the channel."""

    known: bool
    whole: Amount
    amounts: Sequence[Amount]


def check_step(asked: Range, step: Step, gaps: Gaps, most: int) -> None:
    """Raise the 422 for a step that is longer than the range, or cuts it into more than `most` intervals."""
    if gaps == "substitute" and step is not Step.MONTH:
        raise invalid(Fault("gaps", gaps, "months_only"))
    length = asked.until - asked.since
    if length < _SHORTEST[step]:
        raise invalid(Fault("step", step.value, "step_too_long"))
    if length / _SHORTEST[step] > most:
        raise invalid(Fault("step", step.value, "too_many_intervals", most=most))


async def _amounts(
    conn: Any, code: str, query: ConsumptionQuery, part: Range, policy: Policy, zone: ZoneInfo
) -> _Computed:
    edges = cuts(part.since, part.until, Step(query.step), zone)
    found = (await stretches(conn, code, [query.channel], edges))[query.channel]
    policy = replace(policy, distribute=query.gaps == "distribute")
    return await _aside(len(edges), _compute, found, edges, policy)


def _compute(found: Sequence[Stretch], edges: Sequence[datetime], policy: Policy) -> _Computed:
    [whole] = engine.consumption(found, [edges[0], edges[-1]], replace(policy, distribute=False))
    return _Computed(any(stretch.counters for stretch in found), whole, engine.consumption(found, edges, policy))


async def _aside(count: int, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Work on so many amounts: a year of half-hours must not stop others."""
    return await asyncio.to_thread(work, *args, **kwargs) if count >= _MANY else work(*args, **kwargs)


def _total(wholes: Sequence[Amount], zone: ZoneInfo) -> dict[str, object] | None:
    """The amount over the whole range; over several contracts of one consumer, the sum of their amounts."""
    if not wholes:
        return None
    if len(wholes) == 1:
        return amount_json(wholes[0], zone)
    known = [whole.amount for whole in wholes if whole.amount is not None]
    length = sum((whole.end - whole.begin for whole in wholes), timedelta())
    measured = sum(((whole.end - whole.begin) / length * float(whole.completeness) for whole in wholes), 0.0)
    return {
        **amount_json(wholes[-1], zone),
        "from": wholes[0].begin.astimezone(zone),
        "amount": plain(sum(known)) if known else None,  # type: ignore[arg-type]
        "quality": worst(whole.quality for whole in wholes).label,
        "completeness": f"{measured:.4f}",
        "begin_value": None,
        "end_value": None,
    }


async def _newest(conn: Any, code: str, channel: str, parts: list[Range], policy: Policy) -> list[StoredReading]:
    """The newest reading of the channel, or of the zones that make it up; one at the very end counts too."""
    inclusive = [Range(part.since, part.until + timedelta.resolution) for part in parts]
    counted = [item.reading for item in await latest_of(conn, code, inclusive, policy)]
    return of_channel(counted, channel)


def of_channel(counted: Sequence[StoredReading], channel: str) -> list[StoredReading]:
    """Those of the channel, or of the zones that make it up."""
    own = [reading for reading in counted if reading.channel == channel]
    quantity = channel.rpartition(".")[0]
    return own or [reading for reading in counted if reading.channel.rpartition(".")[0] == quantity]
