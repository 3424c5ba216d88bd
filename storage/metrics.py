"""What the door and the database pool of this process count, and how the fleet was at the last look, for Prometheus."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from ingest.intake import Intake
from ingest.silence import Level
from storage.database import Database
from storage.health import Health


class StoreMetrics(Collector):
    """The queue before the store, its batches and commits, and the pool of connections."""

    def __init__(self, intake: Intake, database: Database) -> None:
        self._intake = intake
        self._database = database

    def collect(self) -> Iterator[Metric]:
        depth, tally = self._intake.depth, self._intake.tally
        yield GaugeMetricFamily("amr_intake_rows", "Rows that wait for the store", value=depth.rows)
        yield GaugeMetricFamily("amr_intake_limit_rows", "Rows that may wait", value=depth.capacity)
        yield GaugeMetricFamily("amr_intake_oldest_seconds", "Age of the oldest of them", value=depth.oldest)
        yield CounterMetricFamily("amr_batches", "Batches committed", value=tally.batches)
        yield CounterMetricFamily("amr_batch_retries", "Times a batch had to wait for the store", value=tally.retries)
        yield CounterMetricFamily("amr_rejects", "What came and could not be a reading", value=tally.rejects)
        yield CounterMetricFamily(
            "amr_readings", "Readings judged and committed", value=tally.readings
        )
        commits = HistogramMetricFamily("amr_commit_seconds", "How long a batch takes from its beginning to its commit")
        commits.add_metric([], tally.commits.cumulative(), tally.commits.total)
        yield commits
        pool = self._database.pool_state()
        yield GaugeMetricFamily("amr_pool_connections", "Connections of the pool", value=pool.get("pool_size", 0))
        yield GaugeMetricFamily("amr_pool_idle", "Of these not in use", value=pool.get("pool_available", 0))
        yield GaugeMetricFamily("amr_pool_waiting", "Who waits for one", value=pool.get("requests_waiting", 0))


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
        yield GaugeMetricFamily(
            "amr_fleet_meters", "Installed meters heard by themselves", value=health.meters
        )
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
