"""When people are told of a fault, and that it is over: once, not for a flicker, not at night unless it matters. Pure.

A condition must stand for a while before it is raised, and be gone for a while before it counts as over. What is to be
told waits for the digest, so that a substation that loses its power is one message and not a thousand.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from ingest.errors import Misconfigured

URGENT = frozenset({"us", "broker", "quarantine_full", "spool_full"})
"""Levels told in quiet hours too: readings of the whole fleet are at stake."""


@dataclass(frozen=True, slots=True)
class Condition:
    """Something that is wrong now. `key` names the place for ever ('line:tp-101'), `level` and `cause` are codes."""

    key: str
    level: str
    cause: str
    detail: str


@dataclass(frozen=True, slots=True)
class Alert:
    """A condition remembered: first noticed `since`, last true `seen_at`; then raised, told, cleared."""

    key: str
    level: str
    cause: str
    detail: str
    since: datetime
    seen_at: datetime
    raised_at: datetime | None = None
    told_at: datetime | None = None
    cleared_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class QuietHours:
    """From `first` until `last` by the clock of `zone`, over midnight if need be. Equal ends: never quiet."""

    first: time = time()
    last: time = time()
    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("UTC"))

    def at(self, instant: datetime) -> bool:
        local = instant.astimezone(self.zone).time()
        if self.first <= self.last:
            return self.first <= local < self.last
        return local >= self.first or local < self.last

    @classmethod
    def parse(cls, text: str, zone: str) -> QuietHours:
        """From '22:00-07:00'; Misconfigured says what is wrong with it."""
        first, dash, last = text.partition("-")
        try:
            if not dash:
                raise ValueError("no dash")
            return cls(time.fromisoformat(first.strip()), time.fromisoformat(last.strip()), ZoneInfo(zone))
        except (ValueError, KeyError, OSError) as error:
            raise Misconfigured(
                f"quiet hours {text!r} in zone {zone!r}: write them like 22:00-07:00 and a zone like Europe/Moscow"
            ) from error


@dataclass(frozen=True, slots=True)
class Rules:
    """How long a condition stands before it is raised, by level, and is gone before it is over; and the digest."""

    after: Mapping[str, timedelta] = field(default_factory=lambda: {"meter": timedelta(hours=1)})
    after_else: timedelta = timedelta(minutes=5)
    over: timedelta = timedelta(minutes=10)
    digest: timedelta = timedelta(minutes=5)
    quiet: QuietHours = field(default_factory=QuietHours)

    def waits(self, level: str) -> timedelta:
        return self.after.get(level, self.after_else)


@dataclass(frozen=True, slots=True)
class Digest:
    """What to tell in one message: faults that stand, and those that are over."""

    raised: tuple[Alert, ...]
    cleared: tuple[Alert, ...]

    def __bool__(self) -> bool:
        return bool(self.raised or self.cleared)


def follow(known: Iterable[Alert], conditions: Iterable[Condition], now: datetime, rules: Rules) -> list[Alert]:
    """The alerts after a look at what is wrong now. One that flickered and was never told is forgotten."""
    current = {one.key: one for one in conditions}
    alerts = [_seen(alert, current.pop(alert.key, None), now, rules) for alert in known]
    alerts += [Alert(one.key, one.level, one.cause, one.detail, now, now) for one in current.values()]
    kept = (_raised(alert, now, rules) for alert in alerts)
    return [alert for alert in kept if alert.cleared_at is None or alert.told_at is not None]


def _seen(alert: Alert, condition: Condition | None, now: datetime, rules: Rules) -> Alert:
    if condition is not None:
        facts = replace(alert, level=condition.level, cause=condition.cause, detail=condition.detail, seen_at=now)
        if alert.cleared_at is not None:  # it is back before anybody heard that it was over
            return replace(facts, cleared_at=None)
        return facts
    if alert.cleared_at is None and now - alert.seen_at >= rules.over:
        return replace(alert, cleared_at=now)
    return alert


def _raised(alert: Alert, now: datetime, rules: Rules) -> Alert:
    stands = alert.seen_at - alert.since >= rules.waits(alert.level)
    if alert.raised_at is None and alert.cleared_at is None and stands:
        return replace(alert, raised_at=now)
    return alert


def digest(alerts: Iterable[Alert], now: datetime, rules: Rules) -> Digest:
    """What is to be told now. It goes out when the oldest of it has waited for the others, and outside quiet hours;
    what is urgent takes everything along at once."""
    alerts = list(alerts)
    raised = [one for one in alerts if one.raised_at is not None and one.told_at is None and one.cleared_at is None]
    cleared = [one for one in alerts if one.cleared_at is not None]
    instants = [one.raised_at for one in raised if one.raised_at] + [
        one.cleared_at for one in cleared if one.cleared_at
    ]
    urgent = any(one.level in URGENT for one in raised)
    waited = any(now - instant >= rules.digest for instant in instants)
    if urgent or (waited and not rules.quiet.at(now)):
        return Digest(tuple(raised), tuple(cleared))
    return Digest((), ())


def told(alerts: Iterable[Alert], said: Digest, now: datetime) -> list[Alert]:
    """The alerts after a message went out: what is over is forgotten."""
    raised, cleared = {one.key for one in said.raised}, {one.key for one in said.cleared}
    return [
        replace(alert, told_at=now) if alert.key in raised else alert for alert in alerts if alert.key not in cleared
    ]
