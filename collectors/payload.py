"""MQTT topic and bytes -> the content of a delivery, in this service's own JSON. Pure: no clock, no I/O, no state.

Topic `amr/v1/<gateway>/readings`, payload
`{"readings": [{"meter": "<serial>", "channel": "1.8.0", "at": "2026-11-20T00:00:00+04:00", "value": "12345.678"}]}`.
Values are JSON strings or numbers, taken exactly as their digits stand. `captured` (optional) is when the sender had
the value in hand, if `at` is the meter's own time. One bad element never costs its neighbours: it becomes a reject
naming field, value and remedy, with an envelope around it that can be delivered again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from collectors.exact import Unfit, energy, instant, number, obis, read_json, serial, shown, write_json
from ingest.delivery import Reject
from ingest.model import Reading

LARGEST_PAYLOAD = 4 << 20
"""Bytes of one message that are still parsed: about 40 000 readings. A parsed tree takes up to 60 times as much."""

MOST_REJECTS = 100
"""Rejects of one message kept apart; the rest become one with the whole message."""

_REQUIRED = ("meter", "channel", "at", "value")
_KNOWN = frozenset({*_REQUIRED, "captured"})


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
    """What a message says. `ignored` tells what was left out on purpose and why (a retained value, a start-up zero)."""

    readings: list[Reading] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)


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
    """Readings and rejects of one message in our own JSON."""
    try:
        elements, strangers = _elements(read_json(payload))
    except Unfit as unfit:
        return refused(payload, unfit)
    parsed = Parsed(rejects=[Reject(unfit.reason, unfit.detail, payload) for unfit in strangers])
    for element in elements:
        try:
            parsed.readings.append(_reading(element))
        except Unfit as unfit:
            parsed.rejects.append(_reject(element, unfit, payload))
            if len(parsed.rejects) > MOST_REJECTS:
                return _curtailed(parsed, elements, payload)
    return parsed


def _elements(content: object) -> tuple[list[object], list[Unfit]]:
    if type(content) is not dict:
        raise Unfit("malformed", f'the payload is {shown(content)}; send an object {{"readings": [...]}}')
    elements = content.get("readings")
    if type(elements) is not list:
        found = shown(elements) if "readings" in content else "missing"
        raise Unfit("malformed", f"readings is {found}; send a list of objects with {', '.join(_REQUIRED)}")
    if len(content) == 1:
        return elements, []
    return elements, list(_strangers(content, {"readings"}))


def _reading(element: object) -> Reading:
    if type(element) is not dict:
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


def _strangers(content: dict[str, object], known: Iterable[str]) -> Iterable[Unfit]:
    """An unknown field may change the meaning of the known ones (a unit, a ratio), so it is never skipped over."""
    for name in content:
        if name not in known:
            yield Unfit(
                "unknown_field", f"{shown(name)} = {shown(content[name])} is not a field of this format; drop it"
            )


def _reject(element: object, unfit: Unfit, payload: bytes) -> Reject:
    try:
        raw = write_json({"readings": [element]})
    except RecursionError:
        raw = payload
    return Reject(unfit.reason, unfit.detail, raw, *_named(element))


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
    kept = Parsed(rejects=parsed.rejects[:MOST_REJECTS])
    bad = 0
    for element in elements:
        try:
            kept.readings.append(_reading(element))
        except Unfit:
            bad += 1
    detail = (
        f"{bad} of {len(elements)} readings are unfit, the first {MOST_REJECTS} of them kept apart; see their reasons"
    )
    kept.rejects.append(Reject("malformed", detail, payload))
    return kept
