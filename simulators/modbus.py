"""Modbus servers of our own: TCP, and RTU over TCP. Small and fast; pymodbus's server cannot leave a unit unanswered.

server = ModbusServer({1: Unit(meter, layout, clock)}, kind="modbus-tcp")
async with server:
    ... ask 127.0.0.1:server.port ...
"""

import asyncio
from collections.abc import Callable, MutableMapping
from types import TracebackType
from typing import Self, cast

from simulators.framing import MbapStation, Reply, RtuStation, Station
from simulators.unit import Unit

STATIONS: dict[str, Callable[[MutableMapping[int, Unit]], Station]] = {
    "modbus-tcp": MbapStation,
    "rtu-over-tcp": RtuStation,
}
# A converter passes on what it hears as it comes; this much silence surely ends a frame.
_PAUSE = 0.05


class ModbusServer:
    """Many units behind one TCP port. `units` may be changed while it runs; a unit not there stays silent.

    `station` makes another far end for each connection: a line on which more than Modbus is spoken.
    """

    def __init__(
        self,
        units: MutableMapping[int, Unit],
        *,
        kind: str = "modbus-tcp",
        host: str = "127.0.0.1",
        port: int = 0,
        station: Callable[[], Station] | None = None,
    ) -> None:
        if kind not in STATIONS:
            raise ValueError(f"kind {kind!r} is unknown; one of {', '.join(STATIONS)}")
        self.units = units
        self.kind = kind
        self._station = station or (lambda: STATIONS[kind](units))
        self.host = host
        self.port = port
        self._server: asyncio.Server | None = None
        self._open: set[_Connection] = set()

    async def start(self) -> None:
        """Listen; with port 0 a free one is taken and stays the same over `stop` and `start`."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._connection, self.host, self.port, backlog=1024)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Close the port and every connection: the converter lost its power."""
        if self._server is None:
            return
        server, self._server = self._server, None
        server.close()
        for connection in tuple(self._open):
            connection.close()
        await server.wait_closed()

    @property
    def connections(self) -> int:
        """How many clients are connected now."""
        return len(self._open)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def _connection(self) -> "_Connection":
        return _Connection(self._station(), self._open)


class _Connection(asyncio.Protocol):
    """One client."""

    def __init__(self, station: Station, open_ones: set["_Connection"]) -> None:
        self._station = station
        self._open = open_ones
        self._transport: asyncio.Transport | None = None
        self._timers: set[asyncio.TimerHandle] = set()
        self._last = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client came."""
        # uvloop's transports are no subclasses of asyncio's.
        self._transport = cast("asyncio.Transport", transport)
        self._open.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """It went; answers still under way go nowhere."""
        self._open.discard(self)
        for timer in self._timers:
            timer.cancel()

    def data_received(self, data: bytes) -> None:
        """Requests, in any pieces."""
        now = asyncio.get_running_loop().time()
        if now - self._last > _PAUSE:
            self._station.silence()
        self._last = now
        for reply in self._station.hear(data):
            if reply.after:
                self._later(reply)
            else:
                self._send(reply)

    def close(self) -> None:
        """Drop the client."""
        if self._transport is not None:
            self._transport.abort()

    def _later(self, reply: Reply) -> None:
        timer: asyncio.TimerHandle = asyncio.get_running_loop().call_later(reply.after, lambda: self._due(timer, reply))
        self._timers.add(timer)

    def _due(self, timer: asyncio.TimerHandle, reply: Reply) -> None:
        self._timers.discard(timer)
        self._send(reply)

    def _send(self, reply: Reply) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        if reply.closes:
            self._transport.close()
        else:
            self._transport.write(reply.frame)
