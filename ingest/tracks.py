"""The fast way through the door, for what nearly always comes: the next good reading of a series.

A `Track` remembers the end of one machine-given series. A reading that is later than that end, moves the register by a
possible step and stands in a calm neighbourhood is good whatever else is stored, so nothing has to be looked up. All
other readings take the thorough way. Whether the memory is still true is checked when it is written: another writer
leaves another version behind. The whole batch is then looked up again, and judged thoroughly if that happens twice.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from ingest.channel import MICRO
from ingest.columns import Columns
from ingest.delivery import Delivery
from ingest.following import Sorting, Track
from ingest.instants import EPOCH, micros, span
from ingest.judge import DRIFT_TOLERANCE, FUTURE_TOLERANCE
from ingest.model import Reading, Source
from ingest.pile import Pile
from ingest.store import Appended, BatchWork, MovedEnd
from ingest.taken import Taken

MOST = 250_000
"""Tracks remembered at most, with their names about 400 bytes each."""

MACHINES = (Source.AUTOMATIC, Source.IMPORT)
Key = tuple[str, str]
"""(meter serial, channel)"""

_MICROSECOND_DAY = 86_400_000_000
_MILLION = Decimal(MICRO)
_UNITS = (MICRO, MICRO // 10, MICRO // 100, MICRO // 1000)
"""The display's last digit by its decimals, not finer than a watt hour."""


class Found(NamedTuple):
    """Readings by the way they take: rows to append with the ends they move, and the places of all others."""

    rows: list[Appended]
    ends: list[MovedEnd]
    others: Sequence[int]


NOTHING_FOUND = Found([], [], ())


class Ahead(NamedTuple):
    """A batch that was sorted while the one before it was still being written, by a memory of this `generation`."""

    found: Found
    generation: int


class Tracks:
    """All tracks of a process."""

    def __init__(self) -> None:
        self._tracks: dict[Source, dict[Key, Track]] = {source: {} for source in MACHINES}
        self._lanes: dict[str, dict[tuple[str, ...], tuple[Track, ...]]] = {}
        """By meter, the tracks of all channels that its polls bring together."""
        self.fleet = -1
        """The version of the fleet that is remembered."""
        self._generation = 0
        """Another one when what was remembered turned out not to be so: whatever was sorted by it is sorted again."""

    async def sort(
        self, work: BatchWork, deliveries: Sequence[Delivery], received_at: datetime, ahead: Ahead | None = None
    ) -> Found:
        """Know the series of these deliveries as far as they are stored, and sort their readings by them.

        What was sorted `ahead` is taken if it still holds; whether the fleet is still the same is seen by its append.
        """
        if ahead is not None:
            if ahead.generation == self._generation and ahead.found.rows:
                return ahead.found
            self._forget_all(deliveries)
        await self._look_at_fleet(work)
        await self._prepare(work, self._unknown(deliveries))
        return self._append(Pile(deliveries), received_at)

    def sort_ahead(self, deliveries: Sequence[Delivery], received_at: datetime) -> Ahead | None:
        """Sort them by what is remembered, with nothing looked up; None when some of the series are unknown."""
        if self._unknown(deliveries):
            return None
        return Ahead(self._append(Pile(deliveries), received_at), self._generation)

    def distrust(self, deliveries: Iterable[Delivery]) -> None:
        """These were not committed: they moved no series, and what was sorted behind them is sorted again."""
        self._forget_all(deliveries)
        self._generation += 1

    async def _look_at_fleet(self, work: BatchWork) -> None:
        version = await work.fleet_version()
        if version != self.fleet or sum(map(len, self._tracks.values())) > MOST:
            for of_source in self._tracks.values():
                of_source.clear()
            self._lanes.clear()
            self.fleet = version
            self._generation += 1

    def _unknown(self, deliveries: Iterable[Delivery]) -> set[tuple[str, str, Source]]:
        """Machines' series that are not remembered: (meter, channel, source)."""
        automatic = self._tracks[Source.AUTOMATIC]
        wanted: set[tuple[str, str, Source]] = set()
        for delivery in deliveries:
            readings = delivery.readings
            if type(readings) is Columns:
                wanted.update((*key, Source.AUTOMATIC) for key in readings.keys if key not in automatic)
            elif self._lanes_of(readings) is None:
                wanted.update(
                    (reading.meter, reading.channel, reading.source)
                    for reading in readings
                    if (known := self._tracks.get(reading.source)) is not None
                    and (reading.meter, reading.channel) not in known
                )
        return wanted

    async def _prepare(self, work: BatchWork, wanted: Collection[tuple[str, str, Source]]) -> None:
        """Look up what is wanted."""
        if not wanted:
            return
        cards = await work.cards({(meter, channel) for meter, channel, _ in wanted})
        found = [(key, card) for key in wanted if (card := cards.get((key[0], key[1]))) is not None]
        ends = await work.ends([(card.register.id, source) for (_, _, source), card in found])
        for (meter, channel, source), card in found:
            end = ends.get((card.register.id, source))
            if end is not None:
                self._tracks[source][meter, channel] = Track(card, source, end)

    def _forget_all(self, deliveries: Iterable[Delivery]) -> None:
        for delivery in deliveries:
            self.forget(delivery.readings)

    def forget(self, readings: Iterable[Reading]) -> None:
        """Look these series up again before they are trusted."""
        for reading in readings:
            if (known := self._tracks.get(reading.source)) is not None:
                known.pop((reading.meter, reading.channel), None)
                self._lanes.pop(reading.meter, None)

    def _lanes_of(self, readings: Sequence[Reading]) -> tuple[Track, ...] | None:
        """The tracks of a poll's channels in their order; None when it is no poll or not all of them are known."""
        if type(readings) is not Taken:
            return None
        of_meter = self._lanes.get(readings.meter)
        if of_meter is not None and (lanes := of_meter.get(readings.channels)) is not None:
            return lanes
        known = self._tracks[Source.AUTOMATIC]
        lanes = tuple(track for channel in readings.channels if (track := known.get((readings.meter, channel))))
        if len(lanes) != len(readings.channels) or len(set(lanes)) != len(lanes):
            return None
        self._lanes.setdefault(readings.meter, {})[readings.channels] = lanes
        return lanes

    def _append(self, pile: Pile, received_at: datetime) -> Found:
        """Sort readings into those that simply follow and all others, and move the tracks.

        When one reading of a series needs a thorough look, so does the rest of that series in this batch.
        """
        latest = micros(received_at) + span(FUTURE_TOLERANCE)
        sorting = Sorting()
        for first, delivery in zip(pile.starts, pile.deliveries, strict=True):
            readings, gateway = delivery.readings, delivery.gateway
            if type(readings) is Columns:
                tracks = map(self._tracks[Source.AUTOMATIC].get, readings.keys)
                sorting.add(first, tracks, readings.ats, readings.micros, gateway, latest)
                continue
            lanes = self._lanes_of(readings)
            if lanes is not None and type(readings) is Taken and gateway is None:
                at = micros(readings.taken_at)
                if at <= latest and sorting.add_poll(first, lanes, readings.micros, at):
                    continue
            sorting.add(first, *self._laid_out(readings, sorting.spoiled), gateway, latest)
        families = False
        for track in sorting.moved:
            track.moved = False
            families = families or track.family is not None
        if families:
            sorting.spoiled |= _wrong_families(sorting.moved, sorting.rows)
        if sorting.spoiled:
            return self._set_aside(sorting, pile)
        return Found(sorting.rows, _moved(sorting.moved), sorting.others)

    def _laid_out(
        self, readings: Iterable[Reading], spoiled: set[Track]
    ) -> tuple[list[Track | None], list[int], list[int]]:
        """Track, instant and value of each reading. One that only a thorough look understands has no track."""
        none = dict[Key, Track]()
        epoch, day, million, tolerance = EPOCH, _MICROSECOND_DAY, _MILLION, DRIFT_TOLERANCE
        tracks: list[Track | None] = []
        ats: list[int] = []
        values: list[int] = []
        for reading in readings:
            track = self._tracks.get(reading.source, none).get((reading.meter, reading.channel))
            taken_at, captured_at = reading.taken_at, reading.captured_at
            if track is not None and (
                (captured_at is not None and abs(captured_at - taken_at) > tolerance)
                or reading.author is not None
                or reading.note is not None
            ):
                spoiled.add(track)
                track = None
            tracks.append(track)
            passed = taken_at - epoch
            ats.append(passed.days * day + passed.seconds * 1_000_000 + passed.microseconds)
            values.append(int((reading.value * million).to_integral_value()))
        return tracks, ats, values

    def _set_aside(self, sorting: Sorting, pile: Pile) -> Found:
        """Take the readings of spoiled series back out, and forget where their tracks went."""
        spoiled = {(track.register_id, track.source) for track in sorting.spoiled}
        kept: list[Appended] = []
        out: list[int] = []
        for row, place in zip(sorting.rows, sorting.places, strict=True):
            if row[:2] in spoiled:
                out.append(place)
            else:
                kept.append(row)
        others = sorted([*sorting.others, *out])
        self.forget(pile[place] for place in others)
        return Found(kept, _moved([track for track in sorting.moved if track not in sorting.spoiled]), others)


def _moved(tracks: Sequence[Track]) -> list[MovedEnd]:
    """The new ends with the versions they were read at; from here on the next version is theirs."""
    ends = [(track.register_id, track.source, track.at, track.value, track.version) for track in tracks]
    for track in tracks:
        track.version += 1
    return ends


def _wrong_families(moved: Iterable[Track], rows: Iterable[Appended]) -> set[Track]:
    """Tracks of meters whose total and zones did not come together, or do not sum up."""
    families = {(track.register_id, track.source): track for track in moved if track.family is not None}
    together: dict[tuple[int, int, int], dict[int, int]] = {}
    for register_id, source, at, value in rows:
        track = families.get((register_id, source))
        if track is not None and track.family is not None:
            together.setdefault((track.family[0], source, at), {})[register_id] = value
    wrong: set[Track] = set()
    for (_, source, _), values in together.items():
        track = families[next(iter(values)), source]
        if track.family is None or not sums_up(track.family, values, track.coarsest):
            wrong |= {families[register_id, source] for register_id in values}
    return wrong


def sums_up(family: tuple[int, tuple[int, ...]], values: Mapping[int, int], coarsest: int) -> bool:
    """Whether a total agrees with its zones as far as displays with `coarsest` decimals show it.

    False when one of them is missing.
    """
    total, zones = family
    if total not in values or any(zone not in values for zone in zones):
        return False
    difference = abs(values[total] - sum(values[zone] for zone in zones))
    return difference <= (len(zones) + 1) * _UNITS[min(coarsest, 3)]
