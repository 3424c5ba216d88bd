"""One element of a payload after its format: whose it is, when it was taken, and which values it holds. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from collectors.exact import Unfit, energy, in_range, instant, naive_or_aware, number, serial, since_epoch
from collectors.format_model import Clock, Field, Format, Kind, Retained, TimeRule, fill
from collectors.json_path import ABSENT, look, names_only
from collectors.payload import Message, Parsed
from ingest.channel import is_counter
from ingest.delivery import Reject
from ingest.model import Reading


@dataclass(slots=True)
class Place:
    """Where in a payload we are: the element, the top, and what topic and path captured."""

    message: Message
    top: object
    node: object
    captures: Mapping[str, str]


def read_place(fmt: Format, place: Place, parsed: Parsed) -> None:
    """The readings of one element of a payload, added to what is parsed."""
    found = [(one, value) for one in fmt.fields if (value := _value(fmt, one, place)) is not ABSENT]
    found = [(one, value) for one, value in found if value is not None]
    if not found:
        parsed.ignored.append("no field of this format, or none with a value")
        return
    try:
        own_time = _time(fmt, place)
        meter = meter_of(fmt, place)
    except Unfit as unfit:
        parsed.rejects.append(Reject(unfit.reason, unfit.detail, place.message.payload))
        return
    if own_time is None and place.message.retained and fmt.retained is not Retained.TAKE:
        parsed.ignored.append("a retained message without a time of its own: it says nothing about now")
        return
    for one, value in found:
        add(one, value, meter, own_time or place.message.received_at, place.message.payload, parsed)


def _value(fmt: Format, one: Field, place: Place) -> object:
    if any(place.captures.get(name) != value for name, value in one.when.items()):
        return ABSENT
    return place.node if fmt.kind is Kind.NUMBER else look(place.node, one.path)


def add(one: Field, value: object, meter: str, at: datetime, payload: bytes, parsed: Parsed) -> None:
    """Readings of one field: one, or one for each phase."""
    for place, (channel, single) in enumerate(_by_phase(one, value)):
        name = f"{one.name}[{place}]" if type(value) is list else one.name
        if single is None:
            continue
        try:
            amount = _amount(one, name, channel, single)
        except Unfit as unfit:
            parsed.rejects.append(Reject(unfit.reason, unfit.detail, payload, meter, channel))
            continue
        if amount == 0 and one.drop_zero and is_counter(channel or ""):
            parsed.ignored.append(f"{name} is 0: published before the first measurement")
        elif channel is not None:
            parsed.add(Reading(meter, channel, at, amount))


def _amount(one: Field, name: str, channel: str | None, value: object) -> Decimal:
    if channel is None:
        raise Unfit("unknown_channel", f"{name} has no channel; name one for every phase in `channels`")
    amount = number(name, value)
    if one.factor != 1:
        amount = number(name, amount * one.factor)
    return energy(name, channel, amount)


def meter_of(fmt: Format, place: Place) -> str:
    """The serial number of the meter the element is about; Unfit when there is none."""
    device: object = ABSENT
    for way in fmt.device:
        device = look(place.node, names_only(way[2:])) if way.startswith("$.") else fill(way, place.captures)
        if device not in (None, ABSENT):
            break
    if device in (None, ABSENT):
        raise Unfit("bad_meter", f"no device at {' nor '.join(fmt.device)}; correct `device` of this format")
    if type(device) is str:
        device = fmt.serials.get(device, device)
    return serial("device", device)


def _time(fmt: Format, place: Place) -> datetime | None:
    rule = fmt.time
    for from_top, names in rule.paths:
        written = look(place.top if from_top else place.node, names)
        if written is not ABSENT and written is not None:
            return _instant(rule, ".".join(names), written)
    if rule.required:
        raise Unfit("bad_time", f"{'.'.join(rule.paths[0][1])} is missing; send the time of the values")
    return None


def _instant(rule: TimeRule, name: str, written: object) -> datetime:
    if rule.clock is not Clock.ISO:
        return since_epoch(name, written, 1000 if rule.clock is Clock.MILLISECONDS else 1)
    if rule.zone is None or type(written) is not str or len(written) > 40:
        return instant(name, written)
    moment = naive_or_aware(name, written)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=rule.zone)
    return in_range(name, written, moment)


def _by_phase(one: Field, value: object) -> Sequence[tuple[str | None, object]]:
    if type(value) is not list:
        return [(one.channel or one.channels[0], value)]
    return [(one.channels[place] if place < len(one.channels) else None, single) for place, single in enumerate(value)]
