"""What is polled of a fleet file alone: for a collector that forwards and has no database."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from pathlib import Path

from ingest.errors import Misconfigured
from ingest.model import Meter, Polled, PolledLine
from storage.fleet_file import read_fleet
from storage.fleet_model import Fleet, LineCheck, MeterCheck, Models

log = logging.getLogger(__name__)

LOOK = 5.0
"""Seconds between looks at a fleet file for changes."""


async def followed_file(
    path: Path, models: Models, check_line: LineCheck, check_meter: MeterCheck
) -> AsyncGenerator[list[PolledLine], None]:
    """What the file says is polled, again after each change of it. A mistake in a later version is logged, and the
    earlier one stands. Raises Misconfigured for a mistake at the beginning.
    """
    known: str | None = None
    trouble = ""
    while True:
        try:
            text = await asyncio.to_thread(path.read_text, encoding="utf-8")
            if text != known:
                yield lines_of_file(text, models, check_line, check_meter, datetime.now(UTC))
            known, trouble = text, ""
        except (OSError, UnicodeDecodeError, Misconfigured) as error:
            if known is None:
                raise Misconfigured(f"the fleet file {path}: {error}") from error
            if trouble != str(error):
                log.error("the fleet file %s is not what is polled: %s", path, error)
            trouble = str(error)
        await asyncio.sleep(LOOK)


def lines_of_file(
    text: str, models: Models, check_line: LineCheck, check_meter: MeterCheck, now: datetime
) -> list[PolledLine]:
    """Every line of a fleet file with its meters; FleetMistakes with all that is wrong.

    Points are not needed; where there are any, a meter is polled by the clock of the one it stands at now, else by UTC.
    """
    fleet = read_fleet(text, models, Fleet(), check_line, check_meter)
    standing = {
        one.meter: fleet.points[one.point].zone
        for one in fleet.installations
        if one.since <= now and (one.until is None or now < one.until)
    }
    meters: dict[str, list[Polled]] = {name: [] for name in fleet.lines}
    for serial, one in sorted(fleet.meters.items()):
        if one.meter.line is not None:
            meters[one.meter.line].append(_polled(one.meter, standing.get(serial, "UTC")))
    return [PolledLine(line, tuple(meters[name])) for name, line in sorted(fleet.lines.items())]


def _polled(meter: Meter, zone: str) -> Polled:
    return Polled(meter.serial, meter.model, meter.address or "", meter.period, zone, meter.options)
