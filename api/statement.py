"""A month's statement of readings (ведомость снятия показаний): its rows and totals, as every format writes them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

from api import statement_words as words
from api.access import visible
from api.answers import plain
from api.doorkeeper import Caller
from api.export_cells import Cell
from api.export_selection import Pages, chosen, together
from api.instants import Range, resolve
from api.texts import Language, Text
from api.words import AMOUNT_REASONS, QUALITIES, SOURCES, UNITS
from ingest.channel import unit_of
from ingest.consumption import Policy
from ingest.model import MeteringPoint, Quality, Source
from ingest.statement import Line, Shown, Total, lines
from storage.points import Seen
from storage.stretches import stretches_of

_GROUP = 50
"""Points looked up together."""


@dataclass(frozen=True, slots=True)
class Statement:
    """Which month, whose statement, in which language; of which channels, usually all; which sources count."""

    month: date
    company: str
    language: Language
    made: date
    channels: tuple[str, ...] = ()
    policy: Policy = field(default_factory=Policy)

    @property
    def following(self) -> date:
        return date(self.month.year + self.month.month // 12, self.month.month % 12 + 1, 1)

    @property
    def title(self) -> str:
        return words.TITLE.say(self.language, {"month": words.month_name(self.month, self.language)})

    @property
    def subtitle(self) -> str:
        dates = {"month": self.month, "following": self.following, "made": self.made}
        return words.SUBTITLE.say(self.language, {name: f"{day:%d.%m.%Y}" for name, day in dates.items()})

    def signatures(self) -> list[str]:
        """Lines to sign on."""
        return [words.SIGN_HERE.say(self.language, {"who": who.plain(self.language)}) for who in words.SIGNATURES]

    def total_row(self, total: Total) -> list[Cell]:
        """The row of one channel's total, in the columns of the table."""
        name = words.register_name(total.channel, self.language)
        amount: Cell = words.NO_AMOUNT.plain(self.language) if total.amount is None else total.amount
        note = words.UNCOUNTED.say(self.language, {"missing": total.missing}) if total.missing else ""
        row: list[Cell] = [None] * len(words.COLUMNS)
        row[2] = words.TOTAL.say(self.language, {"channel": name})
        row[9], row[10], row[12] = amount, _unit(total.channel, self.language), note
        return row


@dataclass(frozen=True, slots=True)
class Row:
    """One line of one point; `line` is None for a point where no meter stood."""

    point: MeteringPoint
    line: Line | None


async def rows(pages: Pages, caller: Caller, codes: Sequence[str], statement: Statement) -> AsyncIterator[list[Row]]:
    """The rows of some points at a time, of the part of the month that the caller may see. Raises 404 at once."""
    async for group in together(chosen(pages, caller, codes), _GROUP):
        parts = {seen.point.code: _parts(seen, statement) for seen in group}
        found = await _lines(pages, parts, statement)
        made = [row for seen in group for row in _rows(seen, parts[seen.point.code], found)]
        if made:
            yield made


def _parts(seen: Seen, statement: Statement) -> list[Range]:
    zone = seen.point.tz
    return visible(seen, Range(resolve(statement.month, zone), resolve(statement.following, zone)))


async def _lines(
    pages: Pages, parts: Mapping[str, Sequence[Range]], statement: Statement
) -> dict[tuple[str, Range], list[Line]]:
    """The lines of each point and part: those of the same clock and contract are looked up together."""
    codes: dict[Range, list[str]] = {}
    for code, of_point in parts.items():
        for part in of_point:
            codes.setdefault(part, []).append(code)
    found: dict[tuple[str, Range], list[Line]] = {}
    for part, asked in codes.items():
        async with pages() as conn:
            of_part = await stretches_of(conn, asked, statement.channels or None, [part.since, part.until])
        found |= {
            (code, part): lines(of_code, part.since, part.until, statement.policy) for code, of_code in of_part.items()
        }
    return found


def _rows(seen: Seen, parts: Sequence[Range], found: Mapping[tuple[str, Range], list[Line]]) -> list[Row]:
    made = [Row(seen.point, line) for part in parts for line in found[seen.point.code, part]]
    return made or ([Row(seen.point, None)] if parts else [])


def cells(number: int, row: Row, statement: Statement) -> list[Cell]:
    """One row in the columns of the table; what is missing says so instead of a number."""
    language, line = statement.language, row.line
    place = ", ".join(dict.fromkeys(part for part in (row.point.name, row.point.address) if part))
    head: list[Cell] = [number, row.point.code, place]
    if line is None:
        return [*head, words.NO_METER.plain(language), *[None] * 5, words.NO_AMOUNT.plain(language), *[None] * 3]
    both = line.previous is not None and line.current is not None
    return [
        *head,
        line.meter,
        words.register_name(line.channel, language),
        _shown(line.previous, line, language),
        _shown(line.current, line, language),
        line.difference if both or line.summed else None,
        line.ratio,
        words.NO_AMOUNT.plain(language) if line.consumption is None else line.consumption,
        _unit(line.channel, language),
        None if line.current is None else _taken(line.current.source).plain(language),
        "; ".join(_notes(row.point, line, statement)),
    ]


def _shown(shown: Shown | None, line: Line, language: Language) -> Cell:
    if shown is not None:
        return shown.value
    return (words.SUMMED if line.summed else words.NO_READING).plain(language)


def _notes(point: MeteringPoint, line: Line, statement: Statement) -> Iterator[str]:
    language, zone = statement.language, point.tz
    begin, end = resolve(statement.month, zone), resolve(statement.following, zone)
    if line.begin > begin:
        yield words.SINCE.say(language, {"at": _at(line.begin, point)})
    if line.end < end:
        yield words.UNTIL.say(language, {"at": _at(line.end, point)})
    if line.quality is Quality.SUSPECT:
        yield QUALITIES[line.quality.label].plain(language)
    for reason in _reasons(line):
        yield AMOUNT_REASONS[reason].plain(language) if reason in AMOUNT_REASONS else reason
    if line.consumption is not None and line.completeness < 1:
        yield words.PARTLY.say(language, {"share": plain((line.completeness * 100).normalize())})
    for what, shown, at in ((words.PREVIOUS, line.previous, line.begin), (words.CURRENT, line.current, line.end)):
        if shown is not None and shown.taken_at != at and not shown.interpolated:
            yield words.TAKEN.say(language, {"what": what.plain(language), "at": _at(shown.taken_at, point)})


def _reasons(line: Line) -> list[str]:
    """The engine's reasons; a gap that leaves nothing is not part of the time but all of it."""
    empty = line.consumption is None
    return list(dict.fromkeys("no_readings" if empty and reason == "gap" else reason for reason in line.reasons))


def _taken(source: Source | None) -> Text:
    return words.BY_PROFILE if source is None else SOURCES[source.label]


def _at(at: datetime, point: MeteringPoint) -> str:
    return f"{at.astimezone(UTC).astimezone(point.tz):%d.%m.%Y %H:%M}"


def _unit(channel: str, language: Language) -> str:
    return UNITS[unit_of(channel)].plain(language)
