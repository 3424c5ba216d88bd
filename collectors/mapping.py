"""A message read after its format: device -> meter, fields -> channels and base units, times -> instants.

Pure but for two memories, both bounded: which controls report a read error just now (their value is the last good one,
repeated, so it is no reading), and what Sparkplug nodes said at birth.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from collectors.births import Births
from collectors.exact import Unfit, energy, in_range, instant, naive_or_aware, number, read_json, serial, since_epoch
from collectors.format_model import Clock, Field, Format, Kind, Retained, fill
from collectors.json_path import ABSENT, look, names_only, walk
from collectors.payload import Message, Parsed, read_own, refused, too_large
from collectors.sparkplug import Metric, decode, rebirth
from ingest.channel import is_counter
from ingest.delivery import Reject
from ingest.model import Reading

MOST_FAILING = 100_000
"""Controls remembered as failing; a gateway has hundreds."""

FEW_REJECTS, SMALL = 20, 64 << 10
"""So many rejects each keep the whole payload of so many bytes; more of them, or of a larger one, become one."""


@dataclass(slots=True)
class Place:
    """Where in a payload we are: the element, the top, and what topic and path captured."""

    message: Message
    top: object
    node: object
    captures: Mapping[str, str]


@dataclass(slots=True)
class Mapper:
    """One format at work."""

    format: Format
    births: Births = field(default_factory=Births)
    requests: list[tuple[str, bytes]] = field(default_factory=list)
    _failing: dict[frozenset[tuple[str, str]], None] = field(default_factory=dict)

    def read(self, message: Message, captures: Mapping[str, str]) -> Parsed:
        """What a message on one of the format's topics says."""
        oversize = too_large(message.payload, message.cut)
        if oversize is not None:
            return oversize
        if self.format.kind is Kind.OWN:
            return read_own(message.payload)
        if message.retained and self.format.retained is Retained.IGNORE:
            return Parsed(ignored=["a retained message: it says nothing about now"])
        if not message.payload:
            return Parsed(ignored=["an empty message: it clears a retained one"])
        try:
            parsed = self._mapped(message, captures)
        except Unfit as unfit:
            return refused(message.payload, unfit)
        return _few_rejects(parsed, message.payload)

    def gateway(self, captures: Mapping[str, str]) -> str:
        """Who speaks: only meters assigned to this gateway are let in."""
        return fill(self.format.gateway, captures) or self.format.name

    def note_error(self, payload: bytes, captures: Mapping[str, str]) -> Parsed:
        """Remember whether the control with these captures reports that it cannot be read."""
        key = frozenset(captures.items())
        self._failing.pop(key, None)
        if self.format.error_flag in payload.decode(errors="replace"):
            while len(self._failing) >= MOST_FAILING:
                self._failing.pop(next(iter(self._failing)))
            self._failing[key] = None
            return Parsed(ignored=["an error flag: values are not taken until it is lifted"])
        return Parsed(ignored=["an error flag lifted"])

    def _mapped(self, message: Message, captures: Mapping[str, str]) -> Parsed:
        parsed = Parsed()
        if self._failing and self._reports_error(captures):
            parsed.ignored.append("the device reports a read error: this is its last good value repeated")
        elif self.format.kind is Kind.SPARKPLUG:
            self._read_sparkplug(message, captures, parsed)
        elif self.format.kind is Kind.NUMBER:
            self._read_place(Place(message, None, _text(message.payload), captures), parsed)
        else:
            top = read_json(message.payload)
            for node, named in walk(top, self.format.each, captures):
                self._read_place(Place(message, top, node, named), parsed)
        return parsed

    def _reports_error(self, captures: Mapping[str, str]) -> bool:
        """Whether one of the error topics that go with this message's captures has its flag up."""
        for topic in self.format.error_topics:
            key = frozenset((name, captures[name]) for name in topic.pattern.groupindex if name in captures)
            if key in self._failing:
                return True
        return False

    # -- JSON and bare numbers --------------------------------------------------------------------------------------

    def _read_place(self, place: Place, parsed: Parsed) -> None:
        found = [(one, value) for one in self.format.fields if (value := self._value(one, place)) is not ABSENT]
        found = [(one, value) for one, value in found if value is not None]
        if not found:
            parsed.ignored.append("no field of this format, or none with a value")
            return
        try:
            own_time = self._time(place)
            meter = self._meter(place)
        except Unfit as unfit:
            parsed.rejects.append(Reject(unfit.reason, unfit.detail, place.message.payload))
            return
        if own_time is None and place.message.retained and self.format.retained is not Retained.TAKE:
            parsed.ignored.append("a retained message without a time of its own: it says nothing about now")
            return
        for one, value in found:
            self._add(one, value, meter, own_time or place.message.received_at, place.message.payload, parsed)

    def _value(self, one: Field, place: Place) -> object:
        if any(place.captures.get(name) != value for name, value in one.when.items()):
            return ABSENT
        return place.node if self.format.kind is Kind.NUMBER else look(place.node, one.path)

    def _add(self, one: Field, value: object, meter: str, at: datetime, payload: bytes, parsed: Parsed) -> None:
        """Readings of one field: one, or one for each phase."""
        for place, (channel, single) in enumerate(_by_phase(one, value)):
            name = f"{one.name}[{place}]" if type(value) is list else one.name
            if single is None:
                continue
            try:
                amount = self._amount(one, name, channel, single)
            except Unfit as unfit:
                parsed.rejects.append(Reject(unfit.reason, unfit.detail, payload, meter, channel))
                continue
            if amount == 0 and one.drop_zero and is_counter(channel or ""):
                parsed.ignored.append(f"{name} is 0: published before the first measurement")
            elif channel is not None:
                parsed.readings.append(Reading(meter, channel, at, amount))

    def _amount(self, one: Field, name: str, channel: str | None, value: object) -> Decimal:
        if channel is None:
            raise Unfit("unknown_channel", f"{name} has no channel; name one for every phase in `channels`")
        amount = number(name, value)
        if one.factor != 1:
            amount = number(name, amount * one.factor)
        return energy(name, channel, amount)

    def _meter(self, place: Place) -> str:
        device: object = ABSENT
        for way in self.format.device:
            device = look(place.node, names_only(way[2:])) if way.startswith("$.") else fill(way, place.captures)
            if device not in (None, ABSENT):
                break
        if device in (None, ABSENT):
            raise Unfit(
                "bad_meter", f"no device at {' nor '.join(self.format.device)}; correct `device` of this format"
            )
        if type(device) is str:
            device = self.format.serials.get(device, device)
        return serial("device", device)

    def _time(self, place: Place) -> datetime | None:
        rule = self.format.time
        for from_top, names in rule.paths:
            written = look(place.top if from_top else place.node, names)
            if written is not ABSENT and written is not None:
                return self._instant(".".join(names), written)
        if rule.required:
            raise Unfit("bad_time", f"{'.'.join(rule.paths[0][1])} is missing; send the time of the values")
        return None

    def _instant(self, name: str, written: object) -> datetime:
        rule = self.format.time
        if rule.clock is not Clock.ISO:
            return since_epoch(name, written, 1000 if rule.clock is Clock.MILLISECONDS else 1)
        if rule.zone is None or type(written) is not str or len(written) > 40:
            return instant(name, written)
        moment = naive_or_aware(name, written)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=rule.zone)
        return in_range(name, written, moment)

    # -- Sparkplug B ------------------------------------------------------------------------------------------------

    def _read_sparkplug(self, message: Message, captures: Mapping[str, str], parsed: Parsed) -> None:
        kind = captures.get("type", "")
        if kind not in ("NBIRTH", "NDATA", "NDEATH", "DBIRTH", "DDATA", "DDEATH"):
            parsed.ignored.append(f"a message of type {kind[:20]!r} carries no readings")
            return
        payload = decode(message.payload)
        node = f"{captures.get('group')}/{captures.get('edge')}"
        if self.births.learn(node, kind, payload, message.received_at.timestamp()):
            self.requests.append((f"spBv1.0/{captures.get('group')}/NCMD/{captures.get('edge')}", rebirth()))
        if kind.endswith("DEATH"):
            parsed.ignored.append("a death: it carries no readings")
            return
        place = Place(message, None, None, captures)
        for metric in payload.metrics:
            self._read_metric(metric, node, place, parsed)

    def _read_metric(self, metric: Metric, node: str, place: Place, parsed: Parsed) -> None:
        payload = place.message.payload
        named = self.births.named(node, metric)
        if named is None:
            detail = f"alias {metric.alias} of {node} was never told; a rebirth is asked for, replay this after it"
            parsed.rejects.append(Reject("unknown_alias", detail, payload))
            return
        fields = [one for one in self.format.fields if one.path == (named.name,)]
        if not fields:
            parsed.ignored.append(f"metric {named.name!r:.60} is no field of this format")
            return
        if named.value is None:
            parsed.ignored.append(f"metric {named.name!r:.60} has no value")
            return
        try:
            at = since_epoch("timestamp", Decimal(named.time), 1000) if named.time is not None else None
            meter = self._meter(place)
        except Unfit as unfit:
            parsed.rejects.append(Reject(unfit.reason, unfit.detail, payload))
            return
        if at is None and place.message.retained:
            parsed.ignored.append("a retained message without a time of its own: it says nothing about now")
            return
        for one in fields:
            self._add(one, named.value, meter, at or place.message.received_at, payload, parsed)


def _text(payload: bytes) -> str:
    try:
        return payload.decode().strip()
    except UnicodeDecodeError as e:
        raise Unfit("malformed", f"the payload is not text (byte {e.start}); publish a number like 12345.678") from e


def _by_phase(one: Field, value: object) -> Sequence[tuple[str | None, object]]:
    if type(value) is not list:
        return [(one.channel or one.channels[0], value)]
    return [(one.channels[place] if place < len(one.channels) else None, single) for place, single in enumerate(value)]


def _few_rejects(parsed: Parsed, payload: bytes) -> Parsed:
    """Each reject of a mapped payload keeps the whole of it; many would multiply it."""
    first, count = parsed.rejects[:1], len(parsed.rejects)
    if count > FEW_REJECTS or (count > 1 and len(payload) > SMALL):
        detail = f"{count} values are unfit, the first: {first[0].detail}"
        parsed.rejects = [Reject(first[0].reason, detail, payload)]
    return parsed
