"""A delivery as the bytes a spool keeps, whole, and back again. Pure."""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

import orjson

from collectors.spool_items import Item
from ingest.delivery import Contact, Delivery, Reject
from ingest.errors import Malformed
from ingest.instants import instant, micros, span
from ingest.model import IntervalReading, Reading, Source

DayOf = Callable[[str, datetime], date]
"""The local day of an instant at a meter."""

NEWS = "contact "
"""Begins the series of deliveries that bring no reading, only the news of an attempt."""


def item_of(delivery: Delivery, now: datetime, day_of: DayOf) -> Item:
    """How a spool keeps it: a poll may be thinned by the rule of a full spool, what an archive gave may not."""
    body = write(delivery)
    found = _poll_of(delivery)
    if found is None:
        return Item(body)
    meter, series, at = found
    return Item(body, series, at, day_of(meter, at))


def _poll_of(delivery: Delivery) -> tuple[str, str, datetime] | None:
    """Meter, series and instant of a delivery that is one poll of one meter; a series is a meter's set of registers."""
    if delivery.intervals or delivery.rejects:
        return None
    if not delivery.readings:
        if len(delivery.contacts) != 1:
            return None
        [contact] = delivery.contacts
        return contact.meter, NEWS + contact.meter, contact.tried_at
    meters = {reading.meter for reading in delivery.readings}
    instants = {reading.taken_at for reading in delivery.readings}
    if len(meters) > 1 or len(instants) > 1:
        return None
    meter = meters.pop()
    channels = " ".join(sorted({reading.channel for reading in delivery.readings}))
    return meter, f"{meter} {channels}", instants.pop()


def meter_of(series: str) -> str:
    """The meter whose series this is."""
    return series.removeprefix(NEWS).split(" ", 1)[0]


def write(delivery: Delivery) -> bytes:
    """Everything of it as JSON; numbers as text, instants in microseconds."""
    parts: dict[str, Any] = {
        "origin": delivery.origin,
        "readings": [_reading(one) for one in delivery.readings],
        "rejects": [[one.reason, one.detail, _text(one.raw), one.meter, one.channel] for one in delivery.rejects],
        "contacts": [_contact(one) for one in delivery.contacts],
        "intervals": [_interval(one) for one in delivery.intervals],
        "raw": _text(delivery.raw),
        "gateway": delivery.gateway,
        "receipt": delivery.receipt,
    }
    return orjson.dumps({name: part for name, part in parts.items() if part})


def read(body: bytes) -> Delivery:
    """The delivery that was written. Raises Malformed for bytes that are none."""
    try:
        parts = orjson.loads(body)
        return Delivery(
            parts["origin"],
            [_read_reading(row) for row in parts.get("readings", ())],
            [Reject(row[0], row[1], _bytes(row[2]), row[3], row[4]) for row in parts.get("rejects", ())],
            [_read_contact(row) for row in parts.get("contacts", ())],
            [_read_interval(row) for row in parts.get("intervals", ())],
            _bytes(parts.get("raw", "")),
            parts.get("gateway"),
            parts.get("receipt", ""),
        )
    except (ValueError, TypeError, LookupError, AttributeError, InvalidOperation, OverflowError) as error:
        raise Malformed(f"{body[:100]!r} is no spooled delivery: {error!r}") from error


def _reading(one: Reading) -> list[Any]:
    row = [one.meter, one.channel, micros(one.taken_at), str(one.value), int(one.source)]
    if one.captured_at is None and one.author is None and one.note is None:
        return row
    return [*row, None if one.captured_at is None else micros(one.captured_at), one.author, one.note]


def _read_reading(row: list[Any]) -> Reading:
    meter, channel, at, value, source, *rest = row
    captured, author, note = rest or (None, None, None)
    captured_at = None if captured is None else instant(captured)
    return Reading(meter, channel, instant(at), Decimal(value), Source(source), captured_at, author, note)


def _contact(one: Contact) -> list[Any]:
    drift = None if one.drift is None else span(one.drift)
    since = None if one.since is None else micros(one.since)
    return [one.meter, micros(one.tried_at), one.failure, one.detail, drift, one.gateway, since]


def _read_contact(row: list[Any]) -> Contact:
    meter, at, failure, detail, drift, gateway, since = row
    length = None if drift is None else timedelta(microseconds=drift)
    return Contact(meter, instant(at), failure, detail, length, gateway, None if since is None else instant(since))


def _interval(one: IntervalReading) -> list[Any]:
    return [one.meter, one.channel, micros(one.start), span(one.length), str(one.energy), int(one.source)]


def _read_interval(row: list[Any]) -> IntervalReading:
    meter, channel, start, length, energy, source = row
    return IntervalReading(
        meter, channel, instant(start), timedelta(microseconds=length), Decimal(energy), Source(source)
    )


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


def utc_day(meter: str, at: datetime) -> date:
    """The day where nothing is known of the meter's zone."""
    return at.astimezone(UTC).date()
