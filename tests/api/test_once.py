"""Idempotency keys: a retry is answered, not done again."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx

from tests.api.conftest import House, bearer

BODY = {"taken_at": "2023-01-20T12:00:00+04:00", "values": {"1.8.1": "100"}}


async def submit(house: House, key: str, body: Any = BODY, who: str = "vera", point: str = "flat-2") -> httpx.Response:
    """Type in a reading under a key."""
    headers = {**bearer(who), "Idempotency-Key": key}
    return await house.client.post(f"/api/v1/points/{point}/readings", json=body, headers=headers)


async def test_a_retry_gets_the_first_answer(house: House) -> None:
    first = await submit(house, "k-1")
    again = await submit(house, "k-1")
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.content == first.content
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    assert first.json()["values"][0]["fate"] == "stored"


async def test_a_key_belongs_to_one_request(house: House) -> None:
    await submit(house, "k-1")
    other = await submit(house, "k-1", {**BODY, "values": {"1.8.1": "200"}})
    assert (other.status_code, other.json()["code"]) == (422, "key_reused")


async def test_a_key_belongs_to_one_token(house: House) -> None:
    await submit(house, "k-1", who="vera")
    answer = await submit(house, "k-1", {**BODY, "values": {"1.8.1": "300"}}, who="olga")
    assert answer.status_code == 201


async def test_after_a_refusal_the_key_is_free(house: House) -> None:
    future = {"taken_at": "2150-01-01T00:00:00Z", "values": {"1.8.1": "1"}}
    assert (await submit(house, "k-1", future)).status_code == 409
    assert (await submit(house, "k-1", {**future, "confirm": True})).status_code == 201


async def test_a_request_that_still_runs_is_not_run_twice(house: House) -> None:
    answers = await asyncio.gather(*(submit(house, "k-1") for _ in range(8)))
    codes = sorted(answer.status_code for answer in answers)
    assert set(codes) <= {201, 409}
    fresh = [a for a in answers if a.status_code == 201 and "idempotency-replayed" not in a.headers]
    assert len(fresh) == 1
    for answer in answers:
        if answer.status_code == 409:
            assert answer.json()["code"] == "still_running"
            assert int(answer.headers["retry-after"]) > 0


async def test_a_key_whose_request_died_is_taken_over(house: House) -> None:
    await submit(house, "k-1")
    async with house.database.connection() as conn:
        await conn.execute("UPDATE idempotency SET status = NULL, body = NULL")
    assert (await submit(house, "k-1")).json()["code"] == "still_running"
    async with house.database.connection() as conn:
        await conn.execute("UPDATE idempotency SET created_at = now() - interval '2 minutes'")
    taken_over = await submit(house, "k-1")
    assert (taken_over.status_code, taken_over.json()["values"][0]["fate"]) == (200, "repeated")


async def test_keys_are_forgotten_after_a_day(house: House) -> None:
    await submit(house, "k-1")
    async with house.database.connection() as conn:
        await conn.execute("UPDATE idempotency SET created_at = now() - interval '25 hours'")
    await submit(house, "k-2")
    async with house.database.connection() as conn:
        rows = await (await conn.execute("SELECT key FROM idempotency")).fetchall()
    assert rows == [("k-2",)]


async def test_what_is_not_a_key_is_named(house: House) -> None:
    for key in (b"", b"with space", b"x" * 256, "ключ".encode()):
        headers = {b"Idempotency-Key": key, b"Authorization": bearer("vera")["Authorization"].encode()}
        answer = await house.client.post("/api/v1/points/flat-2/readings", json=BODY, headers=headers)
        assert answer.status_code == 422, key
        [error] = answer.json()["errors"]
        assert (error["field"], error["code"]) == ("Idempotency-Key", "bad_key")
