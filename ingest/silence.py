"""Which part of the road is at fault when meters are silent: the meter, its line or gateway, the broker, or us. Pure.

One silent meter among answering neighbours is its own matter. When everything behind one place is silent, the place is
named, once, and not each meter: an engineer is sent there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum

LEAST_OVERDUE = timedelta(minutes=1)
UNASKED_TURNS = 3
"""Nobody has asked a polled meter for so many of its periods: then it is not the meter that fails."""
LONGEST_PROBE = timedelta(minutes=20)
"""A meter that was given up is tried at least this often (collectors/patience.py: 15 minutes and the jitter)."""
LINE_DOWN, TIMEOUT = "line_down", "timeout"
"""Codes of collectors/link.py."""


class Road(Enum):
    """How a meter's readings come."""

    LINE = "line"
    GATEWAY = "gateway"


class Level(Enum):
    """The part at fault, the widest first."""

    US = "us"
    BROKER = "broker"
    LINE = "line"
    GATEWAY = "gateway"
    METER = "meter"


@dataclass(frozen=True, slots=True)
class Heard:
    """What is known of one meter that should be heard of by itself.

    `via` names its line or gateway. `expected_since` is when it was put there: before that nobody waits for it.
    `tried_at` is the last attempt of a polled meter, `answered_at` when it was last heard, `failure` the code of the
    last attempt.
    """

    meter: str
    point: str | None
    road: Road
    via: str
    period: timedelta
    expected_since: datetime
    tried_at: datetime | None = None
    answered_at: datetime | None = None
    failure: str | None = None
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class Silence:
    """One fault: where, why (a stable code), since when nothing came, and the meters it silences, by serial number.

    `place` is the serial number, line, gateway or broker's name. `since` is None when nothing ever came.
    """

    level: Level
    place: str
    cause: str
    since: datetime | None
    meters: tuple[str, ...]
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class Roads:
    """The state of what is ours: whether any collector lives, and for each subscription whether the broker answers.

    `brokers` maps a broker's address to None while it is connected, else to (since, why).
    """

    collectors_alive: bool
    subscribers_alive: bool
    brokers: Mapping[str, tuple[datetime, str] | None]


def silences(meters: Iterable[Heard], roads: Roads, now: datetime) -> list[Silence]:
    """Every fault that keeps meters silent now, the widest first, then by the number of meters."""
    lines: dict[str, list[Heard]] = {}
    gateways: dict[str, list[Heard]] = {}
    for one in meters:
        (lines if one.road is Road.LINE else gateways).setdefault(one.via, []).append(one)
    found = [*_on_lines(lines, roads, now), *_behind_gateways(gateways, roads, now)]
    order = list(Level)
    return sorted(found, key=lambda one: (order.index(one.level), -len(one.meters), one.place))


def is_silent(one: Heard, now: datetime) -> bool:
    """Whether it should have been heard by now and was not."""
    if one.road is Road.LINE:
        return one.failure is not None or _unasked(one, now)
    return now - (one.answered_at or one.expected_since) > max(3 * one.period, LEAST_OVERDUE)


def _unasked(one: Heard, now: datetime) -> bool:
    last = max(one.tried_at or one.expected_since, one.expected_since)
    return now - last > max(UNASKED_TURNS * one.period, LONGEST_PROBE if one.failure else LEAST_OVERDUE)


def _on_lines(lines: Mapping[str, Sequence[Heard]], roads: Roads, now: datetime) -> Iterator[Silence]:
    unasked = {line: [one for one in there if _unasked(one, now)] for line, there in lines.items()}
    if not roads.collectors_alive and any(unasked.values()):
        yield _fault(Level.US, "collector", "no_collector", [one for there in unasked.values() for one in there])
    for line, there in lines.items():
        if roads.collectors_alive and unasked[line]:
            yield _fault(Level.US, line, "line_unowned", unasked[line])
        asked = [one for one in there if one not in unasked[line]]
        yield from _on_line(line, asked, [one for one in asked if one.failure is not None])


def _on_line(line: str, asked: Sequence[Heard], failed: Sequence[Heard]) -> Iterator[Silence]:
    """A line that is down takes its meters along; if it is up and nobody at all answers, that is its fault too.

    A meter that is asked alone has no neighbour to tell it from its line: it is named, and that nobody can know.
    """
    down = [one for one in failed if one.failure == LINE_DOWN]
    if down:
        yield _fault(Level.LINE, line, LINE_DOWN, down)
    elif len(asked) > 1 and all(one.failure == TIMEOUT for one in asked):
        yield _fault(Level.LINE, line, "nobody_answers", asked)
        return
    for one in failed:
        if one.failure and one.failure != LINE_DOWN:
            alone = one.failure == TIMEOUT and len(asked) == 1
            yield _fault(Level.METER, one.meter, "silent_alone" if alone else one.failure, [one])


def _behind_gateways(gateways: Mapping[str, Sequence[Heard]], roads: Roads, now: datetime) -> Iterator[Silence]:
    silent = {gateway: [one for one in there if is_silent(one, now)] for gateway, there in gateways.items()}
    everyone = [one for there in silent.values() for one in there]
    lost = [(broker, state) for broker, state in roads.brokers.items() if state is not None]
    if everyone and not roads.subscribers_alive:
        yield _fault(Level.US, "subscriber", "nobody_listens", everyone)
    elif everyone and lost and len(lost) == len(roads.brokers):
        broker, (since, why) = lost[0]
        yield replace(_fault(Level.BROKER, broker, "broker_lost", everyone), since=since, detail=why)
    else:
        for gateway, there in silent.items():
            if there and len(there) == len(gateways[gateway]):
                yield _fault(Level.GATEWAY, gateway, "gateway_silent", there)
            else:
                yield from (_fault(Level.METER, one.meter, "overdue", [one]) for one in there)


def _fault(level: Level, place: str, cause: str, silent: Sequence[Heard]) -> Silence:
    since = max((one.answered_at for one in silent if one.answered_at), default=None)
    detail = next((one.detail for one in silent if one.detail), None)
    return Silence(level, place, cause, since, tuple(sorted(one.meter for one in silent)), detail)
