"""Serving the application inside a loop that others share, and stopping it without leaving anything behind."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import uvicorn
from starlette.applications import Starlette

from api.patience import PatientProtocol
from ingest.errors import Misconfigured

_GRACE = 5
"""Seconds for requests that run at a stop."""


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: whoever owns the loop decides when to stop."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def serving(app: Starlette, host: str, port: int) -> AsyncIterator[str]:
    """Serve while the context is open; gives the base URL. Port 0 takes a free one.

    Raises Misconfigured when the address cannot be had. At the end running requests get a few seconds to finish; those
    that would never finish by themselves are told by what the application has in `state.at_stop`.
    """
    listener = _listen(host, port)
    name, number = listener.getsockname()[:2]
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        http=PatientProtocol,
        ws="none",
        timeout_keep_alive=30,
        timeout_graceful_shutdown=_GRACE,
    )
    server = _Server(config)
    running = asyncio.create_task(server.serve(sockets=[listener]), name="http")
    up = asyncio.create_task(server.up.wait())
    try:
        await asyncio.wait({running, up}, return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            await running
        yield f"http://{f'[{name}]' if ':' in name else name}:{number}"
    finally:
        up.cancel()
        server.should_exit = True
        for stop in getattr(app.state, "at_stop", ()):
            stop()
        await running


async def serve(app: Starlette, host: str, port: int) -> None:
    """Serve until cancelled."""
    async with serving(app, host, port):
        await asyncio.Event().wait()


def _listen(host: str, port: int) -> socket.socket:
    """A bound socket. Raises Misconfigured naming the setting when that cannot be."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.setblocking(False)
        except OSError:
            listener.close()
            raise
    except (OSError, OverflowError) as e:
        raise Misconfigured(
            f"cannot listen on {host}:{port} ({e}); choose another AMR_HTTP_HOST or AMR_HTTP_PORT"
        ) from e
    return listener
