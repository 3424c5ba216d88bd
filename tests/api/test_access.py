"""Tokens: who is let in, and how everybody else is told."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from api.context import ApiSettings
from tests.api.conftest import House, bearer, secret


@pytest.mark.parametrize(
    ("header", "challenge"),
    [
        (None, 'Bearer realm="amr"'),
        ("Basic dXNlcjpwYXNz", 'Bearer realm="amr"'),
        ("Bearer", 'Bearer realm="amr"'),
        ("Bearer wrong", 'Bearer realm="amr", error="invalid_token"'),
        ("Bearer " + "x" * 9000, 'Bearer realm="amr", error="invalid_token"'),
        (b"Bearer \xff\xfe", 'Bearer realm="amr", error="invalid_token"'),
        ("Bearer ' OR 1=1", 'Bearer realm="amr", error="invalid_token"'),
    ],
)
async def test_without_a_valid_token_nobody_comes_in(house: House, header: str | bytes | None, challenge: str) -> None:
    headers = {} if header is None else {"Authorization": header}
    answer = await house.client.get("/api/v1/points", headers=headers)  # type: ignore[arg-type]
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == challenge
    assert answer.json()["code"] == "unauthorized"
    assert "Bearer" in answer.json()["detail"]


@pytest.mark.parametrize("change", ["revoked_at = now()", "expires_at = now() - interval '1 second'"])
async def test_revoked_and_expired_tokens_stop_working(house: House, change: str) -> None:
    assert (await house.get("/points", "boris")).status_code == 200
    async with house.database.connection() as conn:
        await conn.execute(f"UPDATE token SET {change} WHERE name = 'boris'".encode())
    answer = await house.get("/points", "boris")
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].endswith('error="invalid_token"')
    assert (await house.get("/points", "anna")).status_code == 200


class TestRemembering:
    """With a time to live, the database is not asked for every request."""

    @pytest.fixture
    def settings(self) -> ApiSettings:
        return ApiSettings(token_ttl=timedelta(hours=1))

    async def test_a_token_is_remembered_for_its_time(self, house: House) -> None:
        assert (await house.get("/points", "boris")).status_code == 200
        async with house.database.connection() as conn:
            await conn.execute("UPDATE token SET revoked_at = now()")
        assert (await house.get("/points", "boris")).status_code == 200
        assert (await house.get("/points", "anna")).status_code == 401, "this one was never asked for before"

    async def test_expiry_counts_even_while_remembered(self, house: House) -> None:
        async with house.database.connection() as conn:
            await conn.execute("UPDATE token SET expires_at = now() + interval '0.3 seconds' WHERE name = 'boris'")
        codes = {(await house.get("/points", "boris")).status_code}
        async with asyncio.timeout(30):
            while 401 not in codes:
                codes.add((await house.get("/points", "boris")).status_code)
        assert codes <= {200, 401}


async def test_the_scheme_is_read_in_any_case(house: House) -> None:
    answer = await house.client.get("/api/v1/points", headers={"authorization": f"bEaReR {secret('boris')}"})
    assert answer.status_code == 200


async def test_no_answer_repeats_a_token(house: House) -> None:
    answer = await house.client.get("/api/v1/points", headers={"Authorization": "Bearer hush-hush"})
    assert "hush" not in answer.text
    wrong_scheme = await house.client.get("/api/v1/points", headers={"Authorization": "Token hush-hush"})
    assert "hush" not in wrong_scheme.text


async def test_answers_to_consumers_are_not_for_shared_caches(house: House) -> None:
    answer = await house.client.get("/api/v1/points", headers=bearer("boris"))
    assert answer.headers["cache-control"].startswith("private")
