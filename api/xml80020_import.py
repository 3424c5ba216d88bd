"""80020 messages into load profiles: codes to points, energies back to what the meter's register moved.

Everything good is stored through the door; everything else is named, counted, and kept raw in quarantine.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal
from itertools import groupby
from zoneinfo import ZoneInfo

from api.export_selection import Pages
from api.faults import echo
from api.xml80020_files import File
from api.xml80020_reader import BadRow, read
from api.xml80020_times import Interval, intervals
from ingest.channel import LARGEST_MICRO, MICRO, from_micro
from ingest.delivery import Delivery, Reject
from ingest.errors import Malformed
from ingest.intake import Intake
from ingest.model import IntervalReading, Source
from storage.measuring_points import Imported, Stay, imported, stays

MOST_NAMED = 100
_ROWS = 5_000
_WHOLE = Decimal(1)
_NEAR = 1
"""Millionths by which a repeated value may differ: a correction elsewhere in the day moves what rounding leaves."""


@dataclass(slots=True)
class Report:
    """What became of one file. `bad` and `unknown` name what was not taken, at most MOST_NAMED of each.

    Of the rows, `stored` are new, `repeated` were there before, `empty` have no value, `unsettled` have status 1,
    `refused` are all others: bad ones, of unknown points, in conflict with what is stored.
    """

    name: str
    day: str | None = None
    sender: str | None = None
    number: str | None = None
    error: str | None = None
    points: int = 0
    stored: int = 0
    repeated: int = 0
    empty: int = 0
    unsettled: int = 0
    refused: int = 0
    unknown_points: dict[str, int] = field(default_factory=dict)
    bad: list[BadRow] = field(default_factory=list)

    def refuse(self, where: str, detail: str, rows: int = 1) -> None:
        """Count rows that were not taken, and say why."""
        self.refused += rows
        if len(self.bad) < MOST_NAMED:
            self.bad.append(BadRow(where, detail))


async def take_file(
    pages: Pages,
    intake: Intake,
    file: File,
    zones: Mapping[str, ZoneInfo],
    usual: ZoneInfo,
    *,
    all_values: bool = False,
) -> Report:
    """Import one file. `zones` are those of senders by INN, `usual` that of all others.

    With `all_values` those with status 1 are taken like any other. Raises StoreUnavailable; repeating is harmless.
    """
    report = Report(echo(file.name) or "")
    try:
        if isinstance(file.content, Malformed):
            raise file.content
        rows = await asyncio.to_thread(_rows, report, file.content, zones, usual)
    except Malformed as error:
        report.error = str(error)
        return report
    sorter = await _sort(pages, report, rows, all_values=all_values)
    for number in range(0, max(len(sorter.readings), len(sorter.rejects)), _ROWS):
        part = slice(number, number + _ROWS)
        await intake.accept(
            Delivery(f"80020:{report.name}", intervals=sorter.readings[part], rejects=sorter.rejects[part])
        )
    return report


def _rows(report: Report, raw: bytes, zones: Mapping[str, ZoneInfo], usual: ZoneInfo) -> list[Interval]:
    """The good rows of a message; its head and its bad ones go to the report."""
    message = read(raw)
    report.day, report.number = message.day.isoformat(), message.number or None
    report.sender = " ".join(one for one in (message.sender, message.sender_name) if one) or None
    placed = list(intervals(message.day, message.periods, zones.get(message.sender, usual)))
    for bad in (*message.bad, *(one for one in placed if isinstance(one, BadRow))):
        report.refuse(bad.where, bad.detail)
    return [one for one in placed if isinstance(one, Interval)]


async def _sort(pages: Pages, report: Report, rows: Sequence[Interval], *, all_values: bool) -> _Sorter:
    """Find the meter of every row, and leave out what is stored already."""
    if not rows:
        return _Sorter(report, {}, {}, all_values=all_values)
    since, until = min(row.start for row in rows), max(row.start + row.length for row in rows)
    async with pages() as conn:
        found = await stays(conn, {row.point for row in rows}, since, until)
        known = await imported(conn, {stay.meter for group in found.values() for stay in group}, since, until)
    report.points = len(found)
    sorter = _Sorter(report, found, known, all_values=all_values)
    await asyncio.to_thread(sorter.sort, rows)
    return sorter


class _Sorter:
    """What goes to the door of one file: readings, and what cannot be one with its reason."""

    def __init__(
        self,
        report: Report,
        found: Mapping[str, Sequence[Stay]],
        known: dict[tuple[str, str, datetime], Imported],
        *,
        all_values: bool,
    ) -> None:
        self.readings: list[IntervalReading] = []
        self.rejects: list[Reject] = []
        self._report = report
        self._found = found
        self._known = known
        self._all_values = all_values

    def sort(self, rows: Sequence[Interval]) -> None:
        """All rows, channel by channel, in the order of time."""
        for (point, channel), group in groupby(sorted(rows), key=lambda row: (row.point, row.channel)):
            self._sort(point, channel, list(group))

    def _sort(self, point: str, channel: str, rows: Sequence[Interval]) -> None:
        if point not in self._found:
            self._unknown(point, rows)
            return
        self._report.empty += sum(row.energy is None for row in rows)
        unsettled = [row for row in rows if row.energy is not None and not (row.settled or self._all_values)]
        if unsettled:
            self._report.unsettled += len(unsettled)
            why = f"{len(unsettled)} values have status 1, not for settlement; import all values to take them"
            self._reject("not_for_settlement", f"{point}/{channel}: {why}", unsettled)
        self._store(point, channel, [row for row in rows if row.energy is not None and row not in unsettled])

    def _unknown(self, point: str, rows: Sequence[Interval]) -> None:
        report = self._report
        report.refused += len(rows)
        if point in report.unknown_points or len(report.unknown_points) < MOST_NAMED:
            report.unknown_points[point] = report.unknown_points.get(point, 0) + len(rows)
        remedy = "give one that official_code in the fleet, and import the file again"
        self._reject("unknown_point", f"no point has the code {point!r}; {remedy}", rows)

    def _store(self, point: str, channel: str, rows: Sequence[Interval]) -> None:
        conflicts: list[Interval] = []
        homeless: list[Interval] = []
        impossible: list[Interval] = []
        carried: dict[str, Decimal] = {}
        for row in rows:
            stay = next((one for one in self._found[point] if _stood(one, row.start)), None)
            if stay is None or channel not in stay.channels:
                homeless.append(row)
                continue
            micro = _before_ratio(row, stay, carried)
            if micro > LARGEST_MICRO:
                impossible.append(row)
            elif not self._fits(stay, row, micro):
                conflicts.append(row)
        self._refuse("conflict", conflicts, "another value was imported before and stays; ask which one is right")
        self._refuse("too_large", impossible, "before the ratio these are more than any register holds; check K")
        why = "no meter with this channel stood there then; correct the fleet and import the file again"
        self._refuse("unknown_register", homeless, why)

    def _fits(self, stay: Stay, row: Interval, micro: int) -> bool:
        """Whether the interval is new or repeats what is stored; False for another value."""
        key = (stay.meter, row.channel, row.start)
        seconds = int(row.length.total_seconds())
        before = self._known.get(key)
        if before is None:
            self._known[key] = Imported(seconds, micro)
            self._report.stored += 1
            self.readings.append(
                IntervalReading(stay.meter, row.channel, row.start, row.length, from_micro(micro), Source.IMPORT)
            )
            return True
        repeated = before.seconds == seconds and abs(before.micro - micro) <= _NEAR
        self._report.repeated += repeated
        return repeated

    def _refuse(self, reason: str, rows: Sequence[Interval], why: str) -> None:
        if rows:
            where = f"{rows[0].point}/{rows[0].channel} {rows[0].start.isoformat()}"
            self._report.refuse(where, f"{len(rows)} rows: {why}", len(rows))
            self._reject(reason, f"{where}: {why}", rows)

    def _reject(self, reason: str, detail: str, rows: Sequence[Interval]) -> None:
        lines = (
            f"{row.point} {row.channel} {row.start.isoformat()} {int(row.length.total_seconds())}"
            f" {'-' if row.energy is None else row.energy} {0 if row.settled else 1}"
            for row in rows
        )
        self.rejects.append(Reject(reason, detail, "\n".join(lines).encode()))


def _stood(stay: Stay, at: datetime) -> bool:
    return stay.since <= at and (stay.until is None or at < stay.until)


def _before_ratio(row: Interval, stay: Stay, carried: dict[str, Decimal]) -> int:
    """Millionths the register moved; what rounding leaves is carried on, so that a day is as exact as one value."""
    assert row.energy is not None
    exact = row.energy * MICRO / stay.ratio + carried.get(stay.meter, Decimal(0))
    micro = max(Decimal(0), exact.quantize(_WHOLE, ROUND_HALF_EVEN))
    carried[stay.meter] = exact - micro
    return int(micro)
