"""A queue by instants into which nearly everything comes in order, and goes out in order. Pure."""

from __future__ import annotations

import heapq
from collections import deque
from datetime import UTC, datetime
from typing import Generic, Protocol, TypeVar


class _Due(Protocol):
    @property
    def due(self) -> datetime: ...

    @property
    def serial(self) -> str: ...


_One = TypeVar("_One", bound=_Due)


class Queue(Generic[_One]):
    """Whoever was polled is due a period later, behind all others of that period: a ring, where a heap would compare.

    What comes out of order (another period, a second try) waits in a heap; a round later it comes in order too.
    """

    __slots__ = ("_count", "_heap", "_last", "_ring")

    def __init__(self) -> None:
        self._ring: deque[_One] = deque()
        self._last = datetime.min.replace(tzinfo=UTC)
        """Nobody in the ring is due after this; not used while it is empty."""
        self._heap: list[tuple[datetime, str, int, _One]] = []
        self._count = 0

    def __len__(self) -> int:
        return len(self._ring) + len(self._heap)

    def put(self, one: _One) -> None:
        """Its `due` must not change until it is taken out."""
        ring, due = self._ring, one.due
        if not ring or self._last <= due:
            ring.append(one)
            self._last = due
        else:
            self._count += 1
            heapq.heappush(self._heap, (one.due, one.serial, self._count, one))

    def first(self) -> _One | None:
        """Who is due first; None when nobody is in it."""
        ring, heap = self._ring, self._heap
        if heap and (not ring or heap[0][0] < ring[0].due):
            return heap[0][3]
        return ring[0] if ring else None

    def take(self, now: datetime) -> _One | None:
        """Take out who is due first, if that is not after `now`."""
        ring, heap = self._ring, self._heap
        if heap and (not ring or heap[0][0] < ring[0].due):
            return heapq.heappop(heap)[3] if heap[0][0] <= now else None
        return ring.popleft() if ring and ring[0].due <= now else None

    def swap(self, one: _One, now: datetime) -> _One | None:
        """`put` this one and `take` who is due first."""
        ring, due = self._ring, one.due
        if self._heap or not ring or due < self._last:
            self.put(one)
            return self.take(now)
        ring.append(one)
        self._last = due
        first = ring.popleft()
        if first.due <= now:
            return first
        ring.appendleft(first)
        return None

    def remove(self, one: _One) -> None:
        """Take out this one; it must be in it."""
        if one in self._ring:
            self._ring.remove(one)
        else:
            self._heap = [entry for entry in self._heap if entry[3] is not one]
            heapq.heapify(self._heap)
