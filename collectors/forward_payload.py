"""What a forwarding collector keeps of a delivery, and the messages it makes of what it kept: our own JSON. Pure.

Nothing is judged here: values, times, refusals and silence go as they came, and the central ingest says what they mean.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from collectors.payload_beside import BESIDE
from collectors.spool_items import Item
from ingest.delivery import Contact, Delivery, Reject
from ingest.model import IntervalReading, Reading

LARGEST_MESSAGE = 64 << 10
"""Bytes of bodies put into one message: a link of 10 KB/s is not busy for long with it."""

_LONGEST_DETAIL = 2000
_PARTS = ("readings", *BESIDE)


def readings_topic(gateway: str) -> str:
    """Where a gateway publishes."""
    return f"amr/v1/{gateway}/readings"


def item_of(delivery: Delivery, now: datetime) -> Item:
    """One delivery as it is kept. A full spool may thin the polls of a meter, never what its archive gave."""
    parts = {
        "readings": [_reading(one) for one in delivery.readings],
        "intervals": [_interval(one) for one in delivery.intervals],
        "contacts": [_contact(one) for one in delivery.contacts],
        "rejects": [_reject(one) for one in delivery.rejects],
    }
    body = orjson.dumps({name: part for name, part in parts.items() if part})
    series, at = _poll_of(delivery)
    return Item(body, series, None if series is None else at or now)


def message_of(receipt: str, bodies: Iterable[bytes]) -> bytes:
    """One message with everything these bodies hold. A body that a damaged disk changed goes as a reject."""
    whole: dict[str, Any] = {"id": receipt}
    for body in bodies:
        for name, part in _parts(body).items():
            whole.setdefault(name, []).extend(part)
    return orjson.dumps(whole)


def _parts(body: bytes) -> Mapping[str, list[Any]]:
    try:
        parts = orjson.loads(body)
        if isinstance(parts, dict) and all(name in _PARTS and type(part) is list for name, part in parts.items()):
            return parts
        detail = "it is no delivery"
    except orjson.JSONDecodeError as error:
        detail = str(error)
    detail = f"what was kept on the forwarding collector's disk cannot be read: {detail}"
    return {"rejects": [_reject(Reject("damaged", detail, body))]}


def _poll_of(delivery: Delivery) -> tuple[str | None, datetime | None]:
    """Whose poll a delivery is, and of when; None for what no later poll makes up for."""
    if delivery.intervals or delivery.rejects:
        return None, None
    if delivery.readings:
        meters = {reading.meter for reading in delivery.readings}
        return (meters.pop(), delivery.readings[0].taken_at) if len(meters) == 1 else (None, None)
    tried = {contact.meter for contact in delivery.contacts}
    return (f"contact {tried.pop()}", delivery.contacts[0].tried_at) if len(tried) == 1 else (None, None)


def _reading(one: Reading) -> Mapping[str, str]:
    said = {"meter": one.meter, "channel": one.channel, "at": _instant(one.taken_at), "value": f"{one.value:f}"}
    return said if one.captured_at is None else {**said, "captured": _instant(one.captured_at)}


def _interval(one: IntervalReading) -> Mapping[str, str]:
    return {
        "meter": one.meter,
        "channel": one.channel,
        "start": _instant(one.start),
        "seconds": _seconds(one.length),
        "energy": f"{one.energy:f}",
    }


def _contact(one: Contact) -> Mapping[str, str]:
    said = {"meter": one.meter, "at": _instant(one.tried_at)}
    if one.failure is not None:
        said["failure"] = one.failure
    if one.detail:
        said["detail"] = _printable(one.detail)
    if one.drift is not None:
        said["drift"] = _seconds(one.drift)
    if one.since is not None:
        said["since"] = _instant(one.since)
    return said


def _reject(one: Reject) -> Mapping[str, str]:
    said = {"reason": one.reason, "detail": _printable(one.detail) or one.reason}
    try:
        said["raw"] = one.raw.decode()
    except UnicodeDecodeError:
        said["raw_base64"] = base64.b64encode(one.raw).decode()
    if one.meter is not None:
        said["meter"] = one.meter
    if one.channel is not None:
        said["channel"] = one.channel
    return said


def _instant(at: datetime) -> str:
    return at.astimezone(UTC).isoformat()


def _seconds(length: timedelta) -> str:
    whole, rest = divmod(abs(length // timedelta(microseconds=1)), 1_000_000)
    return f"{'-' if length < timedelta(0) else ''}{whole}.{rest:06}"


def _printable(text: str) -> str:
    return "".join(sign if sign.isprintable() else " " for sign in text)[:_LONGEST_DETAIL]
