"""A reading between its neighbours: what is believed, and why not.

The judgement of a reading is a pure function of the raw values of its `REACH` nearest neighbours on both sides, never
of their judgements. So the order of arrival cannot matter, judging again stays local, and one wild value poisons
nothing: among all stories that explain a window (this value is wild; here the counting broke) the cheapest is taken.

A wild value costs `WILD`, a break in the counting `BREAK`: one or two (or three) values that disagree with both sides
are wild, but two readings that agree with each other after a fall are a meter that counts anew. A value that only
repeats the one before it is cheap to disbelieve: that is what a stuck gateway sends.

Instants are microseconds since 1970, values millionths of the base unit.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

from ingest.channel import MICRO, is_counter
from ingest.model import NO_REASON, Quality, Reason, Register, Source

REACH = 4
WILD = 200
BREAK = 350
REPEAT = 60
HOUR = 3_600_000_000
FUTURE_TOLERANCE = timedelta(minutes=5)
DRIFT_TOLERANCE = timedelta(minutes=30)

INTRINSIC = (
    Reason.FUTURE_TIME | Reason.BEFORE_INSTALLATION | Reason.CLOCK_DRIFT | Reason.TOO_MANY_DIGITS | Reason.ZONE_SUM
)
"""Reasons that do not come from the neighbours of the same register: a new look at those keeps them."""

OUTSIDE = Reason.FUTURE_TIME | Reason.CLOCK_DRIFT | Reason.TOO_MANY_DIGITS
"""A reading with one of these stands at a wrong instant or is no value of this counter: nobody's neighbour."""


class Limits(NamedTuple):
    """What is physically possible for a register: all in millionths, the rate per hour; None means unknown.

    `coarse` forgives a fall that is smaller than the coarser precision of the two values.
    """

    modulus: int | None
    max_rate: int | None
    resolution: int
    coarse: bool = False

    def softened(self) -> Limits:
        """For readings by people, who leave out the decimals: whole units."""
        return self._replace(resolution=max(self.resolution, MICRO), coarse=True)


def limits_of(register: Register) -> Limits:
    """The limits of a stored register."""
    return Limits(
        modulus=None if register.digits is None else 10**register.digits * MICRO,
        max_rate=None if register.max_rate is None else int(register.max_rate * MICRO),
        resolution=int(Decimal(MICRO).scaleb(-register.decimals)),
    )


def advance(limits: Limits, elapsed: int, begin: int, end: int) -> int | None:
    """How far a counter moved from `begin` to `end` within `elapsed` microseconds; None when that is unexplained.

    A fall counts as a rollover only when it is proven: the modulus is known *and* the wrapped step fits the maximum
    rate. A step over more than half of the register is no proof: after a long silence every fall would fit. Two display
    units of slack cover readings cut off by the display.
    """
    step = end - begin
    if step < 0:
        if limits.coarse and -step < max(coarseness(begin), coarseness(end)):
            return 0
        if limits.modulus is None or limits.max_rate is None or begin >= limits.modulus:
            return None
        step += limits.modulus
        if 2 * step > limits.modulus:
            return None
    if limits.max_rate is not None and (step - 2 * limits.resolution) * HOUR > limits.max_rate * elapsed:
        return None
    return step


class Look(NamedTuple):
    """What the neighbours say of one reading. `watch`: the raw step that leads to it falls or is too fast."""

    reasons: Reason
    watch: bool


GOOD_LOOK = Look(NO_REASON, False)


def look_at(times: Sequence[int], values: Sequence[int], limits: Limits, first: int, last: int) -> list[Look]:
    """Judge the readings [first, last) of one register's series, sorted by time without equal instants.

    The series should reach `REACH` readings beyond both ends of what is judged, where such exist.
    """
    troubled = troubled_steps(times, values, limits)
    if not troubled:
        return [GOOD_LOOK] * (last - first)
    near = {i for step in troubled for i in range(step - REACH, step + REACH)}
    return [_look(times, values, limits, i, troubled) if i in near else GOOD_LOOK for i in range(first, last)]


def troubled_steps(times: Sequence[int], values: Sequence[int], limits: Limits) -> set[int]:
    """Indexes i for which the step from i-1 to i falls or is too fast (a proven rollover included: worth a watch)."""
    troubled: set[int] = set()
    rate = limits.max_rate
    slack = 2 * limits.resolution
    for i in range(1, len(values)):
        step = values[i] - values[i - 1]
        if step < 0 or (rate is not None and (step - slack) * HOUR > rate * (times[i] - times[i - 1])):
            troubled.add(i)
    return troubled


def _look(times: Sequence[int], values: Sequence[int], limits: Limits, i: int, troubled: set[int]) -> Look:
    low, high = max(0, i - REACH), min(len(values), i + REACH + 1)
    story = _cheapest_story(times[low:high], values[low:high], limits)
    reasons = NO_REASON if i - low in story else _reason(times, values, limits, i, [low + k for k in story])
    return Look(reasons, i in troubled)


def _cheapest_story(times: Sequence[int], values: Sequence[int], limits: Limits) -> list[int]:
    """Indexes of the readings believed in the cheapest explanation of a window.

    Of two equally wild readings the later one is disbelieved, until its followers speak for it: hence the small
    surcharge on disbelieving earlier ones.
    """
    count = len(values)
    wild = [
        (REPEAT if k and values[k] == values[k - 1] else WILD) + (count - 1 - k) for k in range(count)
    ]  # fmt: skip
    paid = [0]
    for cost in wild:
        paid.append(paid[-1] + cost)
    best: list[tuple[int, int]] = []  # cost of the best story that ends by believing k, and whom it believed before
    for k in range(count):
        options = [(paid[k], -1)]
        for before in range(k):
            explained = advance(limits, times[k] - times[before], values[before], values[k]) is not None
            skipped = paid[k] - paid[before + 1]
            options.append((best[before][0] + skipped + (0 if explained else BREAK), before))
        best.append(min(options, key=lambda option: (option[0], -option[1])))
    k = min(range(count), key=lambda last: best[last][0] + paid[count] - paid[last + 1])
    story = []
    while k >= 0:
        story.append(k)
        k = best[k][1]
    return story[::-1]


def _reason(times: Sequence[int], values: Sequence[int], limits: Limits, i: int, believed: list[int]) -> Reason:
    """Why a disbelieved reading is so, seen from the believed ones beside it."""
    if i and values[i] == values[i - 1]:
        return Reason.STUCK
    before = max((k for k in believed if k < i), default=None)
    after = min((k for k in believed if k > i), default=None)
    if before is not None and advance(limits, times[i] - times[before], values[before], values[i]) is None:
        return Reason.BELOW_PREVIOUS if values[i] < values[before] else Reason.ABOVE_MAX_RATE
    if after is not None and values[i] > values[after]:
        return Reason.ABOVE_MAX_RATE
    return Reason.BELOW_PREVIOUS


def intrinsic(
    register: Register, taken_at: datetime, captured_at: datetime | None, received_at: datetime, micro: int
) -> Reason:
    """What is wrong with a reading by itself, whoever its neighbours are.

    `captured_at` is None where it says nothing of a clock: for values out of a meter's archive, and for people, who
    enter today what they read yesterday.
    """
    reasons = NO_REASON
    if taken_at - received_at > FUTURE_TOLERANCE:
        reasons |= Reason.FUTURE_TIME
    if captured_at is not None and abs(captured_at - taken_at) > DRIFT_TOLERANCE:
        reasons |= Reason.CLOCK_DRIFT
    if register.installed_since is not None and taken_at < register.installed_since:
        reasons |= Reason.BEFORE_INSTALLATION
    if register.digits is not None and micro >= 10**register.digits * MICRO and is_counter(register.channel):
        reasons |= Reason.TOO_MANY_DIGITS
    return reasons


def quality_of(source: Source, reasons: Reason) -> Quality:
    """The quality that follows from the reasons; an estimate is never more than that."""
    if reasons:
        return Quality.SUSPECT
    return Quality.ESTIMATED if source is Source.ESTIMATE else Quality.GOOD


def coarseness(micro: int) -> int:
    """The precision a value was given with, at most a whole unit: 123 counts to 1, 123.4 to 0.1."""
    unit = MICRO
    while unit > 1 and micro % unit:
        unit //= 10
    return unit


def disputed(
    limits: Limits, at: int, micro: int, before: tuple[int, int] | None, after: tuple[int, int] | None
) -> bool | None:
    """Whether a person's value contradicts the automatic readings (instant, value) around it; None: they say nothing.

    Compared by the coarser precision, and by what the counter can take from the one before and to the one after.
    A counter that broke or wrapped between the two says nothing.
    """
    if before is None and after is None:
        return None
    if before and after and after[1] < before[1]:
        return None
    slack = max(coarseness(micro), limits.resolution)
    if before and micro < before[1] - slack:
        return advance(limits, at - before[0], before[1], micro) is None
    if after and micro > after[1] + slack:
        return True
    rate = limits.max_rate
    if rate is None or (before and after and advance(limits, after[0] - before[0], before[1], after[1]) is None):
        return False
    steps = [(at - before[0], micro - before[1])] if before else []
    steps += [(after[0] - at, after[1] - micro)] if after else []
    return any((step - slack) * HOUR > rate * elapsed for elapsed, step in steps)
