"""Which readings of a batch simply follow the end of their series, and are good whatever else is stored. Pure.

What is here is run for every reading there is: comparisons stand in one expression, and nothing is called.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ingest.channel import is_counter
from ingest.instants import micros
from ingest.judge import HOUR, limits_of
from ingest.model import Source
from ingest.store import Appended, Card, End

_UNBOUNDED = 2**80
"""No limit known: more than any value, rate or instant."""


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


class Sorting:
    """A batch being sorted: `rows` to append in the order of their `places`, the tracks they `moved`, and all `others`.

    A track is `spoiled` when one of its readings needs a thorough look: then all of them in this batch do.
    """

    __slots__ = ("moved", "others", "places", "rows", "spoiled")

    def __init__(self) -> None:
        self.rows: list[Appended] = []
        self.places: list[int] = []
        self.others: list[int] = []
        self.moved: list[Track] = []
        self.spoiled: set[Track] = set()

    def add(
        self,
        first: int,
        tracks: Iterable[Track | None],
        ats: Sequence[int],
        values: Sequence[int],
        gateway: str | None,
        latest: int,
    ) -> None:
        """Readings from place `first` on, by their tracks (None: unknown); those after `latest` are of the future."""
        rows, places, moved = self.rows, self.places, self.moved
        for place, (track, at, value) in enumerate(zip(tracks, ats, values, strict=True), first):
            if track is None or not track.calm:
                self.others.append(place)
                continue
            step, elapsed = value - track.value, at - track.at
            if (
                elapsed > 0
                and track.since <= at <= latest
                and (not track.counter or (step >= 0 and (step - track.slack) * HOUR <= track.rate * elapsed))
                and value < track.ceiling
                and (gateway is None or gateway == track.gateway)
            ):
                track.at, track.value = at, value
                rows.append((track.register_id, track.source, at, value))
                places.append(place)
                if not track.moved:
                    track.moved = True
                    moved.append(track)
            else:
                self.others.append(place)
                self.spoiled.add(track)

    def add_poll(self, first: int, lanes: Sequence[Track], values: Sequence[int], at: int) -> bool:
        """All readings of a poll, whose tracks are different ones, or none of them; whether they simply follow."""
        for track, value in zip(lanes, values, strict=True):
            # As in `add`, of which this is the part that concerns polls.
            if not (
                at > track.at
                and track.calm
                and at >= track.since
                and value < track.ceiling
                and (
                    not track.counter
                    or (
                        value >= track.value
                        and (value - track.value - track.slack) * HOUR <= track.rate * (at - track.at)
                    )
                )
            ):
                return False
        append, moved = self.rows.append, self.moved
        for track, value in zip(lanes, values, strict=True):
            track.at, track.value = at, value
            append((track.register_id, track.source, at, value))
            if not track.moved:
                track.moved = True
                moved.append(track)
        self.places.extend(range(first, first + len(lanes)))
        return True
