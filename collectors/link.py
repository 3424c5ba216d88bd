"""What the owner of a line needs from a protocol: open, close, read one meter. Modbus and serial meters alike."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple, Protocol, runtime_checkable

from ingest.delivery import Delivery, Outcome, Reject
from ingest.errors import AmrError, Unreachable
from ingest.model import IntervalReading, Polled, Reading


class LineDown(Unreachable):
    """The line itself is gone (no connection, no such port), which says nothing about the meters on it."""

    code = "line_down"


class NotSettable(LineDown):
    """The port is there and cannot be set to this speed, parity or number of bits."""


def not_reached(where: str, error: OSError) -> LineDown:
    """Our error for a connection or a port that could not be opened, in the system's own words."""
    said = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror or str(error)
    return LineDown(f"cannot connect to {where}: {said}")


class Silent(Unreachable):
    """The line stands, the meter on it does not answer."""

    code = "timeout"


@dataclass(slots=True)
class Answer:
    """What one poll of one meter brought.

    `values` are momentary and cumulative values as of now, by channel: the owner stamps all of them with one instant.
    `readings` and `intervals` carry the meter's own times (archives). `rejects` are pieces that made no reading.
    `serial` is what the meter says it is, None when it was not asked or does not say. `problem` is what is wrong with
    a meter that did answer: its contact says so. `drift` is how far the meter's own clock is ahead of ours.
    """

    values: Mapping[str, Decimal]
    readings: tuple[Reading, ...] = ()
    intervals: tuple[IntervalReading, ...] = ()
    rejects: tuple[Reject, ...] = field(default=())
    serial: str | None = None
    problem: AmrError | None = None
    drift: timedelta | None = None


class Quick(NamedTuple):
    """All that nearly every poll brings: the channels that have a value, and the values in millionths."""

    channels: tuple[str, ...]
    micros: Sequence[int]


Overhearing = Callable[[str, bytes], None]
"""Hears what goes over a line: "→" and what was asked, "←" and what came, "×" and why nothing did (as text)."""


class Wanted(Protocol):
    """A meter whose turn it is. `ready` is for its link alone: what that made ready for it, None at first."""

    meter: Polled
    ready: Any


class Asker(Protocol):
    """Who wants meters polled in a sweep, one after the other, and takes their answers."""

    def next(self) -> Wanted | None:
        """Whose turn it is now; None when it is nobody's, or something else is to be done."""
        ...

    def rest(self) -> float | None:
        """Seconds until `next` should be asked again; None ends the sweep."""
        ...

    def follow(self, channels: tuple[str, ...], micros: list[int], began: float, now: float) -> Wanted | None:
        """The answer of the meter wanted last: only values, in millionths, that surely are readings.

        `began` and `now` are instants of the monotonic clock. Gives whose turn it is now; None when it is time to
        `rest`, or there is something else to do.
        """
        ...

    def took(self, answer: Answer | Quick, seconds: float) -> None:
        """Any other answer of it."""
        ...


class Sweep(Protocol):
    """Polls under way (see `Link.sweep`)."""

    @property
    def began(self) -> float:
        """Monotonic instant of the beginning of the poll under way, or last."""
        ...

    async def over(self) -> None:
        """Wait for the end. Raises what the poll of the meter wanted last failed with."""
        ...

    def poke(self) -> None:
        """Rest no longer: something is to be done."""
        ...


class Link(Protocol):
    """One protocol on one wire, used by one task at a time. Every error is one of `ingest.errors`."""

    async def open(self) -> None:
        """Connect; LineDown when that fails."""
        ...

    async def close(self) -> None:
        """Hang up; no error when there is nothing to hang up."""
        ...

    async def read(self, meter: Polled) -> Answer:
        """Poll a meter. LineDown: the line went; Silent: no answer; Busy, Refused, Malformed: it said so."""
        ...

    def sweep(self, asker: Asker) -> Sweep | None:
        """Begin to poll meter after meter without a task's help; None where there must be waited between questions.

        The error of a poll ends it.
        """
        ...

    def overhear(self, ear: Overhearing | None) -> None:
        """Let somebody hear every frame from now on, over reconnects too; None ends it."""
        ...


@runtime_checkable
class Polyglot(Protocol):
    """A link over which more than Modbus is spoken."""

    def protocol(self, meter: Polled) -> str:
        """What this meter speaks, as its deliveries name it: modbus, mercury-230 …"""
        ...


class Door(Protocol):
    """Where deliveries go: `ingest.intake.Intake`."""

    async def put(self, delivery: Delivery) -> asyncio.Future[Outcome]:
        """Waits for room, returns a future that is done after the commit."""
        ...

    def offer(self, delivery: Delivery) -> bool:
        """Take it if there is room; it is stored or told of in the log, nobody waits for it."""
        ...


class Spare(Protocol):
    """What a line does with the time nobody needs: `collectors.filling.Backfill`."""

    ready_at: datetime | None
    """When there may be something to do next; None: at once."""

    async def use(self, link: Link, meters: Sequence[Polled], until: datetime | None) -> Delivery | None:
        """Do one thing that is surely over before `until`; None when there was none, no time, or no result.

        `meters` are those that answered when they were asked last. Raises LineDown only.
        """
        ...
