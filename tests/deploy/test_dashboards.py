"""Dashboards and alert rules ask for metrics that exist, with labels they have."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry, ProcessCollector

import amr
from api.metrics import REQUESTS
from collectors.broker import Broker
from collectors.forward import Forwarder
from collectors.metrics import ForwardMetrics, SpoolMetrics, SubscriberMetrics
from collectors.spool import Spool
from collectors.subscriber import Subscriber
from ingest.delivery import Delivery
from ingest.intake import Intake
from ingest.silence import Level, Silence
from ingest.tally import Polled
from storage.completeness import FleetDay
from storage.database import Database
from storage.health import Health
from storage.metrics import FleetMetrics, StoreMetrics
from storage.quarantine_room import Room
from storage.readings import PostgresStore

DEPLOY = Path(amr.__file__).parent / "deploy"
DASHBOARDS = sorted((DEPLOY / "grafana" / "dashboards").glob("*.json"))
RULES = yaml.safe_load((DEPLOY / "prometheus" / "rules.yaml").read_text())["groups"][0]["rules"]
_NAME = re.compile(r"\b((?:amr|process)_[a-z_]+)(?:\{([^}]*)\})?")
_OF_PROMETHEUS = {"instance", "job", "le"}


@pytest.fixture
async def known(database: Database, tmp_path: Path) -> dict[str, set[str]]:
    """Every sample the services give, with its labels, from the real collectors after some use."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    REQUESTS.labels("getPoint", 200).observe(0.01)
    tally = Polled()
    tally.answers["eastron-sdm120"].answered(0.1)
    tally.busy["tp-1"].seconds += 0.1
    intake = Intake(PostgresStore(database))
    subscriber = Subscriber(Broker.from_url("mqtt://h", client_id="c"), {}, lambda message: Delivery("x"), intake)
    fleet = FleetMetrics()
    day = FleetDay(date(2026, 11, 20), 1, 48, 47, 1, ())
    fault = Silence(Level.LINE, "tp-1", "line_down", None, ("1",))
    fleet.see(Health(datetime.now(UTC), (), 1, (fault,), day, Room(0, 0, 1, 1), (), ()))
    async with Spool(tmp_path / "spool.sqlite") as spool:
        forwarder = Forwarder(Broker.from_url("mqtt://h", client_id="c"), "gw", spool)
        forwarding = ForwardMetrics(forwarder, tally, lambda: 1)
        parts = (StoreMetrics(database, push=intake), forwarding, SubscriberMetrics(subscriber))
        for collector in (REQUESTS, fleet, SpoolMetrics(spool), *parts):
            registry.register(collector)
        names: dict[str, set[str]] = {}
        for metric in registry.collect():
            for sample in metric.samples:
                names.setdefault(sample.name, set()).update(sample.labels)
    return names


def panels() -> Iterator[tuple[str, str]]:
    for file in DASHBOARDS:
        for panel in json.loads(file.read_text())["panels"]:
            for target in panel["targets"]:
                yield f"{file.name}: {panel['title']}", target["expr"]


def queries() -> list[tuple[str, str]]:
    return [*panels(), *((f"rules.yaml: {rule['alert']}", rule["expr"]) for rule in RULES)]


def wrong(query: str, known: dict[str, set[str]]) -> list[str]:
    """Metrics and labels in a query that nobody gives."""
    found = []
    asked = _NAME.findall(query)
    labels = set().union(*(known.get(name, set()) for name, _ in asked)) | _OF_PROMETHEUS
    for name, matchers in asked:
        if name not in known:
            found.append(name)
        found += [label for label in re.findall(r"(\w+)\s*[=!]~?", matchers) if label not in labels]
    for group in re.findall(r"\b(?:by|on) \(([^)]*)\)", query):
        found += [label for label in re.split(r",\s*", group) if label not in labels]
    return found


async def test_every_query_finds_what_it_asks_for(known: dict[str, set[str]]) -> None:
    assert {where: wrong(query, known) for where, query in queries() if wrong(query, known)} == {}


async def test_a_metric_that_nobody_gives_would_be_noticed(known: dict[str, set[str]]) -> None:
    assert wrong("rate(amr_nonsense_total[5m])", known) == ["amr_nonsense_total"]
    assert wrong('sum by (meter) (amr_polls_total{colour="red"})', known) == ["colour", "meter"]


async def test_no_meter_and_no_point_is_a_label(known: dict[str, set[str]]) -> None:
    assert not {"meter", "point", "serial"} & set().union(*known.values())


def test_what_a_substation_holds_back_is_shown_and_told_of() -> None:
    rules = " ".join(rule["expr"] for rule in RULES)
    shown = " ".join(query for _, query in panels())
    for metric in ("connected", "repeated_total", "confirmed_total"):
        assert f"amr_forward_{metric}" in rules
        assert f"amr_forward_{metric}" in shown
    assert "amr_spool_oldest_seconds and on (instance) amr_forward_connected" in shown


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: str(rule["alert"]))
def test_rules_say_how_urgent_they_are_and_what_to_do(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in ("page", "ticket")
    assert len(rule["annotations"]["summary"]) > 20


def test_dashboards_can_be_told_apart() -> None:
    boards = [json.loads(file.read_text()) for file in DASHBOARDS]
    assert len({board["uid"] for board in boards}) == len(boards) == 2
    for board in boards:
        ids = [panel["id"] for panel in board["panels"]]
        assert len(ids) == len(set(ids))
