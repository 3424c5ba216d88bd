"""What passed through a process since its start, counted where it happens, read by whoever watches."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from dataclasses import dataclass, field

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Durations:
    """How often something took how long, in buckets of seconds. `counts` has one more than the bounds: the rest."""

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts = [0] * (len(SECONDS) + 1)
        self.total = 0.0

    def add(self, seconds: float) -> None:
        self.counts[bisect_left(SECONDS, seconds)] += 1
        self.total += seconds

    def cumulative(self) -> list[tuple[str, float]]:
        """(upper bound, how many took at most so long), as Prometheus counts."""
        bounds = [*map(str, SECONDS), "+Inf"]
        seen, found = 0, []
        for bound, count in zip(bounds, self.counts, strict=True):
            seen += count
            found.append((bound, float(seen)))
        return found


@dataclass(slots=True)
class Stored:
    """What a door stored. `rejects` went to quarantine; `retries` counts the times a batch had to wait."""

    batches: int = 0
    readings: int = 0
    rejects: int = 0
    retries: int = 0
    commits: Durations = field(default_factory=Durations)


@dataclass(slots=True)
class Polled:
    """What the lines of a collector did. `polls` counts by (model, 'ok' or the code of the failure), `answers` has how
    long the meters of a model took, `busy` for how many seconds each line was spoken on."""

    polls: Counter[tuple[str, str]] = field(default_factory=Counter)
    answers: dict[str, Durations] = field(default_factory=dict)
    busy: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))

    def add(self, line: str, model: str, result: str, seconds: float) -> None:
        """One poll of a meter that took so long."""
        self.polls[model, result] += 1
        durations = self.answers.get(model)
        if durations is None:
            durations = self.answers[model] = Durations()
        durations.add(seconds)
        self.busy[line] += seconds
