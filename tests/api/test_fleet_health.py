"""How the whole is, over HTTP: for engineers only."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from ingest.delivery import Contact
from tests.api.conftest import House, daily


async def test_engineers_hear_what_is_silent_and_what_to_try(house: House) -> None:
    async with house.database.connection() as conn:
        await conn.execute(
            "INSERT INTO process (role, name, started_at, seen_at, state) VALUES"
            " ('collector', 'box', now(), now(), '{\"lines\": 1}'), ('subscriber', 'amr', now(), now(),"
            ' \'{"broker": "b", "connected": true, "since": "", "detail": ""}\')'
        )
    await house.store(contacts=[Contact("M-1-NEW", datetime.now(UTC), "timeout")])
    health = (await house.get("/fleet/health", "egor")).json()
    found = {(fault["level"], fault["place"], fault["cause"]): fault for fault in health["faults"]}
    assert set(found) == {("meter", "M-1-NEW", "silent_alone"), ("gateway", "gw", "gateway_silent")}
    assert "счётчик или линия" in found["meter", "M-1-NEW", "silent_alone"]["remedy"]["ru"]
    assert (health["meters"], health["silent"]) == (2, 2)
    assert [process["name"] for process in health["processes"]] == ["box", "amr"]


async def test_a_point_tells_what_came_day_by_day(house: House) -> None:
    since = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=5)
    await house.store(*daily("M-1-NEW", "1.8.0", "100", "1", 3, since))
    first = since.date()
    days = (
        await house.get("/points/flat-1/completeness", "egor", **{"from": first, "to": first + timedelta(days=3)})
    ).json()
    assert [(day["expected"], day["received"]) for day in days["items"]] == [(48, 1)] * 3
    assert len((await house.get("/points/flat-1/completeness", "egor")).json()["items"]) == 31


@pytest.mark.parametrize("path", ["/fleet/health", "/points/flat-1/completeness"])
@pytest.mark.parametrize("who", ["boris", "olga"])
async def test_it_is_nobody_elses_business(house: House, path: str, who: str) -> None:
    assert (await house.get(path, who)).status_code == 403


async def test_a_year_is_the_most(house: House) -> None:
    answer = await house.get("/points/flat-1/completeness", "egor", **{"from": "2020-01-01", "to": "2026-01-01"})
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "too_many_days")


async def test_events_of_the_fleet_come_in_pages_and_by_kind(house: House) -> None:
    async with house.database.connection() as conn:
        await conn.execute(
            "INSERT INTO event (kind, meter_id, detail) SELECT kind, m.id, '{\"a\": 1}'"
            " FROM unnest(ARRAY['exchange', 'swapped_meter', 'exchange']) AS kind, meter m WHERE serial = 'M-1'"
        )
    first = (await house.get("/fleet/events", "egor", limit=2)).json()
    rest = (await house.get("/fleet/events", "egor", limit=2, cursor=first["next"])).json()
    assert [one["kind"] for one in (*first["items"], *rest["items"])] == ["exchange", "swapped_meter", "exchange"]
    assert rest["next"] is None
    swapped = (await house.get("/fleet/events", "egor", kind="swapped_meter", meter="M-1")).json()["items"]
    assert [(one["meter"], one["detail"]) for one in swapped] == [("M-1", {"a": 1})]
    assert (await house.get("/fleet/events", "boris")).status_code == 403
