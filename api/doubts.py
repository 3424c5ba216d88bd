"""What is answered when a value typed in is doubtful: why, and what the register showed before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from api.access import visible
from api.answers import plain
from api.context import Context
from api.instants import Range
from api.problems import Problem
from api.readings import latest_of
from storage.history import StoredReading
from storage.points import Seen

_FIRST = datetime(1970, 1, 1, tzinfo=UTC)


async def doubtful(
    here: Context, seen: Seen, meter: str, taken_at: datetime, values: Sequence[Mapping[str, object]]
) -> Problem:
    """The 409 for `values`, of which those with reasons are doubted, each beside the last reading that the same meter
    had before, as far as the caller may see it.
    """
    parts = visible(seen, Range(_FIRST, taken_at)) if taken_at > _FIRST else []
    async with here.look() as conn:
        counted = await latest_of(conn, seen.point.code, parts, here.settings.policy)
    before = {one.reading.channel: one.reading for one in counted if one.reading.meter == meter}
    doubts = [
        {
            **{name: value[name] for name in ("channel", "value", "unit", "reasons")},
            "previous": _previous(before.get(str(value["channel"])), seen.point.tz),
        }
        for value in values
        if value["reasons"]
    ]
    return Problem("doubtful", members={"values": doubts})


def _previous(reading: StoredReading | None, zone: ZoneInfo) -> dict[str, object] | None:
    if reading is None:
        return None
    return {
        "value": plain(reading.value),
        "taken_at": reading.taken_at.astimezone(zone),
        "source": reading.source.label,
    }
