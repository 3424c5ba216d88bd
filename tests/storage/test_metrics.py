"""What monitoring is told: by a real store, a real page, and the fleet as it was seen."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import httpx
from prometheus_client.parser import text_string_to_metric_families

from api.metrics_page import monitored
from api.settings import HttpSettings
from ingest.delivery import Delivery, Reject
from ingest.intake import Intake
from ingest.model import Reading, RegisterSpec
from storage.database import Database
from storage.health import look
from storage.metrics import FleetMetrics, StoreMetrics
from storage.readings import PostgresStore
from tests.storage.rows import install

Sample = dict[tuple[str, str], float]


def samples(text: str) -> Sample:
    """Values by name and the value of the only label."""
    return {
        (one.name, "".join(one.labels.values())): one.value
        for family in text_string_to_metric_families(text)
        for one in family.samples
    }


async def page(intake: Intake, database: Database, fleet: FleetMetrics, port: int) -> tuple[Sample, int]:
    settings = HttpSettings(metrics_port=port)
    async with monitored(settings, StoreMetrics(database, push=intake), fleet), httpx.AsyncClient() as client:
        metrics = await client.get(f"http://127.0.0.1:{port}/metrics")
        alive = await client.get(f"http://127.0.0.1:{port}/healthz")
    return samples(metrics.text), alive.status_code


async def test_the_page_counts_what_was_stored_and_shows_the_fleet(database: Database, unused_tcp_port: int) -> None:
    await install(database, "g1", [RegisterSpec("1.8.0")], gateway="gw-1")
    intake, fleet = Intake(PostgresStore(database)), FleetMetrics()
    reading = Reading("g1", "1.8.0", datetime.now(UTC), Decimal(5))
    await intake.accept(Delivery("mqtt:t", [reading], [Reject("malformed", "no JSON", b"{")], gateway="gw-1"))
    found, alive = await page(intake, database, fleet, unused_tcp_port)
    assert alive == 200
    assert (
        found["amr_readings_total", "push"],
        found["amr_rejects_total", "push"],
        found["amr_batches_total", "push"],
    ) == (
        1,
        1,
        1,
    )
    assert found["amr_commit_seconds_count", "push"] == 1
    assert found["amr_pool_connections", ""] >= 1
    assert not any(name.startswith("amr_fleet") for name, _ in found)
    async with database.connection() as conn:
        fleet.see(await look(conn, datetime.now(UTC)))
    found, _ = await page(intake, database, fleet, unused_tcp_port)
    assert found["amr_fleet_meters", ""] == 1
    assert found["amr_fleet_silent_meters", "gateway"] == 0
    assert found["amr_quarantine_rows", ""] == 1


async def test_no_page_without_a_port(database: Database) -> None:
    async with monitored(HttpSettings()) as registry:
        assert registry.get_sample_value("process_open_fds")
