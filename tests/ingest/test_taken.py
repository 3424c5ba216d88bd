"""The readings of one poll as one object: what it shows is what single readings would be."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from ingest.delivery import Delivery
from ingest.intake import Intake
from ingest.model import Reading
from ingest.taken import Taken
from tests.ingest.memory_store import MemoryStore, spec

AT = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def test_it_is_a_sequence_of_readings() -> None:
    taken = Taken("7", AT, ("1.8.0", "1.7.0"), [12_345_678_900, -1_500_000])
    alike = [Reading("7", "1.8.0", AT, Decimal("12345.6789")), Reading("7", "1.7.0", AT, Decimal("-1.5"))]
    assert list(taken) == alike
    assert (len(taken), taken[0], taken[-1], taken[1:]) == (2, alike[0], alike[1], alike[1:])
    assert not Taken("7", AT, (), [])


@pytest.mark.parametrize(
    ("channels", "micros", "said"),
    [
        (("1.7.0", "1.8.0"), [-1, -1], "negative; an energy counter never is"),
        (("1.8.0",), [2**63], "too large"),
        (("1.8.0", "2.8.0"), [1], "1 values for 2 channels"),
    ],
)
def test_what_is_no_reading_is_refused(channels: tuple[str, ...], micros: list[int], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Taken("7", AT, channels, micros)


def test_a_naive_instant_is_refused() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        Taken("7", AT.replace(tzinfo=None), ("1.8.0",), [1])


@pytest.mark.parametrize("seed", range(8))
async def test_polls_are_judged_as_their_readings_would_be(seed: int) -> None:
    dice = random.Random(seed)
    polls = [_poll(dice, minute) for minute in range(40) for _ in range(dice.choice((0, 1, 1, 1, 2)))]
    histories = []
    for whole in (True, False):
        store = MemoryStore()
        store.install("7", [spec(), spec("1.8.1"), spec("1.7.0")], since=AT)
        intake = Intake(store, max_wait=0.001, now=lambda: AT + timedelta(hours=1))
        task = asyncio.create_task(intake.run())
        for poll in polls:
            delivery = Delivery("t", poll if whole else list(poll))
            assert intake.offer(delivery)
            if poll.micros[0] % 3 == 0:
                await intake.drain()
        await intake.drain()
        task.cancel()
        histories.append([store.history("7", channel) for channel in ("1.8.0", "1.8.1", "1.7.0")])
    assert histories[0] == histories[1]


def _poll(dice: random.Random, minute: int) -> Taken:
    """Mostly what follows; sometimes late, wild, of another meter or without one of the channels."""
    at = AT + timedelta(minutes=minute + dice.choice((0, 0, 0, 0, -3, 200)), seconds=dice.choice((0, 0, 30)))
    energy = 1_000_000 + 10_000 * minute + dice.choice((0, 0, 0, 0, 900_000_000, -500_000))
    channels = dice.choice((("1.8.0", "1.8.1", "1.7.0"), ("1.8.0", "1.8.1", "1.7.0"), ("1.8.0", "1.7.0"), ("9.7.0",)))
    values = {"1.8.0": energy, "1.8.1": energy, "1.7.0": dice.randrange(-1000, 1000), "9.7.0": 1}
    return Taken("7", at, channels, [values[channel] for channel in channels])
