"""The simulated clock."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from simulators.clock import Clock

START = datetime(2026, 11, 20, tzinfo=UTC)


def test_a_clock_that_stands_still_is_moved_by_hand() -> None:
    clock = Clock(START, factor=0)
    assert clock.now() == START
    clock.move(START + timedelta(days=40))
    assert clock.now() == START + timedelta(days=40)
    assert clock.start == START


async def test_a_fast_clock_reaches_next_week_at_once() -> None:
    clock = Clock(START, factor=1_000_000)
    await asyncio.wait_for(clock.sleep_until(START + timedelta(days=7)), 30)
    assert clock.now() >= START + timedelta(days=7)


async def test_a_sleeper_wakes_when_the_clock_is_moved() -> None:
    clock = Clock(START, factor=0)
    sleeper = asyncio.create_task(clock.sleep_until(START + timedelta(hours=1)))
    await asyncio.sleep(0)
    assert not sleeper.done()
    clock.move(START + timedelta(hours=1))
    await asyncio.wait_for(sleeper, 30)


def test_without_a_start_it_is_now() -> None:
    before = datetime.now(UTC)
    assert before <= Clock().now() <= datetime.now(UTC)


def test_impossible_clocks_are_refused() -> None:
    naive = START.replace(tzinfo=None)
    with pytest.raises(ValueError, match="no time zone"):
        Clock(naive)
    with pytest.raises(ValueError, match="no time zone"):
        Clock(START).move(naive)
    with pytest.raises(ValueError, match="factor -1"):
        Clock(START, factor=-1)
