"""A wire with one question on it at a time: bytes out, bytes in, an end to waiting. Knows no protocol.

Serial ports and TCP connections are both asyncio transports, so the same `Wire` stands on either.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from collectors.link import LineDown, Overhearing, Silent
from ingest.errors import AmrError

_Answer = TypeVar("_Answer")
_FLOOD = 4096
"""More bytes than any answer has: somebody talks without end."""


def _nothing(heard: bytes) -> None:
    """Nothing is looked for."""


def _nobody(answer: object, error: AmrError | None) -> None:
    """Nobody waits for it."""


class Wire(asyncio.Protocol):
    """One connection. `ask` must not be called while another `ask` waits: the line's owner sees to that."""

    __slots__ = (
        "_asked", "_deadline", "_done", "_find", "_heard", "_last_heard", "_loop", "_lost", "_rings_at", "_timer",
        "_transport", "ear",
    )  # fmt: skip

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.ear: Overhearing | None = None
        self._transport: asyncio.WriteTransport | None = None
        self._lost: Exception | None = None
        self._heard = b""
        self._last_heard = 0.0
        self._find: Callable[[bytes], Any | None] = _nothing
        self._done: Callable[[Any, AmrError | None], None] = _nobody
        self._asked = False
        """Whether somebody waits for an answer."""
        self._deadline = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._rings_at = 0.0

    @property
    def alive(self) -> bool:
        """Whether the connection stands, as far as anybody has told us."""
        return self._transport is not None and not self._transport.is_closing()

    @property
    def heard(self) -> bytes:
        """What came since the last question: for the report after a failure."""
        return self._heard

    async def ask(self, request: bytes, find: Callable[[bytes], _Answer | None], timeout: float) -> _Answer:
        """Send, and give what `find` makes of the bytes heard since, as soon as it is not None.

        Raises LineDown when the connection is gone, Silent after `timeout` seconds, and what `find` raises.
        """
        waiter: asyncio.Future[_Answer] = self._loop.create_future()

        def done(answer: _Answer, error: AmrError | None) -> None:
            if waiter.done():
                return
            if error is None:
                waiter.set_result(answer)
            else:
                waiter.set_exception(error)

        self.attach(find, done)
        self.begin(request, self._loop.time() + timeout)
        try:
            return await waiter
        finally:
            self.forget()

    def attach(self, find: Callable[[bytes], _Answer | None], done: Callable[[_Answer, AmrError | None], None]) -> None:
        """Who looks for the answers to the questions that `begin` asks, and who is told of each, or of its error."""
        self._find, self._done = find, done

    def begin(self, request: bytes, deadline: float) -> None:
        """Ask without a task, until `deadline` of the monotonic clock, which is the loop's. What was attached hears.

        Raises LineDown at once when the connection is gone.
        """
        transport = self._transport
        if transport is None:
            raise LineDown("the connection is closed") from self._lost
        self.expect(deadline)
        transport.write(request)
        if self.ear is not None:
            self.ear("→", request)

    def expect(self, deadline: float) -> None:
        """Wait for the answer to a question that was asked."""
        self._heard = b""
        self._asked = True
        self._deadline = deadline
        if self._timer is None or deadline < self._rings_at:
            self._ring_at(deadline)

    def lend(self, hearer: asyncio.Protocol) -> asyncio.WriteTransport | None:
        """Let somebody else hear this connection and speak on it, until `take_back`; None when it is gone."""
        if self._transport is not None:
            self._transport.set_protocol(hearer)
        return self._transport

    def take_back(self) -> None:
        """Hear the connection again."""
        if self._transport is not None:
            self._transport.set_protocol(self)

    def forget(self) -> None:
        """Nobody waits for the answer any more."""
        self._asked = False
        self._find, self._done = _nothing, _nobody

    def send(self, request: bytes) -> None:
        """Send what nobody answers. LineDown when the connection is gone."""
        if self._transport is None or self._transport.is_closing():
            raise LineDown("the connection is closed") from self._lost
        self._transport.write(request)
        if self.ear is not None:
            self.ear("→", request)

    async def quiet(self, silence: float, limit: float) -> bool:
        """Wait until nothing has come for `silence` seconds; False when the line still talks after `limit`."""
        began = self._loop.time()
        self._last_heard = max(self._last_heard, began)
        while (left := self._last_heard + silence - self._loop.time()) > 0:
            if self._loop.time() - began > limit:
                return False
            await asyncio.sleep(left)
        return True

    def close(self) -> None:
        """Hang up without waiting."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._transport is not None:
            self._transport.abort()
            self._transport = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        if not self._asked:
            self._last_heard = self._loop.time()
            if self.ear is not None:
                self.ear("←", bytes(data))
            return
        heard = self._heard + data if self._heard else data
        try:
            answer = self._find(heard)
        except AmrError as error:
            self._heard = bytes(heard)
            self._fail(error)
            return
        if answer is not None:
            self._asked = False
            if self.ear is not None:
                self.ear("←", bytes(heard))
            self._done(answer, None)
            return
        self._heard = bytes(heard)
        if len(heard) > _FLOOD:
            self._fail(Silent(f"more than {_FLOOD} bytes came and none of them was the answer"))

    def _fail(self, error: AmrError) -> None:
        """The question will not be answered."""
        if not self._asked:
            return
        self._asked = False
        if self.ear is not None:
            if self._heard:
                self.ear("←", self._heard)
            self.ear("×", str(error).encode())
        self._done(None, error)

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = exc
        self._transport = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        lost = LineDown("the other side closed the connection while we waited for an answer")
        lost.__cause__ = exc
        self._fail(lost)

    def _ring_at(self, deadline: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(deadline, self._tick)
        self._rings_at = deadline

    def _tick(self) -> None:
        """One timer serves many questions: it looks whether the present one is overdue and sets itself again."""
        self._timer = None
        if not self._asked:
            return
        if self._loop.time() < self._deadline:
            self._ring_at(self._deadline)
            return
        self._fail(Silent("no answer in time"))
