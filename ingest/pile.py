"""The readings of many deliveries, numbered through, without a copy of them: each is made when it is looked at."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

from ingest.delivery import Delivery
from ingest.model import Reading


class Pile:
    """Readings by their place; `starts` are the places at which the deliveries begin."""

    def __init__(self, deliveries: Sequence[Delivery]) -> None:
        ends = list(accumulate((len(delivery.readings) for delivery in deliveries), initial=0))
        self.deliveries = deliveries
        self.starts = ends[:-1]
        self._size = ends[-1]

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, place: int) -> Reading:
        number = bisect_right(self.starts, place) - 1
        return self.deliveries[number].readings[place - self.starts[number]]

    def delivery(self, place: int) -> Delivery:
        """Who brought it."""
        return self.deliveries[bisect_right(self.starts, place) - 1]
