"""Senders of the soak that forget nothing before it is stored: concentrators, and a person at a cabinet."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
from paho.mqtt.client import Client, ConnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from simulators.meter import Meter
from simulators.mqtt import readings_of, topic_of

log = logging.getLogger(__name__)

AGAIN = 6.0
"""Seconds without a confirmation after which a message is sent again; twice as long after each time."""

LONGEST = 60.0
"""What our own forwarding collector begins with. Much less, and a service that is slow drowns in what is sent again."""

MOST_UNDERWAY = 60
"""Messages that wait for their confirmation at the broker; the others wait here."""

Key = tuple[str, str, datetime]
"""(meter, channel, instant)"""


class Concentrator:
    """Sends its meters' readings, and again until the ingest has confirmed that they are stored.

    `sent` is the truth: what it ever had to say, by key.
    """

    def __init__(self, host: str, port: int, name: str, meters: Sequence[Meter], every: timedelta) -> None:
        self.name = name
        self.sent: dict[Key, Decimal] = {}
        self.confirmed = 0
        self._meters = meters
        self._every = every
        self._held: dict[str, tuple[bytes, float, float]] = {}  # payload, when to send it, the pause after that
        self._keys: dict[str, list[Key]] = {}
        self._number = 0
        self._loop = asyncio.get_running_loop()
        self._client = Client(CallbackAPIVersion.VERSION2, client_id=f"soak-{name}", clean_session=True)
        self._client.reconnect_delay_set(1, 2)
        self._client.on_connect = self._on_connect
        self._client.on_message = self._on_message
        self._client.connect_async(host, port, keepalive=5)

    @property
    def held(self) -> int:
        """Messages not confirmed yet."""
        return len(self._held)

    def keys_held(self) -> set[Key]:
        """What is in them: late, but not lost."""
        return {key for name in self._held for key in self._keys[name]}

    async def run(self, until: datetime) -> None:
        """Read the meters at every mark until then; send until everything is confirmed."""
        self._client.loop_start()
        try:
            at = datetime.now(UTC).replace(microsecond=0)
            while at < until or self._held:
                if at < until and datetime.now(UTC) >= at:
                    self._read(at)
                    at += self._every
                self._send()
                await asyncio.sleep(0.05)
        finally:
            self._client.disconnect()
            await asyncio.to_thread(self._client.loop_stop)
            del self._client  # closes its thread's sockets, which nothing else does in time

    def _read(self, at: datetime) -> None:
        readings = [reading for meter in self._meters for reading in readings_of(meter, at)]
        self._number += 1
        name = f"{self.name}-{self._number}-{at.timestamp():.0f}"
        keys = [(one["meter"], one["channel"], datetime.fromisoformat(one["at"]).astimezone(UTC)) for one in readings]
        self._keys[name] = keys
        self.sent.update((key, Decimal(one["value"])) for key, one in zip(keys, readings, strict=True))
        self._held[name] = json.dumps({"id": name, "readings": readings}).encode(), 0.0, AGAIN

    def _send(self) -> None:
        if not self._client.is_connected():
            return
        now = self._loop.time()
        for name, (payload, due, pause) in list(self._held.items())[:MOST_UNDERWAY]:
            if now >= due:
                self._client.publish(topic_of(self.name), payload, qos=1)
                self._held[name] = payload, now + pause, min(2 * pause, LONGEST)

    def _forget(self, ids: Sequence[str]) -> None:
        for name in ids:
            self.confirmed += self._held.pop(name, None) is not None
            self._keys.pop(name, None)

    # paho calls these in its own thread.
    def _on_connect(
        self, client: Client, data: Any, flags: ConnectFlags, reason: ReasonCode, properties: Properties | None
    ) -> None:
        if not reason.is_failure:
            client.subscribe(f"amr/v1/{self.name}/confirmed", qos=1)

    def _on_message(self, client: Client, data: Any, message: MQTTMessage) -> None:
        self._loop.call_soon_threadsafe(self._forget, json.loads(message.payload)["ids"])


class Person:
    """Enters a reading at a point again and again; each one until the API has answered that it is stored."""

    def __init__(self, base: str, token: str, point: str) -> None:
        self.stored: dict[datetime, Decimal] = {}
        self.refused = 0
        """Answers 503: the service was too busy, or without its database."""
        self.unexpected: list[str] = []
        self._base = base
        self._token = token
        self._point = point

    async def run(self, until: datetime) -> None:
        """One entry about every second."""
        headers = {"Authorization": f"Bearer {self._token}"}
        async with httpx.AsyncClient(base_url=self._base, headers=headers, timeout=15) as client:
            number = 0
            while (at := datetime.now(UTC)) < until:
                number += 1
                await self._enter(client, at - timedelta(seconds=1), Decimal(5000) + Decimal(number) / 1000)
                await asyncio.sleep(1.0)

    async def _enter(self, client: httpx.AsyncClient, at: datetime, value: Decimal) -> None:
        body = {"taken_at": at.isoformat(), "values": {"1.8.0": str(value)}, "confirm": True, "note": "soak"}
        while True:
            try:
                answer = await client.post(f"/api/v1/points/{self._point}/readings", json=body)
            except httpx.HTTPError:
                await asyncio.sleep(0.5)
                continue
            if answer.is_success:
                self.stored[at] = value
                return
            if answer.status_code == 503 and "retry-after" in answer.headers:
                self.refused += 1
            else:
                self.unexpected.append(f"{answer.status_code} {answer.text[:200]}")
                if answer.status_code < 500:
                    return
            await asyncio.sleep(min(2.0, float(answer.headers.get("retry-after", 1))))
