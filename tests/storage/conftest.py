"""What tests of TimescaleDB ask for; on a server without it they say so instead of passing for nothing."""

from __future__ import annotations

import pytest

from storage import timescale
from storage.database import Database, DatabaseSettings, open_database
from storage.timescale import Extension

NEEDS = "needs a server with TimescaleDB: set AMR_TEST_DSN to one (see CONTRIBUTING)"


@pytest.fixture
async def found(database_settings: DatabaseSettings) -> Extension:
    """The TimescaleDB of the test's server."""
    async with open_database(database_settings) as database, database.connection() as conn:
        extension = await timescale.extension(conn)
    if extension is None:
        pytest.skip(NEEDS)
    return extension


@pytest.fixture
async def hypertables(found: Extension, database: Database) -> Database:
    """A migrated database whose history is in hypertables."""
    return database
