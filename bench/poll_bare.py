"""The ceiling of polling: an asyncio client that only exchanges the frames, checks nothing and keeps nothing."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from bench.poll_meters import WORDS

_REQUEST = bytes((0, 1, 0, 0, 0, 6, 1, 3, 0, 0, 0, WORDS))
_ANSWER = 9 + 2 * WORDS


@dataclass(frozen=True, slots=True)
class Spent:
    """Polls or bare exchanges, and the seconds and CPU seconds of this process they took."""

    polls: int
    seconds: float
    cpu: float

    @property
    def micro(self) -> float:
        """CPU microseconds a poll."""
        return 1e6 * self.cpu / self.polls


class _Client(asyncio.Protocol):
    """Asks again as soon as an answer is whole."""

    polls = 0
    _heard = 0
    _transport: asyncio.WriteTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]
        self._transport.write(_REQUEST)

    def data_received(self, data: bytes) -> None:
        self._heard += len(data)
        if self._heard >= _ANSWER:
            self._heard = 0
            self.polls += 1
            self._transport.write(_REQUEST)

    def close(self) -> None:
        self._transport.abort()


async def bare(port: int, connections: int, seconds: float) -> Spent:
    """So many connections for so long, counted after a warming up."""
    loop = asyncio.get_running_loop()
    clients = [(await loop.create_connection(_Client, "127.0.0.1", port))[1] for _ in range(connections)]
    await asyncio.sleep(0.3)
    before, cpu, began = sum(one.polls for one in clients), time.process_time(), time.perf_counter()
    await asyncio.sleep(seconds)
    done = Spent(sum(one.polls for one in clients) - before, time.perf_counter() - began, time.process_time() - cpu)
    for one in clients:
        one.close()
    return done
