"""What is missing of a meter and can be asked of its memory: a pure plan from expectation, store and depth.

Expected of a meter is what its memory keeps: the registers as of every midnight (of the zone its clock keeps) or of
every 1st, and every interval of its load profile, since it was installed. Registers of months go first, then those of
days, then profiles; of each the oldest first, because they fall out of the memory soonest. What no memory holds any
more is listed as lost, exactly.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from collectors.archive import Depth, Kind, Recall
from ingest.gaps import Gap, Held, Wanted

READY = timedelta(minutes=3)
"""So long after its end a midnight or an interval is surely filed away."""

LOOK_BACK = 31
"""Days of which losses are listed though the memory reaches less far."""

CHUNK = 12
"""Intervals asked for in one question: a poll that falls due waits for no more than that."""

Tried = Mapping[tuple[Kind, datetime], str]
"""Midnights and starts of intervals that asking for again is useless, and why: see `Gap.why`."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Questions in the order in which they are to be asked, and what cannot be had."""

    questions: tuple[Recall, ...] = ()
    lost: tuple[Gap, ...] = ()


@dataclass(frozen=True, slots=True)
class Scope:
    """For which meter, as of when: its memory's depth, its clock's zone, how often it is polled.

    `since` is where the last look that found everything ended; nothing before it is looked at again.
    """

    depth: Depth
    zone: ZoneInfo
    period: timedelta
    now: datetime
    since: datetime | None = None
    tried: Tried = field(default_factory=dict)


def wanted(scope: Scope) -> Wanted:
    """What to ask the store before a plan can be made."""
    depth = scope.depth
    today = scope.now.astimezone(scope.zone).date()
    days = max(depth.days, LOOK_BACK) if depth.days else 0
    months = max(depth.months, 12) if depth.months or depth.days else 0
    candidates = {today - timedelta(days=step) for step in range(days)}
    candidates |= {_month_back(today, step) for step in range(months)}
    midnights = tuple(midnight(day, scope.zone) for day in sorted(candidates))
    length = depth.length
    reach = length * (depth.intervals - 1) if depth.intervals else timedelta(days=LOOK_BACK)
    begin = _down(scope.now - reach, length)
    return Wanted(
        tuple(at for at in midnights if _in_scope(at, scope)),
        max(begin, scope.since or begin),
        _down(scope.now - READY, length),
        None if depth.intervals else 2 * scope.period,
    )


def plan(scope: Scope, held: Held) -> Plan:
    """Questions and losses. Nothing is asked or missed from before the meter was installed."""
    if held.since is None:
        return Plan()
    asked = wanted(scope)
    begin = held.since
    stored = set(held.midnights)
    registers = _registers(scope, [at for at in asked.midnights if at >= begin and at not in stored])
    if scope.depth.intervals:
        profile = _profile(scope, _missing_intervals(asked, begin, held, scope.depth.length))
    else:
        profile = Plan(lost=tuple(_silences(scope, asked, begin, held)))
    return Plan((*registers.questions, *profile.questions), tuple(sorted((*registers.lost, *profile.lost))))


def midnight(day: date, zone: ZoneInfo) -> datetime:
    """00:00 of a day on the zone's wall, in UTC."""
    return datetime.combine(day, time(), zone).astimezone(UTC)


def _registers(scope: Scope, missing: Sequence[datetime]) -> Plan:
    """Which midnights can still be asked for: months before days."""
    questions: list[Recall] = []
    lost: list[Gap] = []
    for at in missing:
        kind = Kind.MONTH if at.astimezone(scope.zone).day == 1 else Kind.DAY
        if why := _unaskable(scope, kind, at):
            lost.append(Gap(at, at, kind.value, why))
        else:
            questions.append(Recall(kind, at, at))
    questions.sort(key=lambda one: (one.kind is not Kind.MONTH, one.begin))
    return Plan(tuple(questions), tuple(lost))


def _unaskable(scope: Scope, kind: Kind, at: datetime) -> str | None:
    """Why the registers as of a midnight cannot be had; None when they can be asked for."""
    depth = scope.depth
    today, day = scope.now.astimezone(scope.zone).date(), at.astimezone(scope.zone).date()
    months = (today.year - day.year) * 12 + today.month - day.month
    in_months = kind is Kind.MONTH and months < depth.months
    if not in_months and (today - day).days >= depth.days:
        return "too_old"
    return scope.tried.get((kind, at))


def _missing_intervals(asked: Wanted, begin: datetime, held: Held, length: timedelta) -> list[datetime]:
    """Starts of the intervals that are not stored; the first whole one after the installation is the first."""
    stored = set(held.intervals)
    first = max(asked.since, begin)
    start = _down(first, length) + (length if _down(first, length) < first else timedelta())
    count = max(0, (asked.until - start) // length)
    return [at for step in range(count) if (at := start + step * length) not in stored]


def _profile(scope: Scope, missing: Sequence[datetime]) -> Plan:
    """Missing intervals side by side, cut into questions; those already tried are lost."""
    length, tried = scope.depth.length, scope.tried
    kept = [at for at in missing if (Kind.PROFILE, at) not in tried]
    gone: dict[str, list[datetime]] = {}
    for at in missing:
        if why := tried.get((Kind.PROFILE, at)):
            gone.setdefault(why, []).append(at)
    questions = [
        Recall(Kind.PROFILE, begin + step * CHUNK * length, min(begin + (step + 1) * CHUNK * length, end))
        for begin, end in _spans(kept, length)
        for step in range(-(-(end - begin) // (CHUNK * length)))
    ]
    lost = [Gap(*span, Kind.PROFILE.value, why) for why, starts in gone.items() for span in _spans(starts, length)]
    return Plan(tuple(questions), tuple(lost))


def _silences(scope: Scope, asked: Wanted, begin: datetime, held: Held) -> Iterator[Gap]:
    """Where a meter without a profile was not read: longer than two of its periods, from reading to reading."""
    last = held.last or max(begin, asked.since)
    silences = list(held.silences)
    if scope.now - last > 2 * scope.period:
        silences.append((last, scope.now))
    for before, after in silences:
        yield Gap(before, after, "polls", "no_memory")


def _spans(starts: Sequence[datetime], length: timedelta) -> list[tuple[datetime, datetime]]:
    """Intervals that follow one another as one span each."""
    spans: list[tuple[datetime, datetime]] = []
    for at in starts:
        if spans and spans[-1][1] == at:
            spans[-1] = spans[-1][0], at + length
        else:
            spans.append((at, at + length))
    return spans


def _down(at: datetime, length: timedelta) -> datetime:
    """To the whole interval before, counted from midnight in UTC: lengths divide the hour, offsets are whole hours."""
    return at.astimezone(UTC) - (at - datetime(2000, 1, 1, tzinfo=UTC)) % length


def _in_scope(at: datetime, scope: Scope) -> bool:
    return at <= scope.now - READY and (scope.since is None or at > scope.since)


def _month_back(day: date, months: int) -> date:
    """The 1st of the month so many months before."""
    number = day.year * 12 + day.month - 1 - months
    return date(number // 12, number % 12 + 1, 1)
