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


class Answers(Durations):
    """How long the meters of one model took, and how many polls of them went well."""

    __slots__ = ("good",)

    def __init__(self) -> None:
        super().__init__()
        self.good = 0

    def answered(self, seconds: float) -> None:
        """A poll that went well."""
        self.good += 1
        self.counts[bisect_left(SECONDS, seconds)] += 1
        self.total += seconds


@dataclass(slots=True)
class Use:
    """For how many seconds a line was spoken on."""

    seconds: float = 0.0


@dataclass(slots=True)
class Polled:
    """What the lines of a collector did. `answers` has how long the meters of a model took and how many polls went
    well, `failures` counts the others by (model, code), `busy` has the use of each line."""

    failures: Counter[tuple[str, str]] = field(default_factory=Counter)
    answers: defaultdict[str, Answers] = field(default_factory=lambda: defaultdict(Answers))
    busy: defaultdict[str, Use] = field(default_factory=lambda: defaultdict(Use))

    @property
    def polls(self) -> Counter[tuple[str, str]]:
        """How many by (model, 'ok' or the code of the failure)."""
        good = {(model, "ok"): answers.good for model, answers in self.answers.items() if answers.good}
        return Counter({**good, **self.failures})

    def failed(self, model: str, code: str, seconds: float) -> None:
        """A poll that failed after so long."""
        self.failures[model, code] += 1
        self.answers[model].add(seconds)
