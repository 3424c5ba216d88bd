"""A token's bucket: a burst at once, then a steady rate, nobody pays for another."""

from __future__ import annotations

import asyncio

import pytest

from api.context import ApiSettings
from api.limiter import Limiter
from tests.api.conftest import House


class Clock:
    """A clock that is set by hand."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_burst_passes_and_the_rest_waits() -> None:
    clock = Clock()
    limiter = Limiter(rate=2, burst=3, clock=clock)
    assert [limiter.take("a") for _ in range(4)] == [0, 0, 0, 0.5]
    assert limiter.take("b") == 0
    clock.now = 0.5
    assert [limiter.take("a"), limiter.take("a")] == [0, 0.5]
    clock.now = 100
    assert [limiter.take("a") for _ in range(4)] == [0, 0, 0, 0.5]


def test_a_rate_of_nought_limits_nobody() -> None:
    limiter = Limiter(rate=0, burst=0)
    assert {limiter.take("a") for _ in range(1000)} == {0}


class TestServed:
    """Over HTTP."""

    @pytest.fixture
    def settings(self) -> ApiSettings:
        return ApiSettings(rate=0.01, burst=3)

    async def test_too_many_requests_are_told_when_to_come_again(self, house: House) -> None:
        answers = await asyncio.gather(*(house.get("/points", "boris") for _ in range(5)))
        assert sorted(answer.status_code for answer in answers) == [200, 200, 200, 429, 429]
        refused = next(answer for answer in answers if answer.status_code == 429)
        assert refused.json()["code"] == "too_many_requests"
        assert 0 < int(refused.headers["retry-after"]) <= 100
        assert (await house.get("/points", "vera")).status_code == 200
