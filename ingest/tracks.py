"""The fast way through the door, for what nearly always comes: the next good reading of a series.

A `Track` remembers the end of one machine-given series. A reading that is later than that end, moves the register by a
possible step and stands in a calm neighbourhood is good whatever else is stored, so nothing has to be looked up. All
other readings take the thorough way. Whether the memory is still true is checked when it is written: another writer
leaves another version behind, and the whole batch is then judged again thoroughly.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from ingest.channel import MICRO, is_counter
from ingest.delivery import Delivery
from ingest.instants import EPOCH, micros, span
from ingest.judge import DRIFT_TOLERANCE, FUTURE_TOLERANCE, HOUR, limits_of
from ingest.model import Reading, Source
from ingest.pile import Pile
from ingest.store import Appended, BatchWork, Card, End
from ingest.taken import Taken

MOST = 250_000
"""Tracks remembered at most, with their names about 400 bytes each."""

MACHINES = (Source.AUTOMATIC, Source.IMPORT)
Key = tuple[str, str]
"""(meter serial, channel)"""

_UNBOUNDED = 2**80
"""No limit known: more than any value, rate or instant."""
_MICROSECOND_DAY = 86_400_000_000
_MILLION = Decimal(MICRO)
_UNITS = (MICRO, MICRO // 10, MICRO // 100, MICRO // 1000)
"""The display's last digit by its decimals, not finer than a watt hour."""


class Track:
    """The end of one series in memory, and what bounds its next step."""

    __slots__ = (
        "at", "calm", "ceiling", "coarsest", "counter", "family", "gateway", "moved", "rate", "register_id", "since",
        "slack", "source", "value", "version",
    )  # fmt: skip

    def __init__(self, card: Card, source: Source, end: End) -> None:
        register = card.register
        limits = limits_of(register)
        self.register_id = register.id
        self.source = int(source)
        self.gateway = card.gateway
        self.family = card.family
        self.coarsest = card.coarsest
        self.counter = is_counter(register.channel)
        self.rate = limits.max_rate if limits.max_rate is not None else _UNBOUNDED
        self.slack = 2 * limits.resolution
        self.ceiling = limits.modulus if self.counter and limits.modulus is not None else _UNBOUNDED
        self.since = -_UNBOUNDED if register.installed_since is None else micros(register.installed_since)
        self.at, self.value, self.calm, self.version = end
        self.moved = False


class Found(NamedTuple):
    """Readings by the way they take: rows to append with the tracks they move, and the places of all others."""

    rows: list[Appended]
    tracks: list[Track]
    others: Sequence[int]


class Tracks:
    """All tracks of a process."""

    def __init__(self) -> None:
        self._tracks: dict[Source, dict[Key, Track]] = {source: {} for source in MACHINES}
        self._lanes: dict[str, dict[tuple[str, ...], tuple[Track, ...]]] = {}
        """By meter, the tracks of all channels that its polls bring together."""
        self._fleet = -1

    async def prepare(self, work: BatchWork, deliveries: Iterable[Delivery]) -> None:
        """Know the series of these deliveries as far as they are stored."""
        version = await work.fleet_version()
        if version != self._fleet or sum(map(len, self._tracks.values())) > MOST:
            for of_source in self._tracks.values():
                of_source.clear()
            self._lanes.clear()
            self._fleet = version
        wanted = {
            (reading.meter, reading.channel, reading.source)
            for delivery in deliveries
            if self._lanes_of(delivery.readings) is None
            for reading in delivery.readings
            if (known := self._tracks.get(reading.source)) is not None and (reading.meter, reading.channel) not in known
        }
        if not wanted:
            return
        cards = await work.cards({(meter, channel) for meter, channel, _ in wanted})
        found = [(key, card) for key in wanted if (card := cards.get((key[0], key[1]))) is not None]
        ends = await work.ends([(card.register.id, source) for (_, _, source), card in found])
        for (meter, channel, source), card in found:
            end = ends.get((card.register.id, source))
            if end is not None:
                self._tracks[source][meter, channel] = Track(card, source, end)

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

    def append(self, pile: Pile, received_at: datetime) -> Found:
        """Sort readings into those that simply follow and all others, and move the tracks.

        When one reading of a series needs a thorough look, so does the rest of that series in this batch.
        """
        tracks, none = self._tracks, dict[Key, Track]()
        epoch, day, million, tolerance = EPOCH, _MICROSECOND_DAY, _MILLION, DRIFT_TOLERANCE
        latest = micros(received_at) + span(FUTURE_TOLERANCE)
        rows: list[Appended] = []
        moved: list[Track] = []
        places: list[int] = []
        others: list[int] = []
        spoiled: set[Track] = set()
        for first, delivery in zip(pile.starts, pile.deliveries, strict=True):
            readings, gateway = delivery.readings, delivery.gateway
            lanes = self._lanes_of(readings)
            if lanes is not None and type(readings) is Taken and gateway is None:
                at = micros(readings.taken_at)
                if at <= latest and _all_follow(lanes, readings.micros, at):
                    _move_all(lanes, readings.micros, at, rows, moved)
                    places.extend(range(first, first + len(lanes)))
                    continue
            for place, reading in enumerate(readings, first):
                track = tracks.get(reading.source, none).get((reading.meter, reading.channel))
                if track is None or not track.calm:
                    others.append(place)
                    continue
                taken_at = reading.taken_at
                passed = taken_at - epoch
                at = passed.days * day + passed.seconds * 1_000_000 + passed.microseconds
                value = int((reading.value * million).to_integral_value())
                step, elapsed = value - track.value, at - track.at
                # In one expression and without calls: this is run for every reading there is.
                if (
                    elapsed > 0
                    and track.since <= at <= latest
                    and (not track.counter or (step >= 0 and (step - track.slack) * HOUR <= track.rate * elapsed))
                    and value < track.ceiling
                    and (gateway is None or gateway == track.gateway)
                    and (reading.captured_at is None or abs(reading.captured_at - taken_at) <= tolerance)
                    and reading.author is None
                    and reading.note is None
                ):
                    track.at, track.value = at, value
                    rows.append((track.register_id, track.source, at, value))
                    places.append(place)
                    if not track.moved:
                        track.moved = True
                        moved.append(track)
                else:
                    others.append(place)
                    spoiled.add(track)
        for track in moved:
            track.moved = False
        if any(track.family is not None for track in moved):
            spoiled |= _wrong_families(moved, rows)
        if spoiled:
            rows, moved, others = self._set_aside(spoiled, rows, moved, places, others, pile)
        return Found(rows, moved, others)

    def _set_aside(
        self,
        spoiled: Collection[Track],
        rows: list[Appended],
        moved: list[Track],
        places: list[int],
        others: list[int],
        readings: Pile,
    ) -> tuple[list[Appended], list[Track], list[int]]:
        """Take the readings of spoiled series back out, and forget where their tracks went."""
        series = {(track.register_id, track.source) for track in spoiled}
        kept = [(row, place) for row, place in zip(rows, places, strict=True) if row[:2] not in series]
        out = {place for row, place in zip(rows, places, strict=True) if row[:2] in series}
        self.forget(readings[place] for place in [*out, *others])
        return [row for row, _ in kept], [t for t in moved if t not in spoiled], sorted([*others, *out])


def _all_follow(lanes: Iterable[Track], values: Iterable[int], at: int) -> bool:
    """Whether all readings of a poll simply follow their series."""
    for track, value in zip(lanes, values, strict=True):
        elapsed, step = at - track.at, value - track.value
        # As in `append`, of which this is the part that concerns polls.
        if not (
            elapsed > 0
            and track.calm
            and track.since <= at
            and (not track.counter or (step >= 0 and (step - track.slack) * HOUR <= track.rate * elapsed))
            and value < track.ceiling
        ):
            return False
    return True


def _move_all(lanes: Iterable[Track], values: Iterable[int], at: int, rows: list[Appended], moved: list[Track]) -> None:
    """Move the tracks of a poll."""
    for track, value in zip(lanes, values, strict=True):
        track.at, track.value = at, value
        rows.append((track.register_id, track.source, at, value))
        if not track.moved:
            track.moved = True
            moved.append(track)


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
