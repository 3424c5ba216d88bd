"""A collector's side of reading requests: take those for the lines it owns, poll, write down what became of them."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import secrets
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from ingest.delivery import Fate, Outcome
from ingest.errors import AmrError, Elsewhere, StoreUnavailable
from storage.database import Database
from storage.request_states import LONGEST, Request, expire, finish, give_back, take
from storage.requests import asked

log = logging.getLogger(__name__)

MOST = 200
"""Meters asked at once by one collector."""
_ANSWER_WITHIN = LONGEST.total_seconds() - 30
"""Seconds a poll may take, so that its end is written down before the request counts as abandoned."""
_STORE_WITHIN = 25.0
_PAUSE = 0.5

Poll = Callable[[str, str], Awaitable[tuple[datetime, Outcome]]]
"""(line, serial number) -> the instant and the outcome of a poll made now. Raises what it failed with; Elsewhere when
the line is not owned here."""


@dataclass(frozen=True, slots=True)
class _Result:
    read_at: datetime | None = None
    failure: str | None = None
    detail: str | None = None


class RequestService:
    """Serves requests for the lines that `lines()` names, through `poll`. `name` is the collector's, for people."""

    def __init__(self, database: Database, name: str, lines: Callable[[], Collection[str]], poll: Poll) -> None:
        self._database = database
        self._name = f"{name}/{secrets.token_hex(3)}"  # of two on one machine only one may give back what it took
        self._lines = lines
        self._poll = poll
        self._busy: dict[asyncio.Task[None], list[int]] = {}
        self._room = asyncio.Event()
        self._woken = asyncio.Event()

    def look(self) -> None:
        """Look now whether there is something to do: a line may have become ours."""
        self._woken.set()

    async def run(self, *, every: float = 10.0) -> None:
        """Until cancelled; what is in hand then is given back. Looks every so many seconds, without a notice too."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._follow(every), name="notices of reading requests")
                tasks.create_task(self._serve_when_woken(), name="reading requests")
        finally:
            await self._leave()

    async def _follow(self, every: float) -> None:
        async with contextlib.aclosing(asked(self._database, every=every)) as notices:
            async for number in notices:
                if number is None:
                    with contextlib.suppress(StoreUnavailable):
                        async with self._database.connection() as conn:
                            await expire(conn)
                self.look()

    async def _serve_when_woken(self) -> None:
        while True:
            await self._woken.wait()
            self._woken.clear()
            with contextlib.suppress(StoreUnavailable):  # who follows the notices says so, and wakes us after it
                await self._serve()

    async def _serve(self) -> None:
        """Take everything there is, waiting for room between."""
        while True:
            while len(self._busy) >= MOST:
                self._room.clear()
                await self._room.wait()
            lines = self._lines()
            if not lines:
                return
            async with self._database.connection() as conn:
                taken = await take(conn, lines, self._name, limit=MOST - len(self._busy))
            if not taken:
                return
            by_meter = itertools.groupby(sorted(taken, key=_place), key=_place)
            for (line, meter), requests in by_meter:
                self._start(line, meter, [request.id for request in requests])

    def _start(self, line: str, meter: str, ids: list[int]) -> None:
        task = asyncio.create_task(self._answer(line, meter, ids), name=f"reading request {meter}")
        self._busy[task] = ids
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._busy.pop(task, None)
        self._room.set()
        if not task.cancelled() and (error := task.exception()):
            log.error("a reading request failed by a fault of ours: %s", error, exc_info=error)

    async def _answer(self, line: str, meter: str, ids: list[int]) -> None:
        """Poll once for all who asked for this meter."""
        try:
            async with asyncio.timeout(_ANSWER_WITHIN):
                result = _judged(*await self._poll(line, meter))
        except TimeoutError:
            result = _Result(failure="too_late", detail=f"line {line} did not come to it in {_ANSWER_WITHIN:.0f} s")
        except Elsewhere:
            await self._record(lambda: self._back(ids))
            return
        except asyncio.CancelledError:
            if _is_cancelled():
                raise
            await self._record(lambda: self._back(ids))  # not we were stopped, but the owner of the line
            return
        except AmrError as error:
            result = _Result(failure=error.code, detail=str(error))
        await self._record(lambda: self._finish(ids, result))

    async def _record(self, write: Callable[[], Awaitable[None]]) -> None:
        """Write down an end; a database that is away for longer lets the request end as abandoned."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_STORE_WITHIN):
                while True:
                    try:
                        await write()
                    except StoreUnavailable:
                        await asyncio.sleep(_PAUSE)
                    else:
                        return

    async def _finish(self, ids: Sequence[int], result: _Result) -> None:
        async with self._database.connection() as conn:
            await finish(conn, ids, read_at=result.read_at, failure=result.failure, detail=result.detail)

    async def _back(self, ids: Sequence[int]) -> None:
        await asyncio.sleep(_PAUSE)  # not at once again, while a line changes hands
        async with self._database.connection() as conn:
            await give_back(conn, ids, self._name)

    async def _leave(self) -> None:
        tasks = dict(self._busy)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        left = [number for task, ids in tasks.items() if task.cancelled() for number in ids]
        if left:
            with contextlib.suppress(StoreUnavailable):  # then they end as abandoned
                async with self._database.connection() as conn:
                    await give_back(conn, left, self._name)


def _place(request: Request) -> tuple[str, str]:
    return request.line or "", request.meter


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _judged(at: datetime, outcome: Outcome) -> _Result:
    """A poll of which at least one reading was kept is an answer."""
    if outcome.kept:
        return _Result(read_at=at, detail="read while the database was away; stored as soon as it is back")
    refused = [verdict for verdict in outcome.verdicts if verdict.fate is Fate.QUARANTINED]
    kept = len(outcome.verdicts) - len(refused)
    if not kept:
        why = refused[0].detail if refused else "the meter answered without a value"
        return _Result(failure="no_reading", detail=why)
    detail = f"{len(refused)} of {len(outcome.verdicts)} values were refused: {refused[0].detail}" if refused else None
    return _Result(read_at=at, detail=detail)
