"""A message read after its format: device -> meter, fields -> channels and base units, times -> instants.

Pure but for two memories, both bounded: which controls report a read error just now (their value is the last good one,
repeated, so it is no reading), and what Sparkplug nodes said at birth.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from collectors.births import Births
from collectors.exact import Unfit, read_json, since_epoch
from collectors.format_model import Format, Kind, Retained, fill
from collectors.json_path import walk
from collectors.mapped_fields import Place, add, meter_of, read_place
from collectors.payload import Message, Parsed, read_own, refused, too_large
from collectors.sparkplug import Metric, decode, rebirth
from ingest.delivery import Reject

MOST_FAILING = 100_000
"""Controls remembered as failing; a gateway has hundreds."""

FEW_REJECTS, SMALL = 20, 64 << 10
"""So many rejects each keep the whole payload of so many bytes; more of them, or of a larger one, become one."""


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
            read_place(self.format, Place(message, None, _text(message.payload), captures), parsed)
        else:
            top = read_json(message.payload)
            for node, named in walk(top, self.format.each, captures):
                read_place(self.format, Place(message, top, node, named), parsed)
        return parsed

    def _reports_error(self, captures: Mapping[str, str]) -> bool:
        """Whether one of the error topics that go with this message's captures has its flag up."""
        for topic in self.format.error_topics:
            key = frozenset((name, captures[name]) for name in topic.pattern.groupindex if name in captures)
            if key in self._failing:
                return True
        return False

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
            meter = meter_of(self.format, place)
        except Unfit as unfit:
            parsed.rejects.append(Reject(unfit.reason, unfit.detail, payload))
            return
        if at is None and place.message.retained:
            parsed.ignored.append("a retained message without a time of its own: it says nothing about now")
            return
        for one in fields:
            add(one, named.value, meter, at or place.message.received_at, payload, parsed)


def _text(payload: bytes) -> str:
    try:
        return payload.decode().strip()
    except UnicodeDecodeError as e:
        raise Unfit("malformed", f"the payload is not text (byte {e.start}); publish a number like 12345.678") from e


def _few_rejects(parsed: Parsed, payload: bytes) -> Parsed:
    """Each reject of a mapped payload keeps the whole of it; many would multiply it."""
    first, count = parsed.rejects[:1], len(parsed.rejects)
    if count > FEW_REJECTS or (count > 1 and len(payload) > SMALL):
        detail = f"{count} values are unfit, the first: {first[0].detail}"
        parsed.rejects = [Reject(first[0].reason, detail, payload)]
    return parsed
