"""What every protocol of its own has in common: reading a model's values, its serial number, clock and registers.

A `Talk` is one conversation with one meter, opened and closed by its protocol (`mercury_talk.py`, `iec_talk.py`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from decimal import Decimal
from time import monotonic
from typing import Protocol

from collectors.archive import Kind, Recall
from collectors.identity import same_serial, swapped, without_owner
from collectors.iec_data import NotThere
from collectors.link import Answer, Silent
from collectors.meter_options import MeterOptions
from collectors.serial_model import Archive, Ask, SerialModel, decode
from ingest.channel import is_counter
from ingest.delivery import Reject
from ingest.errors import Busy, Malformed, Refused
from ingest.model import Polled, Reading

MIDNIGHT = timedelta(seconds=60)
"""So near to its midnight a meter is not asked for "today": the answer might be about another day."""

ASK_AGAIN_AFTER = 21_600.0
"""Seconds after which a question the meter did not know is asked once more."""

WILD_CLOCK = timedelta(hours=12)
"""A clock further off files its registers under dates that mean nothing."""


class Unsupported(Refused):
    """The meter does not know this question."""

    code = "unsupported"


class Talk(Protocol):
    """One conversation. Errors: Unsupported or NotThere for what the meter does not have, else as `Link.read`."""

    async def say(self, send: str, size: int, *, twice: bool = False) -> bytes:
        """Ask and give the answer's data; `twice` where the protocol's checks are weak and the value is money."""
        ...

    async def serial(self) -> str | None:
        """The serial number the meter states, None when it states none."""
        ...

    async def clock(self) -> datetime | None:
        """The meter's own wall clock, naive; None when it has none."""
        ...


@dataclass(slots=True)
class Known:
    """What was learned of one meter and holds until its line is opened anew by a changed fleet."""

    meter: Polled
    model: SerialModel
    options: MeterOptions
    lacking: dict[str, float] = field(default_factory=dict)
    """Questions it did not know -> when to ask once more, by the monotonic clock: the refusal may have been passing."""
    proven: dict[str, bool] = field(default_factory=dict)
    """Archive questions by date -> whether their proof agreed."""
    constant: int | None = None

    def lacks(self, send: str) -> bool:
        """Whether this question need not be asked."""
        return monotonic() < self.lacking.get(send, 0.0)

    def lacking_now(self, send: str) -> None:
        """The meter did not know this question."""
        self.lacking[send] = monotonic() + ASK_AGAIN_AFTER


async def read(talk: Talk, known: Known, now: datetime, *, check_serial: bool) -> Answer:
    """Poll: the model's values, who the meter is and how far its clock is ahead of ours."""
    values: dict[str, Decimal] = {}
    rejects: list[Reject] = []
    serial = await talk.serial()
    for send, size, asks in _questions(known):
        await _take(talk, known, send, size, asks, values, rejects)
    if not values and not rejects:
        raise Refused(f"the meter knows no question of {known.model.slug}; is it really one?")
    drift = _drift(await talk.clock(), known, now)
    if check_serial and serial is not None and not same_serial(known.meter.serial, serial):
        error = swapped(known.meter.serial, serial)
        foreign = tuple(without_owner(known.meter.serial, error, values))
        return Answer({}, rejects=foreign, serial=serial, problem=error)
    return Answer(values, rejects=tuple(rejects), serial=serial, drift=drift)


def _questions(known: Known) -> list[tuple[str, int, list[Ask]]]:
    """What to send, and all that is read from each answer."""
    by_send: dict[str, list[Ask]] = {}
    for ask in known.model.asks:
        by_send.setdefault(ask.send, []).append(ask)
    return [(send, asks[0].size, asks) for send, asks in by_send.items() if not known.lacks(send)]


async def _take(
    talk: Talk,
    known: Known,
    send: str,
    size: int,
    asks: list[Ask],
    values: dict[str, Decimal],
    rejects: list[Reject],
) -> None:
    """One question into values; one that the meter does not know is told once and not asked again."""
    counts = any(is_counter(item.channel) for ask in asks for item in ask.items)
    try:
        data = await talk.say(send, size, twice=counts)
        found = [one for ask in asks for one in decode(known.model.tongue, ask, data)]
    except (Unsupported, NotThere) as error:
        known.lacking_now(send)
        channels = ", ".join(item.channel for ask in asks for item in ask.items)
        detail = f"{error}; {channels} is no longer asked of this meter"
        rejects.append(Reject("unsupported_register", detail, send.encode(), known.meter.serial))
        return
    values.update({item.channel: value for item, value in found if value is not None})


def _drift(shown: datetime | None, known: Known, now: datetime) -> timedelta | None:
    return None if shown is None else shown.replace(tzinfo=known.options.zone) - now


async def check_identity(talk: Talk, known: Known) -> None:
    """Raise what is wrong when another meter answers at this address: its memory belongs to nobody."""
    serial = await talk.serial()
    if serial is not None and not same_serial(known.meter.serial, serial):
        raise swapped(known.meter.serial, serial)


async def registers(talk: Talk, known: Known, recall: Recall, now: datetime) -> Answer:
    """The registers as of 00:00 of a day, from whichever archive of the model has them.

    Raises NotThere when the meter does not keep them (any more). `captured_at` is when the meter's clock really showed
    that midnight, so that a clock far off makes its readings doubtful.
    """
    day = recall.begin.astimezone(known.options.zone)
    if day.time() != time():
        raise ValueError(f"{recall.begin.isoformat()} is no midnight in {known.options.zone.key}")
    shown, drift = await trusted_clock(talk, known, now)
    values: dict[str, Decimal] = {}
    for archive in _candidates(known, recall.kind):
        lacks = any(item.channel not in values for item in archive.ask.items)
        if lacks and (send := archive.question(day.date(), shown.date())) is not None:
            for channel, value in (await _archived(talk, known, archive, send, shown)).items():
                values.setdefault(channel, value)
    if not values:
        raise NotThere(f"the registers as of {day:%d.%m.%Y}", "not kept")
    captured = recall.begin - drift
    serial = known.meter.serial
    return Answer(
        {},
        readings=tuple(
            Reading(serial, channel, recall.begin, value, captured_at=captured) for channel, value in values.items()
        ),
        drift=drift,
    )


async def trusted_clock(talk: Talk, known: Known, now: datetime) -> tuple[datetime, timedelta]:
    """The meter's wall clock and its drift. Refused when it is wild, Busy when its day is about to change."""
    shown = await talk.clock()
    drift = _drift(shown, known, now)
    if shown is None or drift is None:
        return now.astimezone(known.options.zone).replace(tzinfo=None), timedelta()
    if abs(drift) > WILD_CLOCK:
        raise Refused(f"the meter's clock shows {shown:%d.%m.%Y %H:%M}; set it, its archives cannot be dated")
    if (shown + MIDNIGHT).date() != (shown - MIDNIGHT).date():
        raise Busy("the meter's day is about to change; its archives are asked a little later")
    return shown, drift


def _candidates(known: Known, kind: Kind) -> list[Archive]:
    """Archives that may have the registers, the likeliest first: those of the 1st are kept among the days as well."""
    own = [one for one in known.model.archives if one.kind is kind]
    others = [one for one in known.model.archives if one.kind is not kind]
    return [one for one in (*own, *others) if not known.lacks(one.ask.send)]


async def _archived(talk: Talk, known: Known, archive: Archive, send: str, shown: datetime) -> dict[str, Decimal]:
    """One answer out of an archive; empty when the meter does not know the question or is not to be believed."""
    template = archive.ask.send
    try:
        if not await _proven(talk, known, archive, shown):
            known.lacking_now(template)
            return {}
        data = await talk.say(send, archive.ask.size, twice=True)
        found = list(decode(known.model.tongue, archive.ask, data))
    except Unsupported:
        if archive.proof is None:
            known.lacking_now(template)
        return {}
    except NotThere:
        return {}
    return {item.channel: value for item, value in found if value is not None}


async def _proven(talk: Talk, known: Known, archive: Archive, shown: datetime) -> bool:
    """Whether this meter's answers by date are right: the one for the newest date is what another question says.

    A meter that stays silent on the first after it answered the other does not know it.
    """
    template = archive.ask.send
    pair = archive.proven_by(shown.date())
    if pair is None or template in known.proven:
        return known.proven.get(template, True)
    dated, reference = pair
    expected = await talk.say(reference, archive.ask.size)
    try:
        known.proven[template] = await talk.say(dated, archive.ask.size) == expected
    except (Unsupported, Silent):
        known.proven[template] = False
    return known.proven[template]


def whole(data: bytes, size: int) -> bytes:
    """The data if they are that long; Malformed otherwise."""
    if len(data) != size:
        raise Malformed(f"{len(data)} bytes came where {size} were due")
    return data
