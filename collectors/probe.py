"""Whether a broker keeps what an absent subscriber misses: tried out, because its settings cannot be asked for.

Mosquitto's defaults keep 1 000 messages for a client and silently drop the rest of a burst, QoS 1 or not; and they let
20 messages be under way, which makes every commit wait for the network.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import timedelta

from collectors.broker import Broker
from collectors.frames import Publish
from collectors.mqtt import Connection
from ingest.errors import AmrError, Refused, Unreachable

log = logging.getLogger(__name__)

DEPTH = 3_000
"""Messages published to an absent subscriber; a little more than careless settings keep."""

WINDOW = 500
"""Unacknowledged messages a broker should let be under way: at 5 ms a commit, fewer cost speed."""

_QUIET = 0.5


@dataclass(frozen=True, slots=True)
class Kept:
    """What came of `sent` messages: how many were kept for the absent, how many came without an acknowledgement."""

    sent: int
    kept: int
    window: int

    @property
    def complaints(self) -> list[str]:
        """What is too small, with its remedy; empty when all is well."""
        told = []
        if self.kept < self.sent:
            told.append(
                f"of {self.sent} QoS 1 messages for an absent subscriber it kept {self.kept} and dropped the rest;"
                " raise its queue (Mosquitto: max_queued_messages 1000000)"
            )
        if self.window < min(WINDOW, self.kept):
            told.append(
                f"it lets {self.window} messages be under way; raise that"
                " (Mosquitto: max_inflight_messages 65535), or speak MQTT 5 to it"
            )
        return told


async def probe(broker: Broker, depth: int = DEPTH) -> Kept:
    """Try it out under a name and a topic of our own. Unreachable or Refused as for any connection."""
    name = f"{broker.client_id}-probe-{secrets.token_hex(4)}"
    topic = f"amr/v1/probe/{name}"
    reader = replace(broker, client_id=name, group=None, status_topic=None, session=timedelta(minutes=5))
    writer = replace(reader, client_id=f"{name}-out", session=timedelta(0))
    arrived: list[Publish] = []
    async with _connected(reader, {topic: 1}, arrived):
        pass
    async with _connected(writer, {}, []) as publishing:
        await _confirmed(publishing, topic, depth, broker.patience.total_seconds())
    async with _connected(replace(reader, session=timedelta(0)), {topic: 1}, arrived) as reading:
        window = await _all_that_come(arrived)
        told = 0
        while told < len(arrived):
            reading.acknowledge([publish.mid for publish in arrived[told:]])
            told = len(arrived)
            await _all_that_come(arrived)
        reading.forget(topic)
    return Kept(depth, len(arrived), window)


async def warn_if_too_small(broker: Broker) -> Kept | None:
    """Probe and log every complaint; a broker that does not allow it is said so, and is no reason not to start."""
    try:
        kept = await probe(broker)
    except AmrError as error:
        log.warning("the broker's settings could not be tried out: %s", error)
        return None
    for complaint in kept.complaints:
        log.warning("%s: %s", broker, complaint)
    return kept


@contextlib.asynccontextmanager
async def _connected(broker: Broker, filters: dict[str, int], arrived: list[Publish]) -> AsyncIterator[Connection]:
    connection = Connection(broker, filters, lambda _, messages: arrived.extend(messages))
    await connection.open()
    try:
        yield connection
    finally:
        await connection.close()


async def _confirmed(connection: Connection, topic: str, depth: int, patience: float) -> None:
    for begin in range(0, depth, 100):
        sent = [connection.publish(topic, b"%d" % place) for place in range(begin, min(begin + 100, depth))]
        _, waiting = await asyncio.wait(sent, timeout=patience)
        if waiting:
            raise Unreachable(f"{connection.broker}: no PUBACK in {patience:g} s")
        if any(one.cancelled() for one in sent):
            raise Refused(f"{connection.broker}: publishing to {topic!r} is not allowed; allow amr/v1/probe/#")


async def _all_that_come(arrived: list[Publish]) -> int:
    """Wait until nothing more comes for a moment; how many there are."""
    seen = -1
    while seen < len(arrived):
        seen = len(arrived)
        await asyncio.sleep(_QUIET)
    return len(arrived)
