"""An embedded MQTT broker for the demo: loopback only, no other installation. For guarantees use Mosquitto.

amqtt speaks MQTT 3.1.1 (no 5), has no shared subscriptions and does not redeliver after an abrupt close.
"""

import asyncio
import logging
from types import TracebackType
from typing import Self

from amqtt.adapters import StreamReaderAdapter, StreamWriterAdapter
from amqtt.broker import Broker
from amqtt.contexts import BrokerConfig, ListenerConfig, ListenerType
from amqtt.plugins.base import BaseAuthPlugin

_STOP_SECONDS = 5.0


class OpenDoor(BaseAuthPlugin):  # type: ignore[misc]  # amqtt ships no types
    """Lets everybody on loopback in, without marking them anonymous: amqtt keeps nothing for anonymous sessions."""

    async def authenticate(self, *, session: object) -> bool:
        """Always."""
        return True


class EmbeddedBroker:
    """`async with EmbeddedBroker() as broker: ... broker.url ...`; port 0 takes a free one."""

    def __init__(self, port: int = 0, host: str = "127.0.0.1") -> None:
        self.host = host
        self.port = port
        self._broker: Broker | None = None
        self._server: asyncio.Server | None = None
        self._sessions: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"mqtt://{self.host}:{self.port}"

    async def start(self) -> None:
        """Listen. Raises OSError when the port is taken."""
        logging.getLogger("amqtt").setLevel(logging.CRITICAL)
        logging.getLogger("transitions").setLevel(logging.ERROR)
        # The socket is ours, so that the free port is known and connections can be closed at the end.
        self._server = await asyncio.start_server(self._connected, self.host, self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        self._broker = Broker(
            BrokerConfig(
                listeners={"default": ListenerConfig(type=ListenerType.EXTERNAL)},
                plugins={f"{__name__}.{OpenDoor.__name__}": {}},
            )
        )
        await self._broker.start()

    async def stop(self) -> None:
        """Close every session and the port; leaves no task behind."""
        if self._server is not None:
            self._server.close()
        if self._broker is not None:
            await asyncio.wait_for(self._broker.shutdown(), _STOP_SECONDS)
        for session in self._sessions:
            session.cancel()
        await asyncio.gather(*self._sessions, return_exceptions=True)
        if self._server is not None:
            await asyncio.wait_for(self._server.wait_closed(), _STOP_SECONDS)
        self._server = self._broker = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._sessions.add(task)
        task.add_done_callback(self._sessions.discard)
        if self._broker is not None:
            await self._broker.external_connected(StreamReaderAdapter(reader), StreamWriterAdapter(writer), "default")
        writer.close()
