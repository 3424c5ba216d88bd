"""A TCP proxy that stands in for a bad network: it cuts, freezes and delays what passes between two parts.

async with Proxy("127.0.0.1", 5432) as proxy:
    ... connect to proxy.host, proxy.port ...
    proxy.cut()        # every connection is reset, new ones are refused
    proxy.freeze()     # nothing passes and nothing is told: a cable was pulled
    proxy.delay = 0.2  # seconds each piece takes
    proxy.mend()
"""

import asyncio
import contextlib
from collections import deque
from types import TracebackType
from typing import Self, cast

_LARGEST = 1 << 20
"""Bytes that wait on their way before reading stops."""


class Proxy:
    """Listens on a free loopback port that stays the same; the target is a host and port, or the path of a socket."""

    def __init__(self, target: str, port: int | None = None) -> None:
        self.host = "127.0.0.1"
        self.port = 0
        self.delay = 0.0
        self.connections = 0
        self._target = target
        self._target_port = port
        self._frozen = False
        self._refusing = False
        self._pairs: set[_End] = set()
        self._server: asyncio.Server | None = None

    @property
    def passing(self) -> bool:
        """Whether what is sent now comes through."""
        return not self._frozen and not self._refusing

    async def start(self) -> None:
        """Listen."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._accepted, self.host, self.port, backlog=256)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Close the port and every connection."""
        if self._server is not None:
            self._server.close()
            self.reset()
            await self._server.wait_closed()
            self._server = None

    def cut(self) -> None:
        """Reset every connection, and each new one at once, until mended."""
        self._refusing = True
        self.reset()

    def reset(self) -> None:
        """Reset the connections there are; new ones are welcome."""
        for end in tuple(self._pairs):
            end.abort()

    def freeze(self) -> None:
        """Let nothing pass, and tell nobody, until mended; then what waited goes on."""
        self._frozen = True

    def mend(self) -> None:
        """Everything passes at once again."""
        self._frozen = self._refusing = False
        self.delay = 0.0
        for end in tuple(self._pairs):
            end.flush()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def _accepted(self) -> asyncio.Protocol:
        self.connections += 1
        return _End(self, None)

    async def _connect(self, near: "_End") -> None:
        loop = asyncio.get_running_loop()
        try:
            if self._target_port is None:
                _, far = await loop.create_unix_connection(lambda: _End(self, near), self._target)
            else:
                _, far = await loop.create_connection(lambda: _End(self, near), self._target, self._target_port)
        except OSError:
            near.abort()
            return
        if near.gone:
            far.abort()
            return
        near.other = far
        near.flush()
        far.flush()


class _End(asyncio.Protocol):
    """One of the two connections of a pair; what it hears goes out at the other."""

    def __init__(self, proxy: Proxy, other: "_End | None") -> None:
        self._proxy = proxy
        self.other = other
        self.gone = False
        self._near = other is None
        self._transport: asyncio.Transport | None = None
        self._waiting: deque[tuple[float, bytes]] = deque()
        self._size = 0
        self._timer: asyncio.TimerHandle | None = None
        self._connecting: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Somebody came, or we came through."""
        self._transport = cast("asyncio.Transport", transport)
        if self._proxy._refusing:
            self._transport.abort()
            return
        self._proxy._pairs.add(self)
        if self._near:
            self._connecting = asyncio.ensure_future(self._proxy._connect(self))

    def connection_lost(self, error: Exception | None) -> None:
        """The other side of the pair hears of it when all that came before has passed."""
        self.gone = True
        self._proxy._pairs.discard(self)
        self.flush()

    def data_received(self, data: bytes) -> None:
        """Keep it for as long as it takes."""
        self._waiting.append((asyncio.get_running_loop().time() + self._proxy.delay, data))
        self._size += len(data)
        if self._size > _LARGEST and self._transport is not None:
            with contextlib.suppress(RuntimeError):
                self._transport.pause_reading()
        self.flush()

    def abort(self) -> None:
        """Reset both, whatever was under way."""
        self._waiting.clear()
        for end in (self, self.other):
            if end is not None and end._transport is not None:
                end._transport.abort()

    def flush(self) -> None:
        """Pass on what is due."""
        other = self.other
        if other is None or other._transport is None or self._proxy._frozen:
            return
        now = asyncio.get_running_loop().time()
        while self._waiting and (self._waiting[0][0] <= now or not self._proxy.delay):
            _, data = self._waiting.popleft()
            self._size -= len(data)
            if not other.gone:
                other._transport.write(data)
        if self._waiting:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = asyncio.get_running_loop().call_at(self._waiting[0][0], self.flush)
        elif self.gone:
            other._transport.close()
        if self._size <= _LARGEST and self._transport is not None and not self.gone:
            with contextlib.suppress(RuntimeError):
                self._transport.resume_reading()
