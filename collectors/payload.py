"""MQTT topic and bytes -> the content of a delivery, in this service's own JSON. Pure: no clock, no I/O, no state.

Topic `amr/v1/<gateway>/readings`, payload
`{"readings": [{"meter": "<serial>", "channel": "1.8.0", "at": "2026-11-20T00:00:00+04:00", "value": "12345.678"}]}`.
Values are JSON strings or numbers, taken exactly as their digits stand. `captured` (optional) is when the sender had
the value in hand, if `at` is the meter's own time. One bad element never costs its neighbours: it becomes a reject
naming field, value and remedy, with an envelope around it that can be delivered again. `id` (optional) names the batch:
it is confirmed by that name after the commit. What else a forwarding collector sends: `payload_beside`.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import NamedTuple

from collectors.exact import Twice, Unfit, energy, instant, number, obis, read_json, serial, shown, write_json
from collectors.payload_beside import BESIDE, contact_of, interval_of, receipt_of, reject_of
from collectors.plain_json import read_plain
from ingest.delivery import Contact, Reject
from ingest.model import IntervalReading, Reading

LARGEST_PAYLOAD = 4 << 20
"""Bytes of one message that are still parsed: about 40 000 readings. A parsed tree takes up to 60 times as much."""

MOST_REJECTS = 100
"""Rejects of one message kept apart; the rest become one with the whole message."""

_REQUIRED = ("meter", "channel", "at", "value")
_KNOWN = frozenset({*_REQUIRED, "captured"})
_TOP = frozenset({"readings", "id", *BESIDE})


class Message(NamedTuple):
    """One PUBLISH as it came. `retained`: the broker kept it from earlier, it says nothing about now.

    `cut`: how many bytes of an enormous payload were not even kept in memory.
    """

    topic: str
    payload: bytes
    received_at: datetime
    retained: bool = False
    cut: int = 0


@dataclass(slots=True)
class Parsed:
    """What a message says. `ignored` tells what was left out on purpose and why (a retained value, a start-up zero).

    `receipt` is the sender's name of the message, empty when it wants no confirmation.
    """

    readings: Sequence[Reading] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)
    intervals: list[IntervalReading] = field(default_factory=list)
    contacts: list[Contact] = field(default_factory=list)
    receipt: str = ""

    def add(self, reading: Reading) -> None:
        """One reading more, of a message that is read piece by piece."""
        assert isinstance(self.readings, list)
        self.readings.append(reading)


def refused(payload: bytes, unfit: Unfit) -> Parsed:
    """A message of which nothing can be used: one reject with all of it."""
    return Parsed(rejects=[Reject(unfit.reason, unfit.detail, payload)])


def too_large(payload: bytes, cut: int = 0) -> Parsed | None:
    """The refusal of a message too large to be parsed; None for any other."""
    size = len(payload) + cut
    if size <= LARGEST_PAYLOAD:
        return None
    kept = f"; the first {len(payload)} are kept" if cut else ""
    return refused(payload, Unfit("too_large", f"{size} bytes in one message{kept}; send at most {LARGEST_PAYLOAD}"))


def read_own(payload: bytes) -> Parsed:
    """What one message in our own JSON says."""
    plain = read_plain(payload)
    if plain is not None:
        parsed = Parsed(plain[0])
        if plain[1]:
            _read_beside(plain[1], payload, parsed)
        return parsed
    return read_with_care(payload)


def read_with_care(payload: bytes) -> Parsed:
    """The same element by element, with a reject for each that is wrong."""
    try:
        content = _object(read_json(payload, strict=True))
        elements = _elements(content)
    except Unfit as unfit:
        return refused(payload, unfit)
    parsed = Parsed()
    if len(content) > 1 or "readings" not in content:
        _read_beside(content, payload, parsed)
    for element in elements:
        try:
            parsed.add(_reading(element))
        except Unfit as unfit:
            parsed.rejects.append(_reject("readings", element, unfit, payload))
            if len(parsed.rejects) > MOST_REJECTS:
                return _curtailed(parsed, elements, payload)
    return parsed


def _object(content: object) -> dict[str, object]:
    if isinstance(content, Twice):
        raise content.unfit()
    if type(content) is not dict:
        raise Unfit("malformed", f'the payload is {shown(content)}; send an object {{"readings": [...]}}')
    return content


def _elements(content: dict[str, object]) -> list[object]:
    elements = content.get("readings", () if any(name in content for name in BESIDE) else None)
    if elements == ():
        return []
    if type(elements) is not list:
        found = shown(elements) if "readings" in content else "missing"
        raise Unfit("malformed", f"readings is {found}; send a list of objects with {', '.join(_REQUIRED)}")
    return elements


def _read_beside(content: dict[str, object], payload: bytes, parsed: Parsed) -> None:
    """Everything but the readings; what is wrong with it costs none of them."""
    strangers = list(_strangers(content, _TOP))
    for stranger in strangers[:1]:  # each keeps the whole message
        more = f" ({len(strangers) - 1} more are none either)" if len(strangers) > 1 else ""
        parsed.rejects.append(Reject(stranger.reason, stranger.detail + more, payload))
    if "id" in content:
        try:
            parsed.receipt = receipt_of(content["id"])
        except Unfit as unfit:
            parsed.rejects.append(Reject(unfit.reason, unfit.detail, payload))
    bad = 0
    for name in BESIDE:
        elements = content.get(name, [])
        if type(elements) is not list:
            parsed.rejects.append(Reject("malformed", f"{name} is {shown(elements)}; send a list", payload))
            continue
        for element in elements:
            try:
                _read_one_beside(name, element, payload, parsed)
            except Unfit as unfit:
                bad += 1
                if bad <= MOST_REJECTS:
                    parsed.rejects.append(_reject(name, element, unfit, payload))
    if bad > MOST_REJECTS:
        detail = f"{bad} elements beside the readings are unfit, the first {MOST_REJECTS} of them kept apart"
        parsed.rejects.append(Reject("malformed", detail, payload))


def _read_one_beside(name: str, element: object, payload: bytes, parsed: Parsed) -> None:
    if name == "intervals":
        parsed.intervals.append(interval_of(element))
    elif name == "contacts":
        parsed.contacts.append(contact_of(element))
    else:
        parsed.rejects.append(reject_of(element, _envelope(name, element, payload)))


def _reading(element: object) -> Reading:
    if type(element) is not dict:
        if isinstance(element, Twice):
            raise element.unfit()
        raise Unfit("malformed", f"the reading is {shown(element)}; send an object with {', '.join(_REQUIRED)}")
    try:
        meter, channel, at, value = element["meter"], element["channel"], element["at"], element["value"]
    except KeyError as e:
        raise Unfit("missing_field", f"{e.args[0]} is missing; send {', '.join(_REQUIRED)}") from e
    captured = None
    if len(element) > 4:
        for stranger in _strangers(element, _KNOWN):
            raise stranger
        captured = instant("captured", element["captured"])
    code = obis("channel", channel)
    amount = energy("value", code, number("value", value))
    return Reading(serial("meter", meter), code, instant("at", at), amount, captured_at=captured)


def _strangers(content: Mapping[str, object], known: Container[str]) -> Iterable[Unfit]:
    """An unknown field may change the meaning of the known ones (a unit, a ratio), so it is never skipped over."""
    for name in content:
        if name not in known:
            yield Unfit(
                "unknown_field", f"{shown(name)} = {shown(content[name])} is not a field of this format; drop it"
            )


def _reject(name: str, element: object, unfit: Unfit, payload: bytes) -> Reject:
    return Reject(unfit.reason, unfit.detail, _envelope(name, element, payload), *_named(element))


def _envelope(name: str, element: object, payload: bytes) -> bytes:
    """The element in a message of its own; where that would not say the same, the message as it came."""
    if isinstance(element, Twice):
        return payload
    try:
        return write_json({name: [element]})
    except RecursionError:
        return payload


def _named(element: object) -> tuple[str | None, str | None]:
    """Meter and channel of a bad element, as far as they are fit themselves."""
    names: list[str | None] = []
    for check, name in ((serial, "meter"), (obis, "channel")):
        try:
            names.append(check(name, element[name]) if isinstance(element, dict) and name in element else None)
        except Unfit:
            names.append(None)
    return names[0], names[1]


def _curtailed(parsed: Parsed, elements: list[object], payload: bytes) -> Parsed:
    """The good ones are kept to the last; of the bad ones the first are told apart, the rest lie in the whole."""
    kept = replace(parsed, readings=[], rejects=parsed.rejects[:MOST_REJECTS])
    bad = 0
    for element in elements:
        try:
            kept.add(_reading(element))
        except Unfit:
            bad += 1
    detail = (
        f"{bad} of {len(elements)} readings are unfit, the first {MOST_REJECTS} of them kept apart; see their reasons"
    )
    kept.rejects.append(Reject("malformed", detail, payload))
    return kept
