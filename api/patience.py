"""Clients that begin a request and never end it: how long they are waited for."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD = 20.0
"""Seconds from the first byte of a connection (or of its next request) to the end of the head."""
BODY = 20.0
"""Seconds to the first bytes of a body."""
LARGEST_HEAD = 320 << 10
"""Bytes without an end of a head: 64 KiB, beside one portion that may end the request before."""
SLOWEST = 500.0
"""Bytes a second that a body has to bring after that: a modem on a bad line does."""


class PatientProtocol(HttpToolsProtocol):
    """uvicorn's HTTP, which waits for ever for the rest of a head, and keeps all of it."""

    _waiting: asyncio.TimerHandle | None = None
    _head = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        self._heard()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._waiting is not None:
            self._head += len(data)
            if self._head > LARGEST_HEAD:
                self._give_up()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._wait()

    def on_headers_complete(self) -> None:
        self._heard()
        super().on_headers_complete()

    def _wait(self) -> None:
        self._heard()
        self._waiting = self.loop.call_later(HEAD, self._give_up)

    def _heard(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None
        self._head = 0

    def _give_up(self) -> None:
        transport: Any = self.transport
        if not transport.is_closing():
            transport.close()
