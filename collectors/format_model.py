"""A payload format as data: which topics it answers to, where in a payload a device, its values and its time stand."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from zoneinfo import ZoneInfo

from collectors.json_path import Step

_CAPTURE = re.compile(r"\{(\w+)\}")


class Kind(StrEnum):
    """How a payload is written."""

    OWN = "own"
    JSON = "json"
    NUMBER = "number"
    SPARKPLUG = "sparkplug"


class Retained(StrEnum):
    """What a message means that the broker kept from earlier and hands to a new subscriber.

    IGNORE: nothing, it has no time of its own. TIMED: it counts when it carries its own time. TAKE: it always counts.
    """

    IGNORE = "ignore"
    TIMED = "timed"
    TAKE = "take"


class Clock(StrEnum):
    """How a time is written."""

    ISO = "iso"
    SECONDS = "seconds"
    MILLISECONDS = "milliseconds"


@dataclass(frozen=True, slots=True)
class TopicPattern:
    """A topic with captures, `tele/{device}/SENSOR`; `filter` is what is subscribed to."""

    text: str
    filter: str
    pattern: re.Pattern[str]


@dataclass(frozen=True, slots=True)
class Field:
    """One value of a payload. `path` leads to it; `when` names captures that must have this value.

    A list there is one value per phase, for `channels` in order. `factor` turns it into the channel's base unit.
    `drop_zero` leaves out a bare 0 of a counter, which firmware publishes before its first measurement.
    """

    path: tuple[str, ...]
    name: str
    when: Mapping[str, str]
    channel: str | None
    channels: tuple[str, ...]
    factor: Decimal
    drop_zero: bool


@dataclass(frozen=True, slots=True)
class TimeRule:
    """Where the time of the values stands. `paths` are tried in order, those beginning with `$` from the top.

    A time without an offset is in `zone`; with no zone it is refused. A payload without any time was taken when it was
    received, unless `required`.
    """

    paths: tuple[tuple[bool, tuple[str, ...]], ...] = ()
    clock: Clock = Clock.ISO
    zone: ZoneInfo | None = None
    required: bool = False


@dataclass(frozen=True, slots=True)
class Sample:
    """A message and what must become of it: `readings` as `<meter> <channel> <value> <time>`, `rejects` as reasons."""

    topic: str
    payload: bytes
    received_at: datetime
    retained: bool
    readings: tuple[str, ...]
    rejects: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Format:
    """One payload format. `device` are templates or paths tried in order, `serials` translate devices into serials."""

    name: str
    about: str
    source: str
    kind: Kind
    topics: tuple[TopicPattern, ...]
    qos: int
    retained: Retained
    gateway: str
    device: tuple[str, ...]
    each: tuple[Step, ...]
    time: TimeRule
    fields: tuple[Field, ...]
    serials: Mapping[str, str]
    error_topics: tuple[TopicPattern, ...]
    error_flag: str
    samples: tuple[Sample, ...]

    @property
    def remembers(self) -> bool:
        """Whether a message can only be understood together with earlier ones of its sender."""
        return self.kind is Kind.SPARKPLUG or bool(self.error_topics)


def compile_topic(text: str) -> TopicPattern:
    """A topic pattern; ValueError when it is none. `{name}` stands for one whole level, `+` too, without a name."""
    levels = text.split("/")
    parts: list[str] = []
    for level in levels:
        capture = _CAPTURE.fullmatch(level)
        if capture:
            parts.append(f"(?P<{capture.group(1)}>[^/]*)")
        elif level == "+":
            parts.append("[^/]*")
        elif level == "" or not set(level) & set("+#{}"):
            parts.append(re.escape(level))
        else:
            raise ValueError(
                f"topic {text!r}: {level!r} must be a word, '+', or one {{name}}; a capture is a whole level"
            )
    return TopicPattern(text, _CAPTURE.sub("+", text), re.compile("/".join(parts), re.DOTALL))


def fill(template: str, captures: Mapping[str, str]) -> str | None:
    """A template with its captures put in; None when one of them is missing."""
    names = _CAPTURE.findall(template)
    if any(name not in captures for name in names):
        return None
    return _CAPTURE.sub(lambda match: captures[match.group(1)], template)
