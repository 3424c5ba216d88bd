"""A collector's side of line requests: take those for the lines it owns, have them done, write down what is told."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Callable, Collection, Coroutine, Mapping
from typing import Any

from ingest.errors import AmrError, Elsewhere, StoreUnavailable
from storage import line_requests
from storage.database import Database
from storage.line_requests import ASKED, MOST, LineRequest
from storage.notices import notices

_log = logging.getLogger(__name__)

_FLUSH = 0.2
"""Seconds between two looks whether there is something to tell."""
_SIGN = 5.0
"""Seconds between two signs of life when there is nothing."""
_STORE_WITHIN = 10.0

Tell = Callable[[Mapping[str, Any]], None]
Work = Callable[[str, str, Mapping[str, Any], Tell], Coroutine[Any, Any, None]]
"""(line, kind, what is wanted, tell): does it and tells what comes. Raises what it failed with, or Elsewhere."""


class LineService:
    """Serves requests for the lines that `lines()` names, by `work`. `name` is the collector's."""

    def __init__(self, database: Database, name: str, lines: Callable[[], Collection[str]], work: Work) -> None:
        self._database = database
        self._name = f"{name}/{secrets.token_hex(3)}"
        self._lines = lines
        self._work = work

    async def run(self, *, every: float = 5.0) -> None:
        """Until cancelled; what is in hand then ends as failed."""
        async with (
            asyncio.TaskGroup() as tasks,
            contextlib.aclosing(notices(self._database, ASKED, every=every)) as new,
        ):
            async for _ in new:
                with contextlib.suppress(StoreUnavailable):  # the notices tell of it, and of its end
                    async with self._database.connection() as conn:
                        taken = await line_requests.take(conn, self._lines(), self._name)
                    for request in taken:
                        tasks.create_task(self._serve(request), name=f"line request {request.id}")

    async def _serve(self, request: LineRequest) -> None:
        told: list[Mapping[str, Any]] = []
        work = asyncio.create_task(self._work(request.line, request.kind, request.wanted, told.append))
        failure: str | None = "stopped"
        detail: str | None = "the collector was stopped; ask again"
        try:
            left = not await self._tell_while(request, work, told)
            failure, detail = await _ended(work, left=left)
            if failure == Elsewhere.code:
                async with self._database.connection() as conn:
                    await line_requests.give_back(conn, request, self._name)
                return
        except StoreUnavailable as error:
            _log.warning("line request %d is given up: %s", request.id, error)
        finally:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
            if failure != Elsewhere.code:
                await self._finish(request, failure, detail)

    async def _tell_while(self, request: LineRequest, work: asyncio.Task[None], told: list[Mapping[str, Any]]) -> bool:
        """Write down what is told until the work is over; False when nobody reads it any more, or it was too much."""
        loop = asyncio.get_running_loop()
        count, sign = 0, loop.time()
        while True:
            done, _ = await asyncio.wait((work,), timeout=_FLUSH)
            bodies = told[:500]
            del told[:500]
            count += len(bodies)
            if bodies or loop.time() - sign >= _SIGN:
                sign = loop.time()
                async with self._database.connection() as conn:
                    if not await line_requests.tell(conn, request, self._name, bodies):
                        return False
            if count >= MOST:
                return False
            if done and not told:
                return True

    async def _finish(self, request: LineRequest, failure: str | None, detail: str | None) -> None:
        with contextlib.suppress(StoreUnavailable, TimeoutError):  # then it ends as abandoned
            async with asyncio.timeout(_STORE_WITHIN), self._database.connection() as conn:
                await line_requests.finish(conn, request, failure, detail)


async def _ended(work: asyncio.Task[None], *, left: bool) -> tuple[str | None, str | None]:
    """What became of the work: nothing to say of it, or a failure and its detail."""
    if left:
        return "left", f"nobody waited for the answer any more, or it had more than {MOST} parts"
    try:
        await work
    except AmrError as error:
        return error.code, str(error)
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        return "line_changed", "the line was changed or given up meanwhile; ask again"
    except Exception:  # noqa: BLE001 - a fault over one request must not end the collector
        _log.exception("a line request failed by a fault of ours")
        return "fault", "a fault of ours; the collector's log has it"
    return None, None
