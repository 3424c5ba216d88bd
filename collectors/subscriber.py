"""From the broker to the intake and back: parse, put, and acknowledge what is committed, in the order it came.

Nothing is acknowledged before the intake's future is done. A sender that names its messages (`Delivery.receipt`) hears
that name back after the commit: an acknowledgement of the broker only says that the broker had it. What is held
in memory is bounded by count (the window) and by bytes: beyond that the socket is not read, and the broker keeps the
rest. A lost connection is made again with growing, jittered pauses; what was not acknowledged on it comes again, which
natural keys make harmless.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from collectors.broker import Broker
from collectors.confirmation import confirmation
from collectors.frames import Publish
from collectors.mqtt import Connection
from collectors.payload import Message
from ingest.delivery import Delivery, Outcome, Reject
from ingest.errors import AmrError, Misconfigured, Unreachable
from ingest.outage import Outage

log = logging.getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 60.0
STEADY = 30.0
"""Seconds a connection must have lasted for the pauses to start small again: two clients with one id end each other."""

BRIEF = 3
"""Connections in a row that did not last, after which the likely reason is told."""

MOST_BYTES = 64 << 20
"""Payload bytes held at once before reading stops."""


TURN = 500
"""Messages and readings parsed before the store and the socket get their turn: about a millisecond."""


class Door(Protocol):
    """What the subscriber needs of the intake."""

    async def put(self, delivery: Delivery) -> asyncio.Future[Outcome]:
        """Wait for room; the future is done after the commit."""


@dataclass(slots=True)
class _Held:
    """A message in our hands: arrived over `connection`, its future once it was put."""

    connection: Connection
    publish: Publish
    received_at: datetime
    delivery: Delivery | None = None
    stored: asyncio.Future[Outcome] | None = None


@dataclass(slots=True)
class Counts:
    """What passed since the start, for metrics. `unstored` came back from the door with a lasting error."""

    messages: int = 0
    readings: int = 0
    rejects: int = 0
    acknowledged: int = 0
    unstored: int = 0
    connections: int = 0


@dataclass(frozen=True, slots=True)
class Standing:
    """How it stands with the broker: connected or not, since when, and if not, why."""

    connected: bool
    since: datetime
    trouble: str


class Subscriber:
    """Runs one client of one broker until cancelled, then lets go cleanly and keeps the session.

    `filters` maps topic filters to QoS. `parse` turns a message into a delivery; what it wants published because of it
    is fetched from `requests`. (`Formats` has all three.) When cancelled, `run` waits up to `grace` seconds for what is
    in hand to be committed, so the intake must be stopped after it.
    """

    def __init__(
        self,
        broker: Broker,
        filters: Mapping[str, int],
        parse: Callable[[Message], Delivery],
        door: Door,
        *,
        requests: Callable[[], Sequence[tuple[str, bytes]]] = list,
        grace: float = 10.0,
        most_bytes: int = MOST_BYTES,
    ) -> None:
        self.broker = broker
        self.counts = Counts()
        self.connected = asyncio.Event()
        self.standing = Standing(False, datetime.now(UTC), "not connected yet")
        self._filters = filters
        self._parse = parse
        self._door = door
        self._requests = requests
        self._grace = grace
        self._most_bytes = most_bytes
        self._most = 2 * broker.window
        self._arrived: deque[_Held] = deque()
        self._put: deque[_Held] = deque()
        self._bytes = 0
        self._connection: Connection | None = None
        self._woken = asyncio.Event()
        self._settled = asyncio.Event()
        self._again: asyncio.Task[None] | None = None
        self._leaving = False
        self._outage = Outage(log, {"broker": str(broker)})

    @property
    def held(self) -> int:
        """Messages received and not yet acknowledged."""
        return len(self._arrived) + len(self._put)

    async def run(self) -> None:
        """Subscribe, and keep doing so. Misconfigured for certificates that cannot be used from the start."""
        storing = asyncio.create_task(self._store())
        try:
            await self._keep_connected(storing)
        finally:
            await self._let_go(storing)

    # -- the connection ---------------------------------------------------------------------------------------------

    async def _keep_connected(self, storing: asyncio.Task[None]) -> None:
        pause, brief = FIRST_PAUSE, 0
        while not storing.done():
            since, connections = time.monotonic(), self.counts.connections
            error = await self._one_connection(storing)
            lost_at = datetime.now(UTC) if self.standing.connected else self.standing.since
            self.standing = Standing(False, lost_at, str(error))
            if time.monotonic() - since > STEADY:
                pause, brief = FIRST_PAUSE, 0
            brief += self.counts.connections - connections
            if brief == BRIEF:
                log.error("%s: connections end at once; does another process use this client id?", self.broker)
            self._outage.told("%s; trying again in about %.1f s, and so on", error, pause, why=str(error))
            await asyncio.sleep(pause * random.uniform(0.5, 1.5))
            pause = min(2 * pause, LONGEST_PAUSE)
            while self._crowded():
                await self._next_settled()
        storing.result()

    async def _one_connection(self, storing: asyncio.Task[None]) -> AmrError:
        try:
            connection = self._connection = Connection(self.broker, self._filters, self._received)
        except Misconfigured as error:
            if self._connection is None:
                raise
            return error  # certificates that were good are just being replaced
        try:
            await connection.open()
            self.counts.connections += 1
            self.connected.set()
            self.standing = Standing(True, datetime.now(UTC), "")
            self._outage.over("%s is there again", self.broker)
            ends: list[asyncio.Future[Any]] = [connection.lost, storing]
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        except AmrError as error:
            return error
        finally:
            self.connected.clear()
        return connection.lost.result() if connection.lost.done() else Unreachable("the storing of messages ended")

    def _received(self, connection: Connection, messages: list[Publish]) -> None:
        now = datetime.now(UTC)
        for publish in messages:
            self._arrived.append(_Held(connection, publish, now))
            self._bytes += len(publish.payload)
        self.counts.messages += len(messages)
        self._woken.set()
        if self._crowded():
            connection.pause()

    def _crowded(self) -> bool:
        return self.held > self._most or self._bytes > self._most_bytes

    async def _let_go(self, storing: asyncio.Task[None]) -> None:
        """Finish what was put, within the grace; what only arrived is left to the broker."""
        self._leaving = True
        storing.cancel()
        connection = self._connection
        if connection is not None:
            connection.pause()
        deadline = time.monotonic() + self._grace
        while self._put and time.monotonic() < deadline:
            await self._next_settled(deadline - time.monotonic())
        if self._put:
            log.warning("%d messages are not stored yet; the broker keeps them", len(self._put))
        if self._again is not None:
            self._again.cancel()
        if connection is not None:
            await connection.close()
        await asyncio.gather(storing, return_exceptions=True)

    # -- the way in -------------------------------------------------------------------------------------------------

    async def _store(self) -> None:
        while True:
            await self._woken.wait()
            self._woken.clear()
            while self._arrived:
                rows = 0
                while self._arrived and rows < TURN:
                    while self._again is not None:  # an earlier message has to be put again first
                        await self._next_settled()
                    held = self._arrived[0]
                    held.delivery = delivery = self._parsed(held)
                    held.stored = await self._door.put(delivery)
                    rows += 1 + len(delivery.readings)
                    self.counts.readings += len(delivery.readings)
                    self.counts.rejects += len(delivery.rejects)
                    self._put.append(self._arrived.popleft())
                    if len(self._put) == 1:
                        self._watch()
                self._publish_requests()
                await asyncio.sleep(0)  # reading, committing and acknowledging want their turn

    def _parsed(self, held: _Held) -> Delivery:
        publish = held.publish
        try:
            return self._parse(Message(publish.topic, publish.payload, held.received_at, publish.retained, publish.cut))
        except Exception as error:
            log.exception("a message on %r breaks its parser; it goes to quarantine", publish.topic)
            reject = Reject("parser_failed", f"{error!r}; this is a defect, please report it", publish.payload)
            return Delivery(f"mqtt:{publish.topic}", rejects=[reject])

    def _publish_requests(self) -> None:
        """What parsing wants to be asked of a sender: lost with the connection, and asked again by a later message."""
        for topic, payload in self._requests():
            if self._connection is not None:
                self._connection.publish(topic, payload)

    # -- the way back -----------------------------------------------------------------------------------------------

    def _watch(self) -> None:
        """Look at the oldest message again when its future is done."""
        stored = self._put[0].stored
        assert stored is not None
        stored.add_done_callback(lambda _: self._settle())

    def _settle(self) -> None:
        """Acknowledge the messages at the head whose deliveries are committed."""
        acks: dict[Connection, list[int]] = {}
        receipts: dict[str, list[str]] = {}
        while self._put and self._again is None:
            held = self._put[0]
            stored = held.stored
            if stored is None or not stored.done():
                break
            error = None if stored.cancelled() else stored.exception()
            if isinstance(error, AmrError) and error.transient:
                self._again = asyncio.create_task(self._put_again(held, error))
                break
            self._put.popleft()
            self._bytes -= len(held.publish.payload)
            if error is None and not stored.cancelled():
                if held.publish.mid:
                    acks.setdefault(held.connection, []).append(held.publish.mid)
                if held.delivery is not None and held.delivery.receipt and held.delivery.gateway:
                    receipts.setdefault(held.delivery.gateway, []).append(held.delivery.receipt)
            else:
                self.counts.unstored += 1
                log.error("a message on %r is not stored and stays with the broker: %r", held.publish.topic, error)
        for connection, mids in acks.items():
            connection.acknowledge(mids)
            self.counts.acknowledged += len(mids)
        if self._connection is not None:  # without one the sender hears of it when it sends the same again
            for gateway, names in receipts.items():
                self._connection.publish(*confirmation(gateway, names))
        if self._put and self._again is None:
            self._watch()
        self._settled.set()
        if self._connection is not None and not self._crowded() and not self._leaving:
            self._connection.resume()

    async def _put_again(self, held: _Held, error: AmrError) -> None:
        """The store gave up for now: wait, and put the same delivery again, before anything behind it is looked at."""
        pause, outage = FIRST_PAUSE, Outage(log)
        while True:
            outage.told("a message on %r is put again in about %.1f s: %s", held.publish.topic, pause, error)
            await asyncio.sleep(pause * random.uniform(0.5, 1.5))
            pause = min(2 * pause, LONGEST_PAUSE)
            assert held.delivery is not None
            held.stored = await self._door.put(held.delivery)
            await asyncio.wait([held.stored])
            again = None if held.stored.cancelled() else held.stored.exception()
            if not (isinstance(again, AmrError) and again.transient):
                break
            error = again
        outage.over("the message on %r was taken", held.publish.topic)
        self._again = None
        self._settle()

    async def _next_settled(self, timeout: float | None = None) -> None:
        """Wait until the head of the line moved, or for the timeout."""
        self._settled.clear()
        await asyncio.wait([waiting := asyncio.ensure_future(self._settled.wait())], timeout=timeout)
        waiting.cancel()
