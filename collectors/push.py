"""The push path put together: a broker tried out, formats that suit it, and a subscriber between it and the door."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from collectors.broker import Broker
from collectors.certificates import Expiry
from collectors.formats_in_use import Formats
from collectors.probe import warn_if_too_small
from collectors.subscriber import Door, Subscriber
from ingest.errors import Misconfigured

GRACE = 2.0
"""Seconds a stopping process waits for what is in hand to be committed; what is not then is left to the broker."""


def subscriber_of(broker: Broker, formats: Formats, door: Door) -> Subscriber:
    """A subscriber to everything the formats understand.

    Misconfigured for a group together with a format that remembers: members of a shared subscription each see a part
    of the stream, so one would hear the births or the error flags another one needs.
    """
    remembering = [one.name for one in formats.formats if one.remembers]
    if broker.group is not None and remembering:
        raise Misconfigured(
            f"MQTT group {broker.group!r} with format {remembering[0]!r}: it needs every message of a sender in one"
            " process; receive it in a process of its own without a group"
        )
    return Subscriber(broker, formats.filters, formats.parse, door, requests=formats.requests, grace=GRACE)


async def receive(subscriber: Subscriber, *, try_out: bool = True) -> None:
    """Subscribe until cancelled (see `Subscriber.run`); meanwhile try the broker out, and warn of what is too small."""
    if not try_out:
        await subscriber.run()
        return
    trying = asyncio.create_task(warn_if_too_small(subscriber.broker), name="probe")
    try:
        await subscriber.run()
    finally:
        trying.cancel()
        await asyncio.gather(trying, return_exceptions=True)


def state_of(subscriber: Subscriber, certificates: Iterable[Expiry]) -> dict[str, object]:
    """How it stands with the broker, as the process says of itself; instants in ISO 8601."""
    standing, broker = subscriber.standing, subscriber.broker
    return {
        "broker": f"{broker.host}:{broker.port}",
        "connected": standing.connected,
        "since": standing.since.isoformat(),
        "detail": standing.trouble,
        "in_flight": subscriber.held,
        "certificates": [{"file": one.file, "until": one.until.isoformat()} for one in certificates],
    }
