"""The readings of one message as columns: whose, when and how much, in microseconds and millionths.

Hundreds of thousands a second come so; a `Reading` of each is made only for whoever looks at it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import overload

from ingest.channel import LARGEST_MICRO, MICRO, from_micro, is_counter
from ingest.instants import instant
from ingest.model import Reading

Key = tuple[str, str]
"""(meter serial, channel)"""

LARGEST = LARGEST_MICRO // MICRO * MICRO
"""Millionths of the largest value a `Reading` may have."""


class Columns(Sequence[Reading]):
    """Automatic readings of any meters: `keys`, instants `ats` (µs since 1970) and `micros` stand in one order."""

    __slots__ = ("ats", "keys", "micros")

    def __init__(self, keys: Sequence[Key], ats: Sequence[int], micros: Sequence[int]) -> None:
        """ValueError names what is no value, as `Reading` does."""
        if not len(keys) == len(ats) == len(micros):
            raise ValueError(f"{len(keys)} names, {len(ats)} instants and {len(micros)} values are no readings")
        if micros and not (min(micros) >= 0 and max(micros) <= LARGEST):
            _check(keys, micros)
        self.keys = keys
        self.ats = ats
        self.micros = micros

    def __len__(self) -> int:
        return len(self.keys)

    def __iter__(self) -> Iterator[Reading]:
        for (meter, channel), at, micro in zip(self.keys, self.ats, self.micros, strict=True):
            yield Reading(meter, channel, instant(at), from_micro(micro))

    @overload
    def __getitem__(self, place: int) -> Reading: ...

    @overload
    def __getitem__(self, place: slice) -> Sequence[Reading]: ...

    def __getitem__(self, place: int | slice) -> Reading | Sequence[Reading]:
        if isinstance(place, slice):
            return Columns(self.keys[place], self.ats[place], self.micros[place])
        meter, channel = self.keys[place]
        return Reading(meter, channel, instant(self.ats[place]), from_micro(self.micros[place]))

    def __eq__(self, other: object) -> bool:
        """Equal to any sequence of the same readings."""
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return repr(list(self))


def _check(keys: Sequence[Key], micros: Sequence[int]) -> None:
    """Momentary values may be negative, counters never."""
    for (_, channel), micro in zip(keys, micros, strict=True):
        if not -LARGEST <= micro <= LARGEST:
            raise ValueError(f"value {from_micro(micro)} of {channel} is too large to be one")
        if micro < 0 and is_counter(channel):
            raise ValueError(f"value {from_micro(micro)} of {channel} is negative; an energy counter never is")
