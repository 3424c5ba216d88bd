"""What the door asks of storage: one transaction for one batch. SQL lives behind this protocol, meaning before it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import NamedTuple, Protocol

from ingest.delivery import Contact, Reject
from ingest.model import IntervalReading, Reading, Register, Source
from ingest.settle import Row, Settlement


class Card(NamedTuple):
    """A register as the door needs it: its limits' source, who may deliver for it, and its total and zones.

    `family` lists (total register, zone registers) when the meter has both for this quantity, else None; `coarsest` is
    the fewest decimals any of them shows.
    """

    register: Register
    gateway: str | None
    family: tuple[int, tuple[int, ...]] | None
    coarsest: int = 3


class Span(NamedTuple):
    """Where fresh readings fall: one register, the sources judged together, the first and the last instant (µs)."""

    register_id: int
    sources: tuple[Source, ...]
    first: int
    last: int


Appended = tuple[int, int, int, int]
"""A good reading later than all others of its series: (register, source, instant in µs, value in millionths).

Plain tuples here and for moved ends: millions an hour are made of them.
"""

MovedEnd = tuple[int, int, int, int, int]
"""The new end of a series and the version it was read at: (register, source, instant, value, version)."""


class End(NamedTuple):
    """The end of a machine-given series as stored.

    `calm` means that no step near the end is troubled and no person has typed in a reading of this register; `version`
    changes with every writer.
    """

    at: int
    value: int
    calm: bool
    version: int


class Stale(Exception):
    """A series or the fleet changed since it was looked at: leave the transaction and look again."""


class Change(NamedTuple):
    """One series' settlement, with the readings behind its fresh rows (for author and note) by their place."""

    register_id: int
    settlement: Settlement
    readings: Mapping[tuple[Source, int], Reading]


class BatchWork(Protocol):
    """One open transaction. It commits when its context is left without an error."""

    async def fleet_version(self) -> int:
        """A number that changes with every change of meters, registers and installations."""

    async def cards(self, keys: Collection[tuple[str, str]]) -> Mapping[tuple[str, str], Card]:
        """Registers by (meter serial, channel); unknown ones are absent."""

    async def meters(self, serials: Collection[str]) -> Collection[str]:
        """Those of the serial numbers that are known."""

    async def ends(self, series: Sequence[tuple[int, Source]]) -> Mapping[tuple[int, Source], End]:
        """The ends of machine-given series; series without readings are absent."""

    async def append(
        self, rows: Sequence[Appended], ends: Sequence[MovedEnd], fleet: int, received_at: datetime
    ) -> None:
        """Insert rows known to follow their series, whose new ends are given with the versions they were read at.

        Raises Stale when one of them was moved by another writer, one of the rows is there already, or the fleet's
        version is not the one they were sorted by.
        """

    async def renew_ends(self, register_ids: Collection[int]) -> None:
        """Find the ends of these registers' series anew, after rows were inserted or judged again thoroughly."""

    async def lock(self, register_ids: Sequence[int], moved: Sequence[int] = ()) -> Collection[int]:
        """Hold the registers and their ends, and the ends of `moved` registers, against other writers until the commit.

        Gives those registers that have readings typed in by people.
        """

    async def surroundings(self, spans: Sequence[Span], reach: int) -> Mapping[Span, list[Row]]:
        """Stored readings of each span and `reach` more on either side, sorted by time and source."""

    async def machines_around(
        self, asks: Sequence[tuple[int, Source, int]]
    ) -> Mapping[tuple[int, Source, int], tuple[tuple[int, int] | None, tuple[int, int] | None]]:
        """For (register, source, instant): the nearest good readings (instant, value) at or before, and after it.

        One with no other reason than ZONE_SUM counts as good.
        """

    async def at_instants(self, keys: Collection[tuple[int, Source, int]]) -> Mapping[tuple[int, Source, int], Row]:
        """Stored readings by (register, source, instant)."""

    async def write(self, changes: Sequence[Change], received_at: datetime) -> None:
        """Insert, supersede and judge again, and keep discontinuities and authors."""

    async def write_intervals(self, rows: Sequence[tuple[int, IntervalReading]], received_at: datetime) -> None:
        """Insert interval readings; a repeated key changes nothing."""

    async def quarantine(self, refused: Sequence[tuple[str, Reject]]) -> None:
        """Keep what could not become a reading, with its origin; the same refusal seen again is counted."""

    async def contacts(self, contacts: Sequence[Contact]) -> None:
        """Note the latest attempt to reach each meter."""

    async def zone_mismatch(self, register_ids: Collection[int], at: datetime) -> None:
        """Raise the event that a meter's zones do not sum to its total, at most once a meter and day."""


class ReadingStore(Protocol):
    """Where readings are kept."""

    def batch(self) -> AbstractAsyncContextManager[BatchWork]:
        """Open one transaction."""
