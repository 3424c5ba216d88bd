"""The readings of one poll as one object: a meter, an instant, its channels and their values in millionths.

Nearly all readings come so, tens of thousands a second; each of them is made only for whoever looks at it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import overload

from ingest.channel import LARGEST_MICRO, from_micro, is_counter
from ingest.model import Reading, Source, check_aware


class Taken(Sequence[Reading]):
    """Automatic readings of one meter that share `taken_at`; `micros` stand in the order of `channels`."""

    __slots__ = ("channels", "meter", "micros", "taken_at")
    source = Source.AUTOMATIC

    def __init__(self, meter: str, taken_at: datetime, channels: tuple[str, ...], micros: Sequence[int]) -> None:
        """ValueError names what is no value, as `Reading` does."""
        if len(channels) != len(micros):
            raise ValueError(f"{len(micros)} values for {len(channels)} channels of meter {meter}")
        if taken_at.tzinfo is None:
            check_aware("taken_at", taken_at)
        if micros and not (min(micros) >= 0 and max(micros) <= LARGEST_MICRO):
            _check(channels, micros)
        self.meter = meter
        self.taken_at = taken_at
        self.channels = channels
        self.micros = micros

    def __len__(self) -> int:
        return len(self.channels)

    def __iter__(self) -> Iterator[Reading]:
        for channel, micro in zip(self.channels, self.micros, strict=True):
            yield Reading(self.meter, channel, self.taken_at, from_micro(micro))

    @overload
    def __getitem__(self, place: int) -> Reading: ...

    @overload
    def __getitem__(self, place: slice) -> Sequence[Reading]: ...

    def __getitem__(self, place: int | slice) -> Reading | Sequence[Reading]:
        if isinstance(place, slice):
            return list(self)[place]
        return Reading(self.meter, self.channels[place], self.taken_at, from_micro(self.micros[place]))

    def __repr__(self) -> str:
        return repr(list(self))


_new = object.__new__


def sound(meter: str, taken_at: datetime, channels: tuple[str, ...], micros: Sequence[int]) -> Taken:
    """The same without a look at the values, for whoever has made sure of them; `taken_at` is aware."""
    taken = _new(Taken)
    taken.meter = meter
    taken.taken_at = taken_at
    taken.channels = channels
    taken.micros = micros
    return taken


def _check(channels: Sequence[str], micros: Sequence[int]) -> None:
    """Momentary values may be negative, counters never."""
    for channel, micro in zip(channels, micros, strict=True):
        if not -LARGEST_MICRO <= micro <= LARGEST_MICRO:
            raise ValueError(f"value {from_micro(micro)} of {channel} is too large to be one")
        if micro < 0 and is_counter(channel):
            raise ValueError(f"value {from_micro(micro)} of {channel} is negative; an energy counter never is")
