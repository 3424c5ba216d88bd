"""The furnished house served from a thread of its own, for clients that know nothing of our loop."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from api.app import create_app
from api.cli import serving
from api.context import ApiSettings, Knowledge
from ingest.delivery import Delivery, Reject
from ingest.intake import Intake
from storage import requests
from storage.database import DatabaseSettings, open_database
from storage.migrate import migrate
from storage.readings import PostgresStore
from tests.api.conftest import daily, furnish

SETTINGS = ApiSettings(token_ttl=timedelta(hours=1), rate=0)


@contextlib.contextmanager
def lasting_house(server_dsn: str, knowledge: Knowledge) -> Iterator[str]:
    """The base URL of a house with a schema of its own, some readings, and something in quarantine."""
    schema = f"t_{secrets.token_hex(6)}"
    options = f"{conninfo_to_dict(server_dsn).get('options') or ''} -csearch_path={schema},public".strip()
    settings = DatabaseSettings(url=make_conninfo(server_dsn, options=options), data=Path("/nonexistent"), pool_size=5)
    with psycopg.connect(server_dsn, autocommit=True) as conn:
        conn.execute(f"CREATE SCHEMA {schema}".encode())
        try:
            with _running(settings, knowledge) as url:
                yield url
        finally:
            conn.execute(f"DROP SCHEMA {schema} CASCADE".encode())


@contextlib.contextmanager
def _running(settings: DatabaseSettings, knowledge: Knowledge) -> Iterator[str]:
    up, failed = threading.Event(), []
    served: list[str] = []
    stop = asyncio.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def live() -> None:
        loops.append(asyncio.get_running_loop())
        async with open_database(settings) as database:
            await migrate(database)
            await furnish(database)
            intake = Intake(PostgresStore(database))
            await _fill(intake)
            async with database.connection() as conn:
                await requests.ask(conn, "egor", meter="M-1-NEW")
            app = create_app(database, intake, settings=SETTINGS, knowledge=knowledge)
            async with serving(app, "127.0.0.1", 0) as url:
                served.append(url)
                up.set()
                await stop.wait()

    def run() -> None:
        try:
            asyncio.run(live())
        except Exception as error:  # noqa: BLE001 - it is raised where the house was asked for
            failed.append(error)
        finally:
            up.set()

    thread = threading.Thread(target=run, name="house")
    thread.start()
    up.wait()
    try:
        if failed:
            raise failed[0]
        yield served[0]
    finally:
        if loops and thread.is_alive():
            loops[0].call_soon_threadsafe(stop.set)
        thread.join()
    if failed:
        raise failed[0]


async def _fill(intake: Intake) -> None:
    readings = [
        *daily("M-1", "1.8.0", "100", "7.25", 60),
        *daily("M-2", "1.8.1", "10", "3", 40),
        *daily("M-2", "1.8.2", "5", "1", 40),
        *daily("M-3", "1.8.1", "0", "1", 40),
    ]
    await intake.accept(Delivery("test", readings))
    unknown = daily("M-99", "1.8.0", "1", "1", 3)
    bad = Reject("malformed", "it is no JSON", b"\xff{")
    await intake.accept(
        Delivery("mqtt:amr/gw-7", unknown, rejects=[bad], raw=b"M-99 1.8.0 1 2026-01-01T00:00:00+00:00", gateway="gw-7")
    )
