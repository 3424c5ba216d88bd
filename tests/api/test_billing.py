"""The submission window decides the month, never whether a reading is kept; the answer says so."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import httpx
import pytest

from api.app import create_app
from api.cli import serving
from api.context import ApiSettings
from api.settings import HttpSettings
from ingest.billing import Window
from ingest.consumption import Policy
from ingest.errors import Misconfigured
from ingest.intake import Intake
from ingest.model import Source
from storage.database import Database
from storage.readings import PostgresStore
from tests.api.conftest import bearer, furnish

BODY = {"taken_at": "2023-01-20T12:00:00+04:00", "values": {"1.8.1": "100"}}


@pytest.fixture
def now() -> datetime:
    """When the reading is entered."""
    return datetime(2023, 1, 28, 12, tzinfo=UTC)


@pytest.fixture
async def client(database: Database, now: datetime) -> AsyncIterator[httpx.AsyncClient]:
    """A served API whose clock stands still, with another window for offices."""
    await furnish(database)
    async with database.connection() as conn:
        await conn.execute("UPDATE point SET category = 'office' WHERE code = 'flat-3'")
    settings = ApiSettings(windows={"office": Window(20, 31)})
    app = create_app(database, Intake(PostgresStore(database)), settings=settings, now=lambda: now)
    async with serving(app, "127.0.0.1", 0) as url, httpx.AsyncClient(base_url=url, timeout=30) as found:
        yield found


async def test_a_late_reading_is_kept_and_counted_to_the_next_month(client: httpx.AsyncClient) -> None:
    answer = await client.post("/api/v1/points/flat-2/readings", json=BODY, headers=bearer("vera"))
    assert answer.status_code == 201
    assert answer.json()["billing"] == {
        "month": "2023-02",
        "in_window": False,
        "first_day": 15,
        "last_day": 25,
        "text": "entered outside days 15–25: kept, and counted to February 2023",
    }
    stored = await client.get("/api/v1/points/flat-2/readings", headers=bearer("vera"))
    assert [item["value"] for item in stored.json()["items"]] == ["100"]


async def test_categories_have_windows_of_their_own(client: httpx.AsyncClient) -> None:
    headers = {**bearer("olga"), "Accept-Language": "ru"}
    answer = await client.post("/api/v1/points/flat-3/readings", json=BODY, headers=headers)
    assert answer.json()["billing"]["text"] == "будет учтено за январь 2023 г."
    assert answer.json()["billing"]["in_window"] is True


async def test_the_card_shows_the_window_beforehand(client: httpx.AsyncClient) -> None:
    card = (await client.get("/api/v1/points/flat-2", headers=bearer("vera"))).json()
    assert (card["billing"]["month"], card["billing"]["first_day"]) == ("2023-02", 15)


def test_windows_of_categories_are_read_from_the_settings() -> None:
    windows = HttpSettings(windows="office=20-31, garage = 28-3").api().windows
    assert windows == {"office": Window(20, 31), "garage": Window(28, 3)}
    for wrong in ("office", "office=20", "office=0-5", "office=a-b"):
        with pytest.raises(Misconfigured, match=r"AMR_WINDOWS .* category=first-last"):
            HttpSettings(windows=wrong).api()


def test_the_order_of_sources_is_a_deployments_choice() -> None:
    assert HttpSettings().api().policy == Policy(), "the default is what is written in the settings"
    swapped = HttpSettings(sources="inspection,consumer = operator,automatic,import,estimate").api().policy
    assert swapped.order[1] == (Source.CONSUMER, Source.OPERATOR)
    assert swapped.rank(Source.OPERATOR) < swapped.rank(Source.AUTOMATIC)
    for wrong in ("", "inspection", "inspection, automatic, import, operator, consumer, estimate, estimate", "x"):
        with pytest.raises(Misconfigured, match=r"AMR_SOURCES .* name each of"):
            HttpSettings(sources=wrong).api()
