"""The figures of a point: this month so far, the month before, a year ago; and what stands for gaps."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest

from api.app import create_app
from api.cli import serving
from api.schemas import ConsumptionOut, StatisticsOfPoints, StatisticsOut
from ingest.delivery import Delivery
from ingest.intake import Intake
from ingest.model import Reading
from storage.database import Database
from storage.readings import PostgresStore
from tests.api.conftest import bearer, furnish

NOW = datetime(2024, 3, 11, tzinfo=UTC)
BEGIN = datetime(2023, 1, 1, tzinfo=UTC)


def series(meter: str, channel: str, step: str, days: int) -> list[Reading]:
    """A reading at 00:00 UTC of every day, `step` more each."""
    return [Reading(meter, channel, BEGIN + timedelta(days=n), 100 + n * Decimal(step)) for n in range(days)]


@pytest.fixture
async def client(database: Database) -> AsyncIterator[httpx.AsyncClient]:
    """An API whose clock stands at NOW, over 436 days of two zones: 3 and 1 kWh a day; the point's clock is UTC."""
    await furnish(database)
    intake = Intake(PostgresStore(database))
    async with database.connection() as conn:
        await conn.execute("UPDATE point SET zone = 'UTC'")
        await conn.execute("DELETE FROM contract WHERE consumer = 'vera'")
        for consumer, since, until in (
            ("vera", "2023-01-01Z", None),
            ("late", "2024-03-06Z", None),
            ("gone", "2023-01-01Z", "2024-02-01Z"),
        ):
            await conn.execute(
                "INSERT INTO contract SELECT %s, id, %s, %s FROM point WHERE code = 'flat-2'", (consumer, since, until)
            )
        for name in ("late", "gone"):
            await conn.execute("UPDATE token SET consumer = %s WHERE name = %s", (name, _TOKENS[name]))
    await intake.accept(Delivery("t", [*series("M-2", "1.8.1", "3", 436), *series("M-2", "1.8.2", "1", 436)]))
    app = create_app(database, intake, now=lambda: NOW)
    async with serving(app, "127.0.0.1", 0) as url, httpx.AsyncClient(base_url=url, timeout=30) as found:
        yield found


_TOKENS = {"late": "anna", "gone": "boris", "vera": "vera", "olga": "olga"}


async def figures(client: httpx.AsyncClient, who: str, **parameters: str) -> StatisticsOut:
    """Statistics of flat-2, held to their declared shape."""
    answer = await client.get("/api/v1/points/flat-2/statistics", params=parameters, headers=bearer(_TOKENS[who]))
    assert answer.status_code == 200, answer.text
    return StatisticsOut.model_validate_json(answer.content)


async def test_the_figures_of_a_point(client: httpx.AsyncClient) -> None:
    found = await figures(client, "vera")
    assert found.month_to_date is not None
    assert found.previous_month is not None
    assert found.same_month_last_year is not None
    assert found.as_of is not None
    assert (found.as_of.taken_at, found.as_of.source) == (NOW, "automatic")
    assert found.month_to_date.amount.amount == "40"
    assert found.previous_month.amount.amount == "116"
    assert found.same_month_last_year.amount.amount == "124"
    assert found.month_to_date.average_per_day == "4"
    assert [(zone.channel, zone.amount, zone.share) for zone in found.month_to_date.zones] == [
        ("1.8.1", "30", "0.75"),
        ("1.8.2", "10", "0.25"),
    ]
    assert found.previous_month.maximum_day is not None
    assert found.previous_month.maximum_day.amount == "4"
    assert found.completeness == "1"


async def test_one_zone_has_figures_of_its_own(client: httpx.AsyncClient) -> None:
    found = await figures(client, "olga", channel="1.8.2")
    assert found.month_to_date is not None
    assert (found.month_to_date.amount.amount, found.month_to_date.zones) == ("10", [])


async def test_what_came_before_the_contract_is_not_shown(client: httpx.AsyncClient) -> None:
    found = await figures(client, "late")
    assert found.month_to_date is not None
    assert found.month_to_date.amount.amount == "20"
    assert found.month_to_date.amount.since == datetime(2024, 3, 6, tzinfo=UTC)
    assert (found.previous_month, found.same_month_last_year) == (None, None)


async def test_after_a_contract_its_last_month_is_shown(client: httpx.AsyncClient) -> None:
    found = await figures(client, "gone")
    assert found.month_to_date is not None
    assert found.month_to_date.amount.since == datetime(2024, 1, 1, tzinfo=UTC)
    assert found.month_to_date.amount.until <= datetime(2024, 2, 1, tzinfo=UTC)
    assert found.as_of is not None
    assert found.as_of.taken_at < datetime(2024, 2, 1, tzinfo=UTC)


async def test_a_point_without_readings_has_figures_without_amounts(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/v1/points/empty/statistics", headers=bearer("olga"))
    found = StatisticsOut.model_validate_json(answer.content)
    assert found.as_of is None
    assert found.month_to_date is not None
    assert (found.month_to_date.amount.amount, found.month_to_date.amount.quality) == (None, "missing")


async def test_several_points_at_once(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/v1/statistics", params={"point": ["flat-2", "flat-1"]}, headers=bearer("olga"))
    assert [item.point for item in StatisticsOfPoints.model_validate_json(answer.content).items] == ["flat-2", "flat-1"]
    alone = await client.get("/api/v1/points/flat-2/statistics", headers=bearer("olga"))
    assert answer.json()["items"][0] == alone.json()


async def test_wrong_channels_are_named(client: httpx.AsyncClient) -> None:
    for channel, code in (("32.7.0", "not_a_counter"), ("4.8.0", "unknown_channel"), ("x", "not_a_channel")):
        answer = await client.get(
            "/api/v1/points/flat-2/statistics", params={"channel": channel}, headers=bearer("olga")
        )
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["code"] == code
    hidden = await client.get("/api/v1/points/flat-3/statistics", headers=bearer("vera"))
    assert hidden.status_code == 404


async def months(client: httpx.AsyncClient, who: str, **parameters: Any) -> ConsumptionOut:
    """Months of flat-2."""
    asked = {"from": "2024-01-01", "to": "2024-03-01", "step": "month", "channel": "1.8.1", **parameters}
    answer = await client.get("/api/v1/points/flat-2/consumption", params=asked, headers=bearer(_TOKENS[who]))
    assert answer.status_code == 200, answer.text
    return ConsumptionOut.model_validate_json(answer.content)


@pytest.fixture
async def silence(client: httpx.AsyncClient, database: Database) -> None:
    """Nothing was read from the beginning of 2024 on."""
    async with database.connection() as conn:
        await conn.execute("DELETE FROM reading WHERE taken_at > '2024-01-01Z'")


@pytest.mark.usefixtures("silence")
async def test_a_month_without_readings_is_substituted_when_asked_and_says_how(client: httpx.AsyncClient) -> None:
    plain = await months(client, "olga")
    assert [(item.amount, item.quality) for item in plain.items] == [(None, "missing")] * 2
    substituted = await months(client, "olga", gaps="substitute")
    assert [(item.amount, item.quality) for item in substituted.items] == [("93", "estimated"), ("84", "estimated")]
    assert all("substitute_last_year" in item.reasons for item in substituted.items)
    assert substituted.total is not None
    assert substituted.total.amount is None, "no total is made of substitutes"


@pytest.mark.usefixtures("silence")
async def test_substitutes_are_never_made_from_a_time_that_may_not_be_seen(
    client: httpx.AsyncClient, database: Database
) -> None:
    assert [item.amount for item in (await months(client, "vera", gaps="substitute")).items] == ["93", "84"]
    async with database.connection() as conn:
        await conn.execute("UPDATE contract SET since = '2023-02-01Z' WHERE consumer = 'vera'")
    assert [item.amount for item in (await months(client, "vera", gaps="substitute")).items] == [None, None]


async def test_a_gap_is_distributed_when_asked(client: httpx.AsyncClient, database: Database) -> None:
    async with database.connection() as conn:
        await conn.execute("DELETE FROM reading WHERE taken_at > '2023-06-02Z' AND taken_at < '2023-06-12Z'")
    asked = {"from": "2023-06-01", "to": "2023-06-15", "step": "day"}
    plain = await months(client, "olga", **asked)
    spread = await months(client, "olga", **asked, gaps="distribute")
    assert plain.items[5].amount is None
    assert (spread.items[5].amount, spread.items[5].quality) == ("3", "estimated")
    assert plain.total == spread.total
    assert plain.total is not None
    assert plain.total.amount == "42"


async def test_substitutes_of_days_are_refused(client: httpx.AsyncClient) -> None:
    asked = {"from": "2024-01-01", "to": "2024-03-01", "gaps": "substitute"}
    answer = await client.get("/api/v1/points/flat-2/consumption", params=asked, headers=bearer("olga"))
    assert answer.status_code == 422
    assert (answer.json()["errors"][0]["field"], answer.json()["errors"][0]["code"]) == ("gaps", "months_only")
