"""Store and forward: what lines bring is kept on disk, sent as our own JSON, and forgotten when it is really stored.

A broker's PUBACK says that the broker has a message; killed with -9 it may lose it again. So nothing is deleted from
the spool before the central ingest has confirmed its commit on `amr/v1/<gateway>/confirmed`; what is not confirmed in
time, or was under way when the connection broke, is sent again, which natural keys make harmless.

New data and the backlog travel side by side: new messages go at once, the backlog oldest first and never more of it at
a time than a slow link carries in some seconds. After a connection is made the backlog waits a random while, so that a
hundred gateways behind one broker do not begin together.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import secrets
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from collectors.broker import Broker
from collectors.confirmation import confirmed_topic, read_confirmation
from collectors.exact import Unfit
from collectors.forward_door import DiskDoor
from collectors.forward_out import Out, Sent
from collectors.forward_payload import LARGEST_MESSAGE, message_of, readings_topic
from collectors.frames import Publish
from collectors.mqtt import Connection
from collectors.spool import Spool, SpoolFailed, shown
from ingest.delivery import Delivery, Outcome
from ingest.errors import AmrError, Misconfigured, Unreachable
from ingest.outage import Outage

log = logging.getLogger(__name__)

MOST_ITEMS = 200
"""Deliveries in one message."""

FRESH_WINDOW, BACKLOG_WINDOW = 20, 50
"""Unconfirmed messages of new data and of the backlog: what an absent central ingest finds at the broker at most."""

UNDERWAY = 8
"""Messages of the backlog without their PUBACK: what new data has to wait behind on a slow link."""

_TELL = 60.0


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds: between connections, before the backlog begins, until what is not confirmed is sent again.

    `linger` is how long new data wait for others to share a message with.
    """

    first_pause: float = 1.0
    longest_pause: float = 60.0
    spread: float = 15.0
    confirmation: float = 60.0
    longest_confirmation: float = 900.0
    linger: float = 0.3


@dataclass(slots=True)
class Forwarded:
    """What passed since the start: messages sent first and again, deliveries confirmed."""

    messages: int = 0
    repeated: int = 0
    confirmed: int = 0


class Forwarder:
    """The door of a collector without a store: `put` and `offer` like the intake's, but answered when it is on disk.

    Its answers say that a delivery is kept, not what it is worth: that is judged at the other end. `run` connects and
    sends until cancelled; what was put is then still brought to disk.
    """

    def __init__(self, broker: Broker, gateway: str, spool: Spool, pace: Pace | None = None) -> None:
        if not gateway or set(gateway) & set("/+#") or not gateway.isprintable():
            raise Misconfigured(f"gateway {gateway!r} must be one level of a topic: a word without '/', '+' and '#'")
        self.broker = broker
        self.gateway = gateway
        self.counts = Forwarded()
        self.connected = asyncio.Event()
        self._spool = spool
        self._pace = pace or Pace()
        self._out = Out(self._pace.confirmation, self._pace.longest_confirmation)
        self._door = DiskDoor(spool, self._kept)
        self._fresh: deque[tuple[int, bytes, float]] = deque()
        self._upto = 0
        self._backlog = True
        self._underway = 0
        self._forgettable: list[int] = []
        self._ever = False
        self._outage = Outage(log, {"broker": str(broker)})
        self._wake = asyncio.Event()

    async def put(self, delivery: Delivery) -> asyncio.Future[Outcome]:
        """Wait for room in memory; the future is done when the delivery is on disk, or holds why it is not."""
        return await self._door.put(delivery)

    def offer(self, delivery: Delivery) -> bool:
        """Take it if there is room; should the disk refuse it, the log tells."""
        return self._door.offer(delivery)

    async def run(self) -> None:
        """Keep what is put, connect, send, forget what is confirmed; until cancelled.

        Misconfigured for certificates that cannot be used from the start.
        """
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._door.run(), name="forward: keep")
            await self._keep_connected()

    def _kept(self, number: int, body: bytes) -> None:
        """New data go ahead of the backlog while there is a connection with room for them; else they are backlog."""
        if number <= self._upto:
            return  # read from the disk already, between its writing and now
        if self.connected.is_set() and self._out.count(fresh=True) < FRESH_WINDOW and len(self._fresh) < 5 * MOST_ITEMS:
            self._fresh.append((number, body, time.monotonic()))
        else:
            self._backlog = True
        self._wake.set()

    # -- the connection ---------------------------------------------------------------------------------------------

    async def _keep_connected(self) -> None:
        pause = self._pace.first_pause
        while True:
            since = time.monotonic()
            error = await self._one_connection()
            if time.monotonic() - since > 2 * self._pace.longest_pause:
                pause = self._pace.first_pause
            wait = random.uniform(0.2, 1.8) * pause
            self._outage.told("%s; trying again in %.0f s, and so on, %s", error, wait, self._waiting(), why=str(error))
            await asyncio.sleep(wait)
            pause = min(2 * pause, self._pace.longest_pause)

    async def _one_connection(self) -> AmrError:
        try:
            connection = Connection(self.broker, {confirmed_topic(self.gateway): 1}, self._received)
        except Misconfigured as error:
            if not self._ever:
                raise
            return error  # certificates that were good are just being replaced
        self._ever = True
        try:
            await connection.open()
            self.connected.set()
            self._outage.over("%s is there again", self.broker)
            log.info("%s: forwarding for gateway %r, %s", self.broker, self.gateway, self._waiting())
            await self._send(connection)
        except AmrError as error:
            return error
        finally:
            self.connected.clear()
            await connection.close()
        return connection.lost.result() if connection.lost.done() else Unreachable(f"{self.broker}: not connected")

    def _waiting(self) -> str:
        depth = self._spool.depth()
        return f"{depth} deliveries wait, the oldest for {shown(self._spool.age())}" if depth else "no delivery waits"

    def _received(self, connection: Connection, messages: list[Publish]) -> None:
        for publish in messages:
            try:
                self._forgettable += self._out.confirmed(read_confirmation(publish.payload))
            except Unfit as unfit:
                log.warning("a message on %r: %s", publish.topic, unfit)
        connection.acknowledge([publish.mid for publish in messages if publish.mid])
        self._wake.set()

    # -- the way out ------------------------------------------------------------------------------------------------

    async def _send(self, connection: Connection) -> None:
        begin = time.monotonic() + random.uniform(0.0, self._pace.spread)
        told = time.monotonic()
        self._out.lost_connection(begin)
        connection.lost.add_done_callback(lambda _: self._wake.set())
        while not connection.lost.done():
            self._wake.clear()
            await self._forget()
            self._send_fresh(connection)
            more = time.monotonic() >= begin and await self._send_backlog(connection)
            if time.monotonic() - told > _TELL:
                told = time.monotonic()
                self._tell()
            if not more:
                await self._woken(min(max(begin - time.monotonic(), 0.0) or 1.0, 1.0))

    async def _woken(self, most: float) -> None:
        """Until something happened, new data lingered long enough to share a message, or so many seconds passed."""
        if self._fresh:
            most = min(most, max(0.0, self._fresh[0][2] + self._pace.linger - time.monotonic()))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(most + 0.001):
                await self._wake.wait()

    def _send_fresh(self, connection: Connection) -> None:
        while self._fresh and (
            len(self._fresh) >= MOST_ITEMS or time.monotonic() - self._fresh[0][2] >= self._pace.linger
        ):
            taken = [self._fresh.popleft() for _ in range(min(len(self._fresh), MOST_ITEMS))]
            self._publish_new(connection, [(number, body) for number, body, _ in taken], fresh=True)

    async def _send_backlog(self, connection: Connection) -> bool:
        """Send the oldest that is due; False when there is nothing, or no room for more under way."""
        if self._underway >= UNDERWAY:
            return False
        overdue = self._out.due(time.monotonic())
        if overdue is not None:
            self._out.sent(overdue, time.monotonic())
            self.counts.repeated += 1
            self._publish(connection, overdue)
            return True
        if not self._backlog or self._out.count(fresh=False) >= BACKLOG_WINDOW:
            return False
        taken = await self._next_backlog()
        if taken:
            self._publish_new(connection, taken, fresh=False)
        return self._backlog

    async def _next_backlog(self) -> Sequence[tuple[int, bytes]]:
        """The oldest items that are not under way; as many as fit into one message."""
        found = await self._spool.oldest(MOST_ITEMS, after=self._upto)
        self._backlog = bool(found)
        ahead = {number for number, _, _ in self._fresh}
        taken: list[tuple[int, bytes]] = []
        size = 0
        for number, body in found:
            if taken and size + len(body) > LARGEST_MESSAGE:
                break
            self._upto = number
            if number not in ahead and number not in self._out:
                taken.append((number, body))
                size += len(body)
        return taken

    def _publish_new(self, connection: Connection, items: Sequence[tuple[int, bytes]], *, fresh: bool) -> None:
        receipt = secrets.token_hex(16)
        payload = message_of(receipt, [body for _, body in items])
        sent = self._out.add(receipt, [number for number, _ in items], payload, fresh=fresh, now=time.monotonic())
        self.counts.messages += 1
        self._publish(connection, sent)

    def _publish(self, connection: Connection, sent: Sent) -> None:
        counted = not sent.fresh or sent.times > 1
        self._underway += counted

        def acknowledged(_: asyncio.Future[Any]) -> None:
            self._underway -= counted
            self._wake.set()

        connection.publish(readings_topic(self.gateway), sent.payload).add_done_callback(acknowledged)

    async def _forget(self) -> None:
        """Delete what is confirmed; should that fail, it is sent once more some day, and confirmed again."""
        if not self._forgettable:
            return
        ids, self._forgettable = self._forgettable, []
        try:
            await self._spool.delete(ids)
        except SpoolFailed as error:
            log.warning("%d confirmed deliveries stay in the spool: %s", len(ids), error)
        self.counts.confirmed += len(ids)

    def _tell(self) -> None:
        if self._out.most_times > 2:
            log.warning(
                "no confirmation on %r though messages were sent again: is the central ingest running, and may this"
                " user write %r? %s", confirmed_topic(self.gateway), readings_topic(self.gateway), self._waiting(),
            )  # fmt: skip
        elif self._backlog:
            log.info("forwarding the backlog: %s", self._waiting())
