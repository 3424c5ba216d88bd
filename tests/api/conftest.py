"""A small house to ask: three points with meters and contracts, tokens of every role, a real server on loopback."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest

from api.app import create_app
from api.cli import serving
from api.context import ApiSettings, Knowledge, ModelFacts
from ingest.delivery import Contact, Delivery
from ingest.intake import Intake
from ingest.model import Reading, RegisterSpec, Source
from storage.database import Database, DatabaseSettings, open_database
from storage.readings import PostgresStore
from storage.roles import API
from tests.storage.as_role import as_role

START = datetime(2023, 1, 1, tzinfo=UTC)

_FLEET = """
INSERT INTO point (code, name, address, zone, official_code) VALUES
    ('flat-1', 'Flat 1', 'Волгоград, Мира 1', 'Europe/Moscow', '34-1'),
    ('flat-2', 'Flat 2', '', 'Europe/Samara', NULL),
    ('flat-3', '', '', 'Europe/Moscow', NULL),
    ('empty', 'No meter yet', '', 'Europe/Moscow', NULL);
INSERT INTO line (name, kind, address) VALUES ('bus', 'modbus-tcp', '127.0.0.1:1');
INSERT INTO meter (serial, model, line_id, address) VALUES
    ('M-1', 'sdm630', (SELECT id FROM line), '1'), ('M-1-NEW', 'sdm630', (SELECT id FROM line), '2');
INSERT INTO meter (serial, model, gateway) VALUES ('M-2', 'two-zone', NULL), ('M-3', 'two-zone', 'gw');
INSERT INTO register (meter_id, channel, digits, decimals, max_rate)
    SELECT id, channel, 6, 2, 20 FROM meter, unnest(ARRAY['1.8.0', '3.8.0']) AS channel WHERE model = 'sdm630';
INSERT INTO register (meter_id, channel, digits, decimals, max_rate)
    SELECT id, '32.7.0', NULL, 1, NULL FROM meter WHERE model = 'sdm630';
INSERT INTO register (meter_id, channel, digits, decimals, max_rate)
    SELECT id, channel, 5, 1, 20 FROM meter, unnest(ARRAY['1.8.1', '1.8.2']) AS channel WHERE model = 'two-zone';
INSERT INTO installation (point_id, meter_id, since, until, ct)
    SELECT p.id, m.id, i.since, i.until, i.ct FROM (VALUES
        ('flat-1', 'M-1', timestamptz '2023-01-01 00:00Z', timestamptz '2023-03-01 00:00Z', 1),
        ('flat-1', 'M-1-NEW', '2023-03-01 00:00Z', NULL, 1),
        ('flat-2', 'M-2', '2023-01-01 00:00Z', NULL, 1),
        ('flat-3', 'M-3', '2023-01-01 00:00Z', NULL, 20)) AS i(point, meter, since, until, ct)
    JOIN point p ON p.code = i.point JOIN meter m ON m.serial = i.meter;
INSERT INTO contract (consumer, point_id, since, until)
    SELECT c.consumer, p.id, c.since, c.until FROM (VALUES
        ('anna', 'flat-1', timestamptz '2023-01-01 00:00Z', timestamptz '2023-02-01 00:00Z'),
        ('boris', 'flat-1', '2023-02-01 00:00Z', NULL),
        ('boris', 'empty', '2023-01-01 00:00Z', NULL),
        ('vera', 'flat-2', '2023-01-01 00:00Z', '2023-01-05 00:00Z'),
        ('vera', 'flat-2', '2023-01-09 00:00Z', NULL),
        ('future', 'flat-2', '2190-01-01 00:00Z', NULL)) AS c(consumer, point, since, until)
    JOIN point p ON p.code = c.point;
"""

TOKENS = (
    ("anna", "consumer", "anna"),
    ("boris", "consumer", "boris"),
    ("vera", "consumer", "vera"),
    ("future", "consumer", "future"),
    ("stranger", "consumer", "nobody"),
    ("olga", "operator", None),
    ("egor", "engineer", None),
    ("root", "admin", None),
)


def secret(name: str) -> str:
    """The token of one of `TOKENS`."""
    return f"amr_{name}-0123456789abcdef0123456789abcdef"


def bearer(name: str) -> dict[str, str]:
    """The header that carries it."""
    return {"Authorization": f"Bearer {secret(name)}"}


@dataclass(frozen=True, slots=True)
class House:
    """A served API, and the rooms behind it."""

    url: str
    database: Database
    intake: Intake
    client: httpx.AsyncClient

    async def get(self, path: str, who: str | None = "boris", **parameters: Any) -> httpx.Response:
        """GET below /api/v1 with somebody's token."""
        headers = bearer(who) if who else {}
        return await self.client.get(f"/api/v1{path}", params=parameters or None, headers=headers)

    async def post(self, path: str, who: str, body: Any) -> httpx.Response:
        """POST JSON (or ready bytes) below /api/v1 with somebody's token."""
        headers = {**bearer(who), "Content-Type": "application/json"}
        if isinstance(body, bytes):
            return await self.client.post(f"/api/v1{path}", content=body, headers=headers)
        return await self.client.post(f"/api/v1{path}", json=body, headers=headers)

    async def store(self, *readings: Reading, contacts: Sequence[Contact] = ()) -> None:
        """Put something through the door."""
        await self.intake.accept(Delivery("test", readings, contacts=contacts))


async def furnish(database: Database) -> None:
    """Put the fleet and the tokens into an empty database."""
    async with database.connection() as conn:
        await conn.execute(_FLEET)
        for name, role, consumer in TOKENS:
            await conn.execute(
                "INSERT INTO token (name, digest, role, consumer) VALUES (%s, %s, %s, %s)",
                (name, hashlib.sha256(secret(name).encode()).digest(), role, consumer),
            )


@pytest.fixture
def settings() -> ApiSettings:
    """What the served application is configured with; tests override it."""
    return ApiSettings(token_ttl=timedelta(seconds=0))


@pytest.fixture(scope="session")
def knowledge() -> Knowledge:
    """What the served application is told of devices."""
    registers = (RegisterSpec("1.8.0", 6, 2, Decimal(20)), RegisterSpec("3.8.0", 6, 2, Decimal(20)))
    facts = ModelFacts("Eastron", "SDM630", "modbus", "its protocol, table 3", registers)
    return Knowledge({"sdm630": facts}, parse=parse_own)


def parse_own(topic: str, payload: bytes, received_at: datetime) -> Delivery:
    """Messages of a meter, a channel, its value and when that was, after a topic that ends in the gateway."""
    serial, channel, value, at = payload.decode().split()
    reading = Reading(serial, channel, datetime.fromisoformat(at), Decimal(value))
    return Delivery(f"mqtt:{topic}", [reading], gateway=topic.rsplit("/", 1)[1], raw=payload)


@pytest.fixture
async def served(database: Database, database_settings: DatabaseSettings) -> AsyncIterator[Database]:
    """The migrated database as the API's own role sees it: it may no more than docs/security.md says."""
    async with open_database(as_role(database_settings, API)) as opened:
        yield opened


@pytest.fixture
async def house(
    database: Database, served: Database, settings: ApiSettings, knowledge: Knowledge
) -> AsyncIterator[House]:
    """The furnished house, served on a free loopback port."""
    await furnish(database)
    intake = Intake(PostgresStore(served))
    app = create_app(served, intake, settings=settings, knowledge=knowledge)
    async with (
        serving(app, "127.0.0.1", 0) as url,
        httpx.AsyncClient(base_url=url, timeout=30) as client,
    ):
        yield House(url, database, intake, client)


def daily(meter: str, channel: str, first: str, step: str, days: int, since: datetime = START) -> list[Reading]:
    """An automatic reading each day at 00:00 UTC, `step` more every day."""
    return [
        Reading(meter, channel, since + timedelta(days=day), Decimal(first) + day * Decimal(step))
        for day in range(days)
    ]


def typed(meter: str, channel: str, taken_at: datetime, value: str, author: str) -> Reading:
    """A reading typed in by a consumer."""
    return Reading(meter, channel, taken_at, Decimal(value), Source.CONSUMER, author=author)
