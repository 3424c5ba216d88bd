"""What a forwarding collector has sent and the central ingest has not confirmed yet. No I/O, no clock of its own."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(slots=True)
class Sent:
    """One message under way: its name, the spool's items in it, when it is to be sent again (monotonic seconds)."""

    receipt: str
    ids: tuple[int, ...]
    payload: bytes
    fresh: bool
    again_at: float
    times: int = 0


class Out:
    """Messages in the order they were sent first. `first` and `longest` bound the seconds between two sendings of one.

    An ingest that is away for a day must not find each message a thousand times: the pauses double. They are jittered,
    so that a hundred gateways that were cut off together do not speak together.
    """

    def __init__(self, first: float, longest: float) -> None:
        self._first = first
        self._longest = longest
        self._sent: dict[str, Sent] = {}
        self._items: set[int] = set()

    def __contains__(self, item: int) -> bool:
        return item in self._items

    def count(self, *, fresh: bool) -> int:
        """How many fresh messages, or how many of the backlog, are under way."""
        return sum(one.fresh is fresh for one in self._sent.values())

    def add(self, receipt: str, ids: Sequence[int], payload: bytes, *, fresh: bool, now: float) -> Sent:
        """A new message, sent now."""
        one = self._sent[receipt] = Sent(receipt, tuple(ids), payload, fresh, now)
        self._items.update(ids)
        self.sent(one, now)
        return one

    def sent(self, one: Sent, now: float) -> None:
        """It was sent (again) just now."""
        pause = min(self._first * 2**one.times, self._longest)
        one.times += 1
        one.again_at = now + pause * random.uniform(0.75, 1.25)

    def due(self, now: float) -> Sent | None:
        """The oldest message whose confirmation is overdue."""
        return next((one for one in self._sent.values() if one.again_at <= now), None)

    def lost_connection(self, again_at: float) -> None:
        """Nobody knows what the broker still has: all of it is sent again from that time on."""
        for one in self._sent.values():
            one.again_at, one.times = again_at, 0

    def confirmed(self, receipts: Iterable[str]) -> list[int]:
        """The items of these messages may be forgotten; names that are not ours (any more) are passed over."""
        ids: list[int] = []
        for receipt in receipts:
            if (one := self._sent.pop(receipt, None)) is not None:
                ids.extend(one.ids)
        self._items.difference_update(ids)
        return ids

    @property
    def most_times(self) -> int:
        """How often the most repeated of them was sent."""
        return max((one.times for one in self._sent.values()), default=0)
