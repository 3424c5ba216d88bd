"""Answers about many points with as many questions to the database as about one: a district's report is one request."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from api.access import everything, see_all, visible
from api.amounts import amount_json, written
from api.answers import as_of_json
from api.consumption import ConsumptionQuery, check_step, consumption_of, of_channel
from api.doorkeeper import Caller
from api.faults import Fault
from api.instants import Range, make_range
from api.problems import invalid
from api.readings import check_channel_known, counted_json, latest_of
from ingest.calendar_cuts import Step, cuts
from ingest.channel import is_counter, unit_of
from ingest.consumption import Amount, Policy
from storage import history
from storage.history import Counted
from storage.points import Seen
from storage.several import amounts_between


async def latest_of_points(conn: Any, caller: Caller, codes: Sequence[str], policy: Policy) -> list[dict[str, object]]:
    """The last readings of each point. Points that may be seen over the same time are asked for together."""
    seen = await see_all(conn, caller, codes)
    alike: dict[Range, list[str]] = defaultdict(list)
    found: dict[str, list[Counted]] = {}
    for code in seen:
        match everything(seen[code]):
            case [span]:
                alike[span].append(code)
            case parts:
                found[code] = await latest_of(conn, code, parts, policy)
    for span, together in alike.items():
        found |= await history.latest_of(conn, together, since=span.since, until=span.until, policy=policy)
    return [counted_json(seen[code], found[code], caller) for code in codes]


class _Alike(NamedTuple):
    """What points have to have in common to be cut together."""

    asked: Range
    zone: ZoneInfo


async def consumption_of_points(
    conn: Any, caller: Caller, codes: Sequence[str], query: ConsumptionQuery, most: int, now: Any, policy: Policy
) -> list[dict[str, object]]:
    """The amounts of each point; `most` intervals of each. What may not be seen whole is asked for point by point."""
    if not is_counter(query.channel):
        raise invalid(Fault("channel", query.channel, "not_a_counter", known="1.8.0"))
    seen = await see_all(conn, caller, codes)
    alike: dict[_Alike, list[str]] = defaultdict(list)
    for code, one in seen.items():
        asked = make_range(query.since, query.until, one.point.tz)
        check_step(asked, Step(query.step), query.gaps, most)
        if query.gaps != "substitute" and visible(one, asked) == [asked]:
            alike[_Alike(asked, one.point.tz)].append(code)
    found: dict[str, dict[str, object]] = {}
    for kind, together in alike.items():
        found |= await _together(conn, seen, together, kind, query, policy)
    for code in seen:
        if code not in found:
            found[code] = await consumption_of(conn, caller, code, query, most, now, policy)
    return [found[code] for code in codes]


async def _together(
    conn: Any, seen: Mapping[str, Seen], codes: Sequence[str], kind: _Alike, query: ConsumptionQuery, policy: Policy
) -> dict[str, dict[str, object]]:
    """The amounts of points in one zone that may be seen over all that was asked for."""
    asked, channel = kind.asked, query.channel
    edges = cuts(asked.since, asked.until, Step(query.step), kind.zone)
    ends = dict.fromkeys(codes, (edges[0], edges[-1]))
    wholes = await amounts_between(conn, ends, channel, policy=replace(policy, distribute=False))
    spread = replace(policy, distribute=query.gaps == "distribute")
    amounts = await amounts_between(conn, dict.fromkeys(codes, edges), channel, policy=spread)
    for code in codes:
        if wholes[code][0].amount is None:
            await check_channel_known(conn, seen[code], "channel", channel)
    until = asked.until + timedelta.resolution
    newest = await history.latest_of(conn, codes, since=asked.since, until=until, policy=policy)

    def said() -> dict[str, dict[str, object]]:
        return {code: _json(seen[code], kind, query, wholes[code][0], amounts[code], newest[code]) for code in codes}

    return await asyncio.to_thread(said)  # thousands of amounts must not stop others


def _json(
    seen: Seen, kind: _Alike, query: ConsumptionQuery, whole: Amount, amounts: Sequence[Amount], newest: list[Counted]
) -> dict[str, object]:
    zone = kind.zone
    known = of_channel([item.reading for item in newest], query.channel)
    return {
        "point": seen.point.code,
        "zone": seen.point.zone,
        "channel": query.channel,
        "unit": unit_of(query.channel),
        "step": query.step,
        "from": kind.asked.since.astimezone(zone),
        "to": kind.asked.until.astimezone(zone),
        "as_of": as_of_json(known, zone),
        "total": amount_json(whole, zone),
        "items": written(amounts, zone),
    }
