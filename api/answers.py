"""Answers as bytes: plain dicts to JSON by orjson, exact numbers as text, instants with the point's offset."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import orjson
from fastapi import Response

from api.doorkeeper import Caller
from ingest.channel import unit_of
from storage.history import StoredReading


def json_answer(content: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A ready JSON response. Its shape is declared by the route's response_model and held to it by tests."""
    return Response(orjson.dumps(content), status, {"Cache-Control": "private, no-cache", **(headers or {})}, JSON)


JSON = "application/json"
SAID = {"Vary": "Accept-Language"}
"""Headers of an answer with words in it."""


def plain(value: Decimal) -> str:
    """A decimal as digits with a point, never with an exponent, without idle zeros behind the point."""
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def local(instant: datetime, zone: ZoneInfo) -> datetime:
    """The same instant on the clock of the point."""
    return instant.astimezone(zone)


def maybe_local(instant: datetime | None, zone: ZoneInfo) -> datetime | None:
    """The same for an instant that may be absent."""
    return None if instant is None else instant.astimezone(zone)


def reading_json(reading: StoredReading, zone: ZoneInfo, caller: Caller) -> dict[str, object]:
    """One stored reading. Consumers see the author and note of their own entries only, staff of all."""
    shown = caller.staff or reading.author == caller.consumer
    return {
        "meter": reading.meter,
        "channel": reading.channel,
        "taken_at": reading.taken_at.astimezone(zone),
        "value": plain(reading.value),
        "unit": unit_of(reading.channel),
        "source": reading.source.label,
        "quality": reading.quality.label,
        "reasons": reading.reasons.labels,
        "received_at": reading.received_at.astimezone(zone),
        "author": reading.author if shown else None,
        "note": reading.note if shown else None,
    }


def as_of_json(readings: list[StoredReading], zone: ZoneInfo) -> dict[str, object] | None:
    """As of when, and from which source, an answer is known: its newest reading. None when there is none."""
    if not readings:
        return None
    newest = max(readings, key=lambda reading: reading.taken_at)
    return {"taken_at": newest.taken_at.astimezone(zone), "source": newest.source.label}
