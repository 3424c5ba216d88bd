"""What the door and the database pool of this process count, and how the fleet was at the last look, for Prometheus."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from ingest.intake import Intake
from ingest.silence import Level
from storage.database import Database
from storage.health import Health


class StoreMetrics(Collector):
    """The queues before the store by door (poll, push, people), their batches and commits, and the pool."""

    def __init__(self, database: Database, **doors: Intake) -> None:
        self._database = database
        self._doors = doors

    def collect(self) -> Iterator[Metric]:
        for name, what, value in _GAUGES:
            yield self._by_door(GaugeMetricFamily(name, what, labels=["door"]), value)
        for name, what, value in _COUNTERS:
            yield self._by_door(CounterMetricFamily(name, what, labels=["door"]), value)
        commits = HistogramMetricFamily(
            "amr_commit_seconds", "How long a batch takes from its beginning to its commit", labels=["door"]
        )
        for door, intake in self._doors.items():
            commits.add_metric([door], intake.tally.commits.cumulative(), intake.tally.commits.total)
        yield commits
        pool = self._database.pool_state()
        yield GaugeMetricFamily("amr_pool_connections", "Connections of the pool", value=pool.get("pool_size", 0))
        yield GaugeMetricFamily("amr_pool_idle", "Of these not in use", value=pool.get("pool_available", 0))
        yield GaugeMetricFamily("amr_pool_waiting", "Who waits for one", value=pool.get("requests_waiting", 0))

    def _by_door(self, family: _Family, value: Callable[[Intake], float]) -> _Family:
        for door, intake in self._doors.items():
            family.add_metric([door], value(intake))
        return family


_Family = TypeVar("_Family", GaugeMetricFamily, CounterMetricFamily)
_Value = Callable[[Intake], float]
_GAUGES: Sequence[tuple[str, str, _Value]] = (
    ("amr_intake_rows", "Rows that wait for the store", lambda intake: intake.depth.rows),
    ("amr_intake_limit_rows", "Rows that may wait", lambda intake: intake.depth.capacity),
    ("amr_intake_oldest_seconds", "Age of the oldest of them", lambda intake: intake.depth.oldest),
)
_COUNTERS: Sequence[tuple[str, str, _Value]] = (
    ("amr_batches", "Batches committed", lambda intake: intake.tally.batches),
    ("amr_batch_retries", "Times a batch had to wait for the store", lambda intake: intake.tally.retries),
    ("amr_rejects", "What came and could not be a reading", lambda intake: intake.tally.rejects),
    ("amr_readings", "Readings judged and committed", lambda intake: intake.tally.readings),
)


class FleetMetrics(Collector):
    """The fleet as the process that watches over it saw it last; nothing from the others."""

    def __init__(self) -> None:
        self._health: Health | None = None

    def see(self, health: Health) -> None:
        """This is how it is now."""
        self._health = health

    def collect(self) -> Iterator[Metric]:
        health = self._health
        if health is None:
            return
        yield GaugeMetricFamily("amr_fleet_meters", "Installed meters heard by themselves", value=health.meters)
        silent = GaugeMetricFamily("amr_fleet_silent_meters", "Silent ones by the level at fault", labels=["level"])
        faults = GaugeMetricFamily("amr_fleet_faults", "Faults by level", labels=["level"])
        for level in Level:
            of_level = [fault for fault in health.faults if fault.level is level]
            faults.add_metric([level.value], len(of_level))
            silent.add_metric([level.value], len({meter for fault in of_level for meter in fault.meters}))
        yield silent
        yield faults
        day = health.yesterday
        if day.expected:
            came = day.received / day.expected
            yield GaugeMetricFamily("amr_fleet_completeness", "Share of what was due that came yesterday", value=came)
            yield GaugeMetricFamily("amr_fleet_lacking_points", "Points that lack some of it", value=day.lacking)
        yield GaugeMetricFamily("amr_quarantine_rows", "Rows in quarantine", value=health.quarantine.rows)
        yield GaugeMetricFamily("amr_quarantine_share", "How full it is, 1 at its limit", value=health.quarantine.share)
        yield GaugeMetricFamily("amr_clock_drifts", "Meters whose clock is off", value=len(health.drifts))
        yield GaugeMetricFamily("amr_verifications_due", "Meters whose verification ends soon", value=len(health.due))
