"""Meters behind a gateway that pushes over MQTT: our own JSON, QoS 1, nothing forgotten before its PUBACK.

Topic `amr/v1/<gateway>/readings`, payload {"readings": [{"meter", "channel", "at", "value"}, ...]}.
"""

import asyncio
import json
import logging
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from simulators.clock import Clock
from simulators.meter import Meter

_log = logging.getLogger(__name__)
_READINGS_PER_MESSAGE = 100


class Publisher:
    """One MQTT client. At most `window` messages are without their PUBACK; the next `publish` waits.

    paho keeps unacknowledged messages over a reconnect and sends them again; a reconnect is tried for ever.
    """

    def __init__(self, url: str, client_id: str, *, window: int = 100) -> None:
        self.host, self.port = broker_address(url)
        self.acknowledged = 0
        self._slots = asyncio.Semaphore(window)
        self._window = window
        self._waiting: dict[int, asyncio.Future[None]] = {}
        self._loop = asyncio.get_running_loop()
        self._client = Client(CallbackAPIVersion.VERSION2, client_id=client_id, clean_session=True)
        self._client.max_inflight_messages_set(window)
        self._client.max_queued_messages_set(0)
        self._client.reconnect_delay_set(1, 5)
        self._client.on_publish = self._on_publish
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self.connected = asyncio.Event()

    @property
    def unacknowledged(self) -> int:
        """Messages the broker has not confirmed yet."""
        return len(self._waiting)

    async def publish(self, topic: str, payload: bytes | str) -> "asyncio.Future[None]":
        """Hand a message over, waiting for a place in the window; the future is done at its PUBACK."""
        await self._slots.acquire()
        done: asyncio.Future[None] = self._loop.create_future()
        # Acknowledgements come back through the loop, so none can overtake the entry made here.
        message = self._client.publish(topic, payload, qos=1)
        if message.rc == MQTTErrorCode.MQTT_ERR_QUEUE_SIZE:
            self._slots.release()
            raise RuntimeError(
                f"paho's queue is full at {self.unacknowledged} messages; lower the window {self._window}"
            )
        self._waiting[message.mid] = done
        return done

    async def drain(self) -> None:
        """Wait until everything published so far is acknowledged."""
        if self._waiting:
            await asyncio.wait(tuple(self._waiting.values()))

    async def start(self) -> None:
        """Start connecting; returns at once, whether the broker is there or not."""
        self._client.connect_async(self.host, self.port, keepalive=30)
        self._client.loop_start()

    async def stop(self) -> None:
        """Disconnect and end paho's thread; futures of unacknowledged messages are cancelled. Not to be used again."""
        self._client.disconnect()
        await asyncio.to_thread(self._client.loop_stop)
        for done in self._waiting.values():
            done.cancel()
        self._waiting.clear()
        del self._client  # closes its thread's sockets: the garbage collector, coming to us, might find them first

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    # paho calls these in its own thread.
    def _on_publish(self, client: Client, data: Any, mid: int, reason: ReasonCode, properties: Properties) -> None:
        self._loop.call_soon_threadsafe(self._acknowledge, mid)

    def _on_connect(
        self, client: Client, data: Any, flags: ConnectFlags, reason: ReasonCode, properties: Properties | None
    ) -> None:
        if reason.is_failure:
            _log.warning("the broker %s:%s refused the connection: %s", self.host, self.port, reason)
        else:
            self._loop.call_soon_threadsafe(self.connected.set)

    def _on_disconnect(
        self, client: Client, data: Any, flags: DisconnectFlags, reason: ReasonCode, properties: Properties | None
    ) -> None:
        self._loop.call_soon_threadsafe(self.connected.clear)

    def _acknowledge(self, mid: int) -> None:
        if done := self._waiting.pop(mid, None):
            self.acknowledged += 1
            self._slots.release()
            if not done.done():
                done.set_result(None)


class Gateway:
    """A concentrator: reads its meters every `every` of the clock, on the clock's own marks, and publishes them."""

    def __init__(
        self, name: str, meters: Sequence[Meter], clock: Clock, publisher: Publisher, every: timedelta
    ) -> None:
        if every <= timedelta():
            raise ValueError(f"gateway {name}: every {every} must be above zero")
        self.name = name
        self.meters = tuple(meters)
        self.rounds = 0
        self._clock = clock
        self._publisher = publisher
        self._every = every

    async def run(self) -> None:
        """Publish for ever: at once, then at every mark. A round the broker was away for is late, not lost."""
        at = self._clock.now().replace(microsecond=0)
        while True:
            await self.publish(at)
            at = next_mark(at, self._every)
            await self._clock.sleep_until(at)

    async def publish(self, at: datetime) -> None:
        """Publish all meters' values at this instant; returns when they are handed over, not when acknowledged."""
        readings = [reading for meter in self.meters for reading in readings_of(meter, at)]
        for begin in range(0, len(readings), _READINGS_PER_MESSAGE):
            await self._publisher.publish(
                topic_of(self.name), payload_of(readings[begin : begin + _READINGS_PER_MESSAGE])
            )
        self.rounds += 1


def topic_of(gateway: str) -> str:
    """Where a gateway publishes."""
    return f"amr/v1/{gateway}/readings"


def readings_of(meter: Meter, at: datetime) -> list[dict[str, str]]:
    """A meter's values as our JSON's readings, stamped by the meter's own clock."""
    stamp = meter.clock(at).isoformat(timespec="seconds")
    serial = meter.serial_at(at)
    return [
        {"meter": serial, "channel": channel, "at": stamp, "value": f"{value:f}"}
        for channel, value in sorted(meter.values(at).items())
    ]


def payload_of(readings: Sequence[dict[str, str]]) -> bytes:
    """The message's body."""
    return json.dumps({"readings": list(readings)}, separators=(",", ":")).encode()


def next_mark(at: datetime, every: timedelta) -> datetime:
    """The first multiple of `every`, counted from the UTC midnight of 1970, that lies after `at`."""
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    return epoch + ((at - epoch) // every + 1) * every


def broker_address(url: str) -> tuple[str, int]:
    """Host and port of `mqtt://host[:port]`."""
    parts = urlsplit(url)
    if parts.scheme != "mqtt" or not parts.hostname:
        raise ValueError(f"broker address {url!r} must look like mqtt://127.0.0.1:1883")
    return parts.hostname, parts.port or 1883
