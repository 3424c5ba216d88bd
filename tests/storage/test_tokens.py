"""Tokens: shown once, found by their text alone, and out of force when they should be."""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime, timedelta

import pytest

from ingest.errors import Misconfigured, NotFound
from storage import tokens
from storage.database import Database
from tests.storage.fleet_rig import rows


async def test_a_token_is_found_by_its_text(database: Database) -> None:
    async with database.connection() as conn:
        text = await tokens.create(conn, "cabinet", "consumer", consumer="ivanova")
        found = await tokens.find(conn, text)
    assert re.fullmatch(r"amr_[A-Za-z0-9_-]{43}", text)
    assert found is not None
    assert (found.name, found.role, found.consumer, found.expires_at) == ("cabinet", "consumer", "ivanova", None)


async def test_nothing_stored_contains_it(database: Database) -> None:
    async with database.connection() as conn:
        text = await tokens.create(conn, "cabinet", "admin")
    ((stored, digest),) = await rows(database, "SELECT token::text, digest FROM token")
    assert text not in str(stored)
    assert text.removeprefix("amr_") not in str(stored)
    assert digest == hashlib.sha256(text.encode()).digest()


@pytest.mark.parametrize("text", ["", "amr_", "amr_" + "A" * 43, "\udcff", "x" * 10_000, "' OR 1=1 --"])
async def test_another_text_finds_nothing(database: Database, text: str) -> None:
    async with database.connection() as conn:
        await tokens.create(conn, "cabinet", "admin")
        assert await tokens.find(conn, text) is None


async def test_each_is_another(database: Database) -> None:
    async with database.connection() as conn:
        made = {await tokens.create(conn, f"t{number}", "operator") for number in range(20)}
    assert len(made) == 20


async def test_a_revoked_one_is_out_of_force(database: Database) -> None:
    async with database.connection() as conn:
        text = await tokens.create(conn, "cabinet", "admin")
        await tokens.revoke(conn, "cabinet")
        assert await tokens.find(conn, text) is None
        (before,) = await tokens.every(conn)
        await tokens.revoke(conn, "cabinet")
        assert await tokens.every(conn) == [before]
        assert before.revoked_at is not None
        with pytest.raises(NotFound, match="amr token list"):
            await tokens.revoke(conn, "nobody")


async def test_an_expired_one_is_out_of_force(database: Database) -> None:
    async with database.connection() as conn:
        text = await tokens.create(conn, "cabinet", "admin", expires_at=datetime.now(UTC) + timedelta(days=1))
        assert await tokens.find(conn, text) is not None
        await conn.execute("UPDATE token SET expires_at = now()")
        assert await tokens.find(conn, text) is None


@pytest.mark.parametrize(
    ("name", "role", "consumer", "expires_at", "said"),
    [
        ("n", "boss", None, None, "role 'boss' is unknown; known are consumer, operator, engineer, admin"),
        ("n", "consumer", None, None, "names its consumer"),
        ("n", "consumer", "", None, "names its consumer"),
        ("n", "operator", "ivanova", None, "consumer 'ivanova' with role 'operator'"),
        (" ", "operator", None, None, "name is empty"),
        ("n", "operator", None, datetime(2020, 1, 1, tzinfo=UTC), "expires 2020-01-01T00:00:00.* is past"),
        ("taken", "operator", None, None, "name 'taken' belongs to another token"),
    ],
)
async def test_what_cannot_be_a_token(
    database: Database, name: str, role: str, consumer: str | None, expires_at: datetime | None, said: str
) -> None:
    async with database.connection() as conn:
        await tokens.create(conn, "taken", "operator")
        with pytest.raises(Misconfigured, match=said):
            await tokens.create(conn, name, role, consumer=consumer, expires_at=expires_at)
        assert [token.name for token in await tokens.every(conn)] == ["taken"]
