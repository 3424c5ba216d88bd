"""A line with meters of several protocols: every station hears everything, each answers what it knows.

Between two frames there is a pause, by which stations that cannot tell a foreign frame's length know its end.
"""

from collections.abc import Sequence
from time import monotonic

from simulators.framing import Reply, Station

_PAUSE_SECONDS = 0.0015


class SharedLine:
    """Several stations on one wire."""

    def __init__(self, stations: Sequence[Station]) -> None:
        self._stations = tuple(stations)
        self._last = 0.0

    @property
    def baud(self) -> int | None:
        """The speed a station has agreed on, None when they all keep the line's own."""
        return next((baud for station in self._stations if (baud := getattr(station, "baud", None))), None)

    def hear(self, data: bytes) -> list[Reply]:
        """What goes back."""
        now = monotonic()
        if now - self._last > _PAUSE_SECONDS:
            self.silence()
        self._last = now
        return [reply for station in self._stations for reply in station.hear(data)]

    def silence(self) -> None:
        """A pause, for everybody."""
        for station in self._stations:
            station.silence()
