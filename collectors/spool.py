"""What must outlive this process, a lost database and a lost network: kept on disk, in order, within bounds.

    async with Spool(folder / "spool.sqlite", max_bytes=1 << 30, max_age=timedelta(days=90)) as spool:
        ids = await spool.put([Item(body)])        # on disk when it returns
        for id, body in await spool.oldest(100): ...
        await spool.delete(ids)

Everybody who puts at the same time shares one fsync: while one is under way the next group gathers.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from collectors.spool_file import SpoolFile
from collectors.spool_items import Held, Item, Lost, SpoolFailed, SpoolFull

__all__ = ["Item", "Lost", "Spool", "SpoolFailed", "SpoolFull", "SpoolState", "shown"]

log = logging.getLogger(__name__)

ALERT, CALM = 0.8, 0.7
"""Shares of a limit at which an alert is raised, and ended."""

MOST_TOGETHER = 2000
"""Items in one transaction at most."""

_T = TypeVar("_T")
_Put = tuple[Sequence[Item], asyncio.Future[list[int]]]


@dataclass(frozen=True, slots=True)
class SpoolState:
    """For metrics and health: items, bytes in use and allowed, age of the oldest and allowed, whether it alarms."""

    depth: int
    bytes: int
    max_bytes: int
    age: timedelta
    max_age: timedelta
    alert: bool

    @property
    def level(self) -> str | None:
        """What people are told: "full" when deliveries are thinned, "filling" while it alarms, else None."""
        if self.bytes > FULL_SHARE * self.max_bytes:
            return "full"
        return "filling" if self.alert else None


FULL_SHARE = 0.95


class Spool:
    """An ordered store on disk. `put` and `delete` raise SpoolFailed (SpoolFull), and then have done nothing."""

    def __init__(self, path: Path, max_bytes: int = 1 << 30, max_age: timedelta = timedelta(days=90)) -> None:
        self.path = path
        self._max_bytes, self._max_age = max_bytes, max_age
        self._file = SpoolFile(path, max_bytes, max_age)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="spool")
        self._pending: list[_Put] = []
        self._writer: asyncio.Task[None] | None = None
        self._held = Held(0, 0, None)
        self._alert = False

    async def open(self) -> None:
        """Create or recover the file. One that cannot be opened now (a full disk) is tried again by each call."""
        try:
            await self._call(self._file.open)
        except SpoolFailed as error:
            log.error("nothing can be kept on disk for now: %s", error)
            return
        await self._look()

    async def close(self) -> None:
        """Finish what is being written and close the file."""
        if self._writer is not None:
            await asyncio.gather(self._writer, return_exceptions=True)
        await self._call(self._file.close)
        self._thread.shutdown()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def put(self, items: Sequence[Item]) -> list[int]:
        """Append; every item is on disk when this returns. Gives their ids, ascending."""
        done: asyncio.Future[list[int]] = asyncio.get_running_loop().create_future()
        self._pending.append((items, done))
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write(), name="spool")
        return await done

    async def oldest(self, count: int, after: int = 0) -> list[tuple[int, bytes]]:
        """Up to `count` items, oldest first, without those up to id `after`."""
        return await self._call(partial(self._file.oldest, count, after))

    async def delete(self, ids: Sequence[int]) -> None:
        """Forget items; durable as well, and harmless when repeated."""
        await self._call(partial(self._file.delete, ids))
        await self._look()

    async def lost(self) -> list[Lost]:
        """What had to be dropped and was not told yet."""
        return await self._call(self._file.lost)

    async def forget_lost(self, lost: Sequence[Lost]) -> None:
        """These losses were told."""
        await self._call(partial(self._file.forget_lost, lost))

    def depth(self) -> int:
        """How many items there are."""
        return self._held.items

    def age(self) -> timedelta:
        """How long ago the oldest item was put; zero when there is none."""
        oldest = self._held.oldest
        return timedelta(0) if oldest is None else max(timedelta(0), datetime.now(UTC) - oldest)

    def state(self) -> SpoolState:
        """How full it is."""
        held = self._held
        return SpoolState(held.items, held.bytes, self._max_bytes, self.age(), self._max_age, self._alert)

    async def _write(self) -> None:
        """One transaction after another until nobody waits; each takes all who came while the last was written."""
        while self._pending:
            group = self._take_group()
            try:
                await self._write_group(group)
            except SpoolFailed as error:
                if len(group) == 1:
                    _refuse(group[0][1], error)
                else:  # what is too much together may fit alone
                    for one in group:
                        await self._write_alone(one)
            except BaseException as error:
                for _, done in [*group, *self._pending]:
                    _refuse(done, error)
                self._pending.clear()
                raise

    async def _write_alone(self, one: _Put) -> None:
        try:
            await self._write_group([one])
        except SpoolFailed as error:
            _refuse(one[1], error)

    async def _write_group(self, group: Sequence[_Put]) -> None:
        ids = iter(await self._call(partial(self._file.put, [item for items, _ in group for item in items])))
        await self._look()
        for items, done in group:
            mine = [next(ids) for _ in items]
            if not done.done():
                done.set_result(mine)

    def _take_group(self) -> list[_Put]:
        group, count = [], 0
        while self._pending and count < MOST_TOGETHER:
            group.append(self._pending.pop(0))
            count += len(group[-1][0])
        return group

    async def _look(self) -> None:
        """Renew what is known of the file, and raise or end the alert."""
        try:
            self._held = await self._call(self._file.held)
        except SpoolFailed as error:  # whoever puts or deletes next hears of it
            log.warning("how full the spool is cannot be told: %s", error)
            return
        share = max(self._held.bytes / self._max_bytes, self.age() / self._max_age if self._held.items else 0.0)
        if share >= ALERT and not self._alert:
            self._alert = True
            log.warning(
                "the spool %s is at %.0f %% of its limit: %d items, %d MB, oldest %s; soon only the first and last"
                " readings of each day are kept. Bring back what it waits for",
                self.path, 100 * share, self._held.items, self._held.bytes >> 20, shown(self.age()),
            )  # fmt: skip
        elif share < CALM and self._alert:
            self._alert = False
            log.warning("the spool %s is below its alert again: %d items", self.path, self._held.items)

    async def _call(self, work: Callable[[], _T]) -> _T:
        """Off the event loop, one after another; a caller that is cancelled does not take the file's work with it."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


def shown(age: timedelta) -> str:
    """An age as people read it, in whole seconds: `2 days, 3:00:07`."""
    return str(timedelta(seconds=age // timedelta(seconds=1)))


def _refuse(done: asyncio.Future[list[int]], error: BaseException) -> None:
    if not done.done():
        done.set_exception(error)
