"""A line with meters of several protocols: every station hears everything, each answers what it knows. Pure."""

from collections.abc import Sequence

from simulators.framing import Reply, Station


class SharedLine:
    """Several stations on one wire."""

    def __init__(self, stations: Sequence[Station]) -> None:
        self._stations = tuple(stations)

    @property
    def baud(self) -> int | None:
        """The speed a station has agreed on, None when they all keep the line's own."""
        return next((baud for station in self._stations if (baud := getattr(station, "baud", None))), None)

    def hear(self, data: bytes) -> list[Reply]:
        """What goes back."""
        return [reply for station in self._stations for reply in station.hear(data)]

    def silence(self) -> None:
        """A pause, for everybody."""
        for station in self._stations:
            station.silence()
