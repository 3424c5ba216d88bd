"""What is polled of a fleet file alone: for a collector that forwards and has no database. Pure."""

from __future__ import annotations

from datetime import datetime

from ingest.model import Meter, Polled, PolledLine
from storage.fleet_file import read_fleet
from storage.fleet_model import Fleet, LineCheck, MeterCheck, Models


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
