"""One follower of the database's notices for all the streams of a process. It runs while anybody listens.

Listeners hold no connection: the follower has one for all of them, and each event is read once. Who is too slow is let
go, and finds what it missed in the table when it comes again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from api.problems import RETRY_SECONDS, Problem
from ingest.errors import AmrError, StoreUnavailable
from storage import cabinet_events
from storage.cabinet_events import CabinetEvent
from storage.database import Database
from storage.request_states import expire

log = logging.getLogger(__name__)

_ROOM = 200
"""Events that may wait for one listener."""


class Listener:
    """Events as they come. `over`: some did not fit, or the service stops, and the stream should end."""

    def __init__(self) -> None:
        self._events: asyncio.Queue[CabinetEvent | None] = asyncio.Queue(_ROOM)
        self.over = False

    def offer(self, event: CabinetEvent) -> None:
        """Put one before the listener, who must not hold up the others."""
        try:
            self._events.put_nowait(event)
        except asyncio.QueueFull:
            self.over = True

    def end(self) -> None:
        """Let the stream end now."""
        self.over = True
        with contextlib.suppress(asyncio.QueueFull):  # then there is something to wake up for
            self._events.put_nowait(None)

    async def next(self, patience: float) -> CabinetEvent | None:
        """The next event, None when none came for so many seconds, or at the end."""
        try:
            async with asyncio.timeout(patience):
                return await self._events.get()
        except TimeoutError:
            return None


class EventHub:
    """Gives every event to every listener: `most` of them at once, `each` of one caller."""

    def __init__(self, database: Database, most: int, each: int, *, every: float = 10.0) -> None:
        self._database = database
        self._most, self._each, self._every = most, each, every
        self._listeners: dict[Listener, str] = {}
        self._following: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()

    @asynccontextmanager
    async def listening(self, caller: str) -> AsyncIterator[Listener]:
        """Listen while the context is open. Raises the 429 of too many streams, StoreUnavailable.

        Every event that commits after the beginning is heard.
        """
        if len(self._listeners) >= self._most or Counter(self._listeners.values())[caller] >= self._each:
            headers = {"Retry-After": str(RETRY_SECONDS)}
            raise Problem("too_many_streams", headers=headers, most=self._each, seconds=RETRY_SECONDS)
        listener = Listener()
        self._listeners[listener] = caller
        try:
            if self._following is None or self._following.done():
                self._following = asyncio.create_task(self._follow(), name="cabinet events")
            await self._until_ready()
            yield listener
        finally:
            del self._listeners[listener]
            if not self._listeners:
                await self._stop()

    def close(self) -> None:
        """Let every stream end: their clients ask again, here or where the service is started next."""
        for listener in self._listeners:
            listener.end()

    async def _until_ready(self) -> None:
        """Until notices are heard. Raises StoreUnavailable when they are not in time."""
        try:
            async with asyncio.timeout(self._every):
                await self._ready.wait()
        except TimeoutError as e:
            raise StoreUnavailable("the notices of the database cannot be followed") from e

    async def _stop(self) -> None:
        task, self._following = self._following, None
        self._ready.clear()
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _follow(self) -> None:
        try:
            await self._tell()
        except Exception:  # nobody waits for this task: streams that will hear nothing more must end, and it be known
            log.exception("the events cannot be followed; streams end, and the next one begins anew")
            self._ready.clear()
            self.close()

    async def _tell(self) -> None:
        last: int | None = None
        async with contextlib.aclosing(cabinet_events.told(self._database, every=self._every)) as notices:
            async for number in notices:
                if number is not None and last is not None and number <= last:
                    continue  # came with the ones before it
                with contextlib.suppress(
                    AmrError
                ):  # the next look finds it; who follows the notices says what is wrong
                    last = await self._look(last, tidy=number is None)
                    self._ready.set()

    async def _look(self, last: int | None, *, tidy: bool) -> int:
        """Tell everybody what is new; gives the number of the newest event. Sometimes let what waited too long end."""
        if tidy:
            async with self._database.connection() as conn:
                await expire(conn)
        async with self._database.connection() as conn:
            if last is None:
                return await cabinet_events.last(conn)
            found = await cabinet_events.after(conn, last)
        for event in found:
            for listener in self._listeners:
                listener.offer(event)
        return found[-1].id if found else last
