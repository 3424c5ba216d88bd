"""A device whose way to the asker can be broken: by a scenario, or by hand at run time. Counts its requests."""

from collections.abc import Sequence

from simulators.clock import Clock
from simulators.faults import Fault, Kind


class Breakable:
    """What every simulated device has in common, whatever it speaks."""

    def __init__(self, clock: Clock, scenario: Sequence[Fault] = ()) -> None:
        self.clock = clock
        self.scenario = tuple(scenario)
        self.requests = 0
        self._switched: Fault | None = None

    def break_with(self, kind: Kind | str, *, seconds: float = 0.0, every: int = 1) -> None:
        """Switch a fault on now; it replaces the one switched on before and outranks the scenario."""
        self._switched = Fault(Kind(kind), seconds=seconds, every=every)

    def mend(self) -> None:
        """Switch the fault off again; the scenario's own ones still hold."""
        self._switched = None

    def fault(self) -> Fault | None:
        """The fault that meets the request being answered, if any. Counts requests."""
        self.requests += 1
        if self._switched is None and not self.scenario:
            return None
        fault = self._switched or self._scheduled()
        return fault if fault and self.requests % fault.every == 0 else None

    def _scheduled(self) -> Fault | None:
        now = self.clock.now()
        return next((fault for fault in self.scenario if fault.holds(now)), None)
