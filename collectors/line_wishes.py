"""What somebody wants done on a line ahead of its schedule, until its owner comes to it: errands, and polls at once."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, NamedTuple, TypeVar, cast

from collectors.link import LineDown, Link
from ingest.delivery import Outcome
from ingest.errors import AmrError

_Result = TypeVar("_Result")

Polled = tuple[datetime, asyncio.Future[Outcome]]
"""The instant of a poll, and its commit to come."""


class Errand(NamedTuple):
    """Work that somebody wants done on the line, and what it brought."""

    work: Callable[[Link], Awaitable[Any]]
    done: asyncio.Future[Any]
    patient: bool


class Called(NamedTuple):
    """A meter that is to be polled at once, and what that brought."""

    serial: str
    done: asyncio.Future[Polled]


class Wishes:
    """Two queues of those who wait. `wake` tells the line's owner that something is to be done."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self.errands: deque[Errand] = deque()
        self.called: deque[Called] = deque()

    async def lend(self, work: Callable[[Link], Awaitable[_Result]], *, patient: bool) -> _Result:
        """Have something done; see `Owner.lend`."""
        done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.errands.append(Errand(work, done, patient))
        self._wake()
        return cast(_Result, await done)

    async def call(self, serial: str) -> Polled:
        """Have a meter polled. Raises what the poll failed with."""
        done: asyncio.Future[Polled] = asyncio.get_running_loop().create_future()
        self.called.append(Called(serial, done))
        self._wake()
        return await done

    def fail(self, error: AmrError) -> None:
        """Tell everybody who waits."""
        for waiting in self._taken():
            if not waiting.done():
                waiting.set_exception(error)

    def cancel(self) -> None:
        """Nothing will be done any more."""
        for waiting in self._taken():
            waiting.cancel()

    def _taken(self) -> list[asyncio.Future[Any]]:
        waiting: list[asyncio.Future[Any]] = [errand.done for errand in self.errands]
        waiting += [called.done for called in self.called]
        self.errands.clear()
        self.called.clear()
        return waiting


async def run(errand: Errand, link: Link, lost: Callable[[LineDown], Awaitable[None]]) -> None:
    """Do it and tell who waits for it; `lost` is told before when the line is gone."""
    if errand.done.done():
        return
    try:
        result = await errand.work(link)
    except AmrError as error:
        if isinstance(error, LineDown):
            await lost(error)
        if not errand.done.done():
            errand.done.set_exception(error)
    except asyncio.CancelledError:
        errand.done.cancel()
        raise
    else:
        if not errand.done.done():
            errand.done.set_result(result)
