"""The load profile of the three-phase Меркурий family: a ring of records, each believed only by its own time.

A meter without power records nothing, so the place of a record says nothing of its time; the ring holds records of an
earlier lap and of intervals that were cut short, which are no readings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from collectors.archive import Recall
from collectors.iec_data import NotThere
from collectors.link import Answer
from collectors.mercury_numbers import bcd
from collectors.mercury_talk import Mercury230Talk
from collectors.serial_model import LoadProfile
from collectors.serial_talk import Known, trusted_clock
from ingest.delivery import Reject
from ingest.errors import Malformed
from ingest.model import IntervalReading

_STEP = 16
"""Bytes of memory a record takes."""
_SIZE = 15
_NEWEST = b"\x08\x13"
_INCOMPLETE = 0x02
_NOT_METERED = 0xFFFF
_MOST = 96
"""Records read for one question at most."""


@dataclass(frozen=True, slots=True)
class Slice:
    """One record: the wall time of its end (naive), its length, its counts in the order A+ A− R+ R−."""

    end: datetime
    minutes: int
    whole: bool
    counts: tuple[int | None, ...]
    raw: bytes


def slice_of(data: bytes) -> Slice | None:
    """A record of 15 bytes; None where nothing was ever recorded. Malformed when its time is no time."""
    if data in (b"\xff" * _SIZE, bytes(_SIZE)):
        return None
    try:
        hour, minute, day, month, year = (bcd(data[at : at + 1]) for at in range(1, 6))
        end = datetime(2000 + year, month, day, hour % 24, minute) + timedelta(days=hour // 24)  # noqa: DTZ001
    except ValueError as error:
        raise Malformed(f"profile record {data.hex(' ')} has no time: {error}") from error
    counts = [int.from_bytes(data[at : at + 2], "little") for at in range(7, _SIZE, 2)]
    known = tuple(None if count == _NOT_METERED else count for count in counts)
    return Slice(end, data[6], not data[0] & _INCOMPLETE, known, data)


def wrong_with(one: Slice, minutes: int, newer: datetime | None) -> str | None:
    """Why a record is no reading; None when it is one. `newer` is the end of the record after it in the ring."""
    if not one.whole:
        return "the interval was cut short"
    if one.minutes != minutes or (one.end.hour * 60 + one.end.minute) % minutes:
        return f"its interval is {one.minutes} minutes to {one.end:%H:%M}; {minutes} are expected"
    if newer is not None and one.end >= newer:
        return f"it ends {one.end:%d.%m.%Y %H:%M}, not before the one after it: a record of an earlier lap"
    return None


def straightened(newest_first: Sequence[Slice]) -> list[Slice]:
    """Some firmware dates the record of 24:00 with the day that ends then: told by its neighbours on both sides."""
    fixed = list(newest_first)
    for at in range(1, len(fixed) - 1):
        newer, one, older = fixed[at - 1], fixed[at], fixed[at + 1]
        length, next_day = timedelta(minutes=one.minutes), one.end + timedelta(days=1)
        if newer.end - length == next_day == older.end + length:
            fixed[at] = replace(one, end=next_day)
    return fixed


async def intervals(talk: Mercury230Talk, known: Known, recall: Recall, now: datetime) -> Answer:
    """The intervals of [begin, end) that the ring still holds whole, and rejects for those that are no readings.

    NotThere when it holds nothing at all of that time.
    """
    profile = known.model.profile
    assert profile is not None
    zone = known.options.zone
    shown, drift = await trusted_clock(talk, known, now)
    ring = await _Ring.of(talk, profile)
    until = min(recall.end.astimezone(zone).replace(tzinfo=None), shown)
    begin = recall.begin.astimezone(zone).replace(tzinfo=None)
    found = await ring.between(begin, until)
    if not found:
        raise NotThere(f"the profile from {begin:%d.%m.%Y %H:%M}", "not kept")
    constant = await talk.constant()
    readings: list[IntervalReading] = []
    rejects: list[Reject] = []
    newer: datetime | None = None
    for one in straightened(found):
        why = wrong_with(one, profile.minutes, newer)
        newer = one.end if newer is None else min(newer, one.end)
        if why:
            rejects.append(Reject("profile_record", why, one.raw, known.meter.serial))
            continue
        length = timedelta(minutes=one.minutes)
        start = one.end.replace(tzinfo=zone).astimezone(UTC) - length
        for channel, energy in energies(one, profile.channels, constant):
            readings.append(IntervalReading(known.meter.serial, channel, start, length, energy))
    return Answer({}, intervals=tuple(readings[::-1]), rejects=tuple(rejects), drift=drift)


def energies(one: Slice, channels: Sequence[str], constant: int) -> list[tuple[str, Decimal]]:
    """Energy by channel: half-impulses of the meter's constant; what is not metered is left out."""
    pairs = zip(channels, one.counts, strict=False)
    return [(channel, Decimal(count) / (2 * constant)) for channel, count in pairs if count is not None]


class _Ring:
    """The ring as seen from its newest record: 0 is the newest, 1 the one before."""

    def __init__(self, talk: Mercury230Talk, profile: LoadProfile, newest: int, end: datetime) -> None:
        self._talk = talk
        self._profile = profile
        self._newest = newest
        self._end = end
        self._length = timedelta(minutes=profile.minutes)
        self._read: dict[int, Slice | None] = {}

    @classmethod
    async def of(cls, talk: Mercury230Talk, profile: LoadProfile) -> _Ring:
        """Ask where the newest record is."""
        data = await talk.command(_NEWEST, 9)
        newest = slice_of(data[2:9] + bytes(8))
        if newest is None:
            raise NotThere("the profile", "nothing was recorded yet")
        return cls(talk, profile, int.from_bytes(data[:2], "big") // _STEP, newest.end)

    async def between(self, begin: datetime, until: datetime) -> list[Slice]:
        """Records that end in (begin, until], newest first; records without a time are stepped over."""
        back = await self._first_not_after(until)
        found: list[Slice] = []
        while back < self._profile.records and len(found) < _MOST:
            one = await self._at(back)
            if one is None or one.end <= begin:
                break
            if one.end <= until:
                found.append(one)
            back += 1
        return found

    async def _first_not_after(self, until: datetime) -> int:
        """How far back the newest record lies that does not end after this instant.

        Between it and the newest one there are at most as many records as intervals, fewer if the meter was off.
        """
        low, high = 0, self._guess(until)
        middle = high - 1
        while low < high:
            one = await self._at(middle)
            if one is None or one.end <= until:
                high = middle
            else:
                low = middle + 1
            middle = (low + high) // 2
        return low

    def _guess(self, until: datetime) -> int:
        distance = -((until - self._end) // self._length)
        return min(max(distance, 0), self._profile.records - 1)

    async def _at(self, back: int) -> Slice | None:
        if back not in self._read:
            place = (self._newest - back) % self._profile.records * _STEP
            data = await self._talk.command(b"\x06\x03" + place.to_bytes(2, "big") + bytes((_SIZE,)), _SIZE)
            self._read[back] = slice_of(data)
        return self._read[back]
