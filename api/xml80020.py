"""A day of half-hours as 80020 XML, the exchange format of Russian commercial metering. Pure.

Facts of the format, checked on real files (github.com/filimonof/maket80020, src/tmp): windows-1251; `message` with
class 80020, version 2 and number; `datetime` with timestamp, daylightsavingtime and day; `sender` and `area` with inn
and name; `measuringpoint` with code and name; `measuringchannel` 01 A+, 02 A-, 03 R+, 04 R-; `period` with start and
end HHMM, the last one ending 0000; `value` with status 0 for commercial and 1 for other values, which is empty where
nothing is known. daylightsavingtime is 0 in winter, 1 in summer, 2 on the day the clocks change (src/uUtils.pas there);
on such a day `value` has `summer`, which is 1 unless said otherwise. Energies are whole kWh and kvarh.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import NamedTuple
from xml.sax.saxutils import escape, quoteattr
from zoneinfo import ZoneInfo

from ingest.calendar_cuts import Step, cuts, shifted

ENCODING = "windows-1251"
CHANNELS = {"01": "1.8.0", "02": "2.8.0", "03": "3.8.0", "04": "4.8.0"}
DESCRIPTIONS = {"01": "активный приём", "02": "активная отдача", "03": "реактивный приём", "04": "реактивная отдача"}
_FIRST_DAY = date(1970, 1, 1)
_ONE = Decimal(1)


@dataclass(frozen=True, slots=True)
class Party:
    """A sender, or the owner of an area: its taxpayer number (ИНН) and name."""

    inn: str
    name: str


@dataclass(frozen=True, slots=True)
class Message:
    """Whose day it is, on whose clock, and which message says so. `area` is whose points these are."""

    day: date
    zone: ZoneInfo
    sender: Party
    area: Party
    number: int
    made_at: datetime

    @property
    def filename(self) -> str:
        return f"80020_{self.sender.inn}_{self.day:%Y%m%d}_{self.number}.xml"


class Value(NamedTuple):
    """Energy of one half-hour in kWh or kvarh, the ratio applied; None where nothing is known.

    `settled`: measured whole and beyond doubt, so it may be paid for.
    """

    energy: Decimal | None
    settled: bool


@dataclass(frozen=True, slots=True)
class Profile:
    """A day of one channel. `carried` is the energy of the month before this day; only its fraction matters."""

    code: str
    carried: Decimal
    values: Sequence[Value]


@dataclass(frozen=True, slots=True)
class Point:
    """A measuring point and its channels."""

    code: str
    name: str
    profiles: Sequence[Profile]


def usual_number(day: date) -> int:
    """The number of a day's message where nobody gives another: one more every day, the same for the same day."""
    return (day - _FIRST_DAY).days + 1


def half_hours(day: date, zone: ZoneInfo) -> list[datetime]:
    """The cuts of a day, UTC: 49 on most days, 47 or 51 where the clock changes."""
    noon = datetime(day.year, day.month, day.day, 12, tzinfo=zone)
    return cuts(shifted(noon, Step.DAY, 0, zone), shifted(noon, Step.DAY, 1, zone), Step.HALF_HOUR, zone)


def whole(profile: Profile) -> list[int | None]:
    """The values as whole numbers: what rounding leaves is carried on, from half-hour to half-hour and day to day.

    Each number is the difference of two rounded sums since the beginning of the month, so that the numbers of a month
    add up to its energy, rounded once.
    """
    total = profile.carried % _ONE
    told = int(total.quantize(_ONE, ROUND_HALF_UP))
    numbers: list[int | None] = []
    for value in profile.values:
        if value.energy is None:
            numbers.append(None)
            continue
        total += value.energy
        rounded = int(total.quantize(_ONE, ROUND_HALF_UP))
        numbers.append(rounded - told)
        told = rounded
    return numbers


def opening(message: Message) -> str:
    """Everything before the first measuring point."""
    made = message.made_at.astimezone(message.zone)
    return (
        f'<?xml version="1.0" encoding="{ENCODING}"?>\n'
        f'<message class="80020" version="2" number="{message.number}">\n'
        f"<datetime><timestamp>{made:%Y%m%d%H%M%S}</timestamp>"
        f"<daylightsavingtime>{_daylight(message)}</daylightsavingtime><day>{message.day:%Y%m%d}</day></datetime>\n"
        f"<sender>{_party(message.sender)}</sender>\n<area>{_party(message.area)}\n"
    )


def point_xml(message: Message, point: Point) -> str:
    """One measuring point with its channels."""
    pieces = [f"<measuringpoint code={quoteattr(point.code)} name={quoteattr(point.name)}>\n"]
    for profile in point.profiles:
        description = quoteattr(DESCRIPTIONS[profile.code])
        pieces.append(f'<measuringchannel code="{profile.code}" desc={description}>\n')
        pieces.extend(_periods(message, profile))
        pieces.append("</measuringchannel>\n")
    return "".join([*pieces, "</measuringpoint>\n"])


CLOSING = "</area>\n</message>\n"


def encoded(text: str) -> bytes:
    """As the declaration says; letters that windows-1251 has not are character references."""
    return text.encode(ENCODING, "xmlcharrefreplace")


def _periods(message: Message, profile: Profile) -> Iterator[str]:
    edges = half_hours(message.day, message.zone)
    changing = _daylight(message) == 2
    for number, value, begin, end in zip(whole(profile), profile.values, edges, edges[1:], strict=False):
        local = begin.astimezone(message.zone)
        summer = f' summer="{int(bool(local.dst()))}"' if changing else ""
        yield (
            f'<period start="{local:%H%M}" end="{end.astimezone(message.zone):%H%M}">'
            f'<value status="{0 if value.settled else 1}"{summer}>{"" if number is None else number}</value></period>\n'
        )


def _daylight(message: Message) -> int:
    first, *_, last = half_hours(message.day, message.zone)
    offsets = {at.astimezone(message.zone).utcoffset() for at in (first, last)}
    if len(offsets) > 1:
        return 2
    return int(first.astimezone(message.zone).dst() not in (None, timedelta()))


def _party(party: Party) -> str:
    return f"<inn>{escape(party.inn)}</inn><name>{escape(party.name)}</name>"
