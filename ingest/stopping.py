"""How a process ends: at a signal, in order, and in time whatever hangs."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from types import FrameType
from typing import Any

from ingest.intake import Intake

log = logging.getLogger(__name__)

STOP = 5.0
"""Seconds after which a stopping process ends whatever hangs."""

FINISH = 2.0
"""Seconds of them a door may take to commit what it holds."""


async def until_stopped(main: Coroutine[Any, Any, None], within: float = STOP) -> None:
    """Run until done, or until SIGINT or SIGTERM cancels it; a second signal is ignored while things are put away.

    What is not put away `within` so many seconds of the signal is left to itself: the process ends with status 1.
    """
    task = asyncio.current_task()
    assert task is not None
    loop = asyncio.get_running_loop()
    stopped = False

    def stop() -> None:
        nonlocal stopped
        if not stopped:
            stopped = True
            task.cancel()

    in_time = _stop_anyway(within)
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
        signal.signal(number, in_time)  # heard at once, though something may hold the loop
    try:
        await main
    except asyncio.CancelledError:
        if not stopped:
            raise


def _stop_anyway(within: float) -> Callable[[int, FrameType | None], None]:
    """A server that hangs must not keep us: what is not stored is on disk, at the broker, or was not answered.

    Gives what is to be called at the first signal; at later ones it does nothing.
    """

    def end() -> None:
        log.error("not stopped within %g s: something hangs, and is left to itself", within)
        logging.shutdown()
        os._exit(1)

    timer = threading.Timer(within, end)
    timer.daemon = True

    def begin(number: int, frame: FrameType | None) -> None:
        if timer.ident is None:
            timer.start()

    return begin


@contextlib.asynccontextmanager
async def storing(intake: Intake) -> AsyncIterator[None]:
    """Storing what is put, and at the end, for a while, what is left."""
    door = asyncio.create_task(intake.run(), name="intake")
    try:
        yield
    finally:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FINISH):
                await intake.drain()
        door.cancel()
        await asyncio.gather(door, return_exceptions=True)
