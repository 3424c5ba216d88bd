"""What a forwarding collector sends beside readings: load profiles, contacts and rejects, and the name of its batch.

    {"id": "5f…", "readings": […],
     "intervals": [{"meter", "channel", "start", "seconds", "energy"}],
     "contacts": [{"meter", "at" [, "failure", "detail", "drift" in seconds, "since"]}],
     "rejects": [{"reason", "detail", "raw" or "raw_base64" [, "meter", "channel"]}]}

Pure. As with readings one bad element is refused alone, in an envelope that can be delivered again.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from datetime import timedelta
from decimal import Decimal
from typing import TypeVar

from collectors.exact import Twice, Unfit, energy, instant, number, obis, serial, shown
from ingest.delivery import Contact, Reject
from ingest.model import IntervalReading

BESIDE = ("intervals", "contacts", "rejects")
LONGEST_RECEIPT = 64
_LONGEST_CODE, _LONGEST_DETAIL = 40, 2000
_MOST_SECONDS = Decimal(366 * 86400)

Element = Mapping[str, object]
_T = TypeVar("_T")


def receipt_of(written: object) -> str:
    """The name of a batch, which its sender wants to hear back; Unfit when it is none."""
    return _text("id", written, LONGEST_RECEIPT)


def interval_of(element: object) -> IntervalReading:
    """One interval of a load profile."""
    known = _only(element, ("meter", "channel", "start", "seconds", "energy"), ())
    channel = obis("channel", known["channel"])
    seconds = number("seconds", known["seconds"])
    if not 0 < seconds <= _MOST_SECONDS:
        raise Unfit("bad_value", f"seconds {shown(seconds)} is no length of an interval; send 1800 for half an hour")
    amount = energy("energy", channel, number("energy", known["energy"]))
    length = timedelta(microseconds=int(seconds * 1_000_000))
    return IntervalReading(serial("meter", known["meter"]), channel, instant("start", known["start"]), length, amount)


def contact_of(element: object) -> Contact:
    """One attempt to reach a meter."""
    known = _only(element, ("meter", "at"), ("failure", "detail", "drift", "since"))
    drift = _given(known, "drift", lambda value: _seconds("drift", value))
    return Contact(
        serial("meter", known["meter"]),
        instant("at", known["at"]),
        _given(known, "failure", lambda value: _text("failure", value, _LONGEST_CODE)),
        _given(known, "detail", lambda value: _text("detail", value, _LONGEST_DETAIL)),
        drift,
        since=_given(known, "since", lambda value: instant("since", value)),
    )


def reject_of(element: object, envelope: bytes) -> Reject:
    """A piece that made no reading where it was polled; it is kept as it was sent, so that a replay says the same."""
    known = _only(element, ("reason", "detail"), ("raw", "raw_base64", "meter", "channel"))
    if "raw_base64" in known:
        try:
            base64.b64decode(str(known["raw_base64"]).encode(), validate=True)
        except (binascii.Error, UnicodeEncodeError) as e:
            raise Unfit("bad_value", f"raw_base64 {shown(known['raw_base64'])} is not base64: {e}") from e
    return Reject(
        _text("reason", known["reason"], _LONGEST_CODE),
        _text("detail", known["detail"], _LONGEST_DETAIL),
        envelope,
        _given(known, "meter", lambda value: serial("meter", value)),
        _given(known, "channel", lambda value: obis("channel", value)),
    )


def _only(element: object, required: tuple[str, ...], optional: tuple[str, ...]) -> Element:
    if isinstance(element, Twice):
        raise element.unfit()
    if type(element) is not dict:
        raise Unfit("malformed", f"the element is {shown(element)}; send an object with {', '.join(required)}")
    for name in element:
        if name not in required and name not in optional:
            raise Unfit(
                "unknown_field", f"{shown(name)} = {shown(element[name])} is not a field of this format; drop it"
            )
    for name in required:
        if name not in element:
            raise Unfit("missing_field", f"{name} is missing; send {', '.join(required)}")
    return element


def _given(known: Element, name: str, read: Callable[[object], _T]) -> _T | None:
    value = known.get(name)
    return None if value is None else read(value)


def _text(name: str, value: object, longest: int) -> str:
    if type(value) is not str or not 0 < len(value) <= longest or not value.isprintable():
        raise Unfit("bad_value", f"{name} {shown(value)} is no text; write 1 to {longest} printable characters")
    return value


def _seconds(name: str, value: object) -> timedelta:
    seconds = number(name, value)
    if abs(seconds) > _MOST_SECONDS * 100:
        raise Unfit("bad_value", f"{name} {shown(seconds)} is out of range; write seconds")
    return timedelta(microseconds=int(seconds * 1_000_000))
