"""The queue of turns: whatever the order in which they come, they go out by instant, and not before it."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from collectors.turn_queue import Queue

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


@dataclass(slots=True, eq=False)
class One:
    serial: str
    due: datetime


def filled(seconds: list[int]) -> tuple[Queue[One], list[One]]:
    queue: Queue[One] = Queue()
    ones = [One(f"s{number}", NOW + timedelta(seconds=second)) for number, second in enumerate(seconds)]
    for one in ones:
        queue.put(one)
    return queue, ones


def test_they_go_out_by_instant_whatever_the_order_in_which_they_came() -> None:
    seconds = [random.Random(1).randrange(60) for _ in range(200)]
    queue, _ = filled(seconds)
    out = [one.due for one in iter(lambda: queue.take(NOW + timedelta(minutes=1)), None)]
    assert out == [NOW + timedelta(seconds=second) for second in sorted(seconds)]
    assert len(queue) == 0


def test_nobody_goes_out_before_it_is_due() -> None:
    queue, [late, soon] = filled([50, 10])
    assert queue.take(NOW) is None
    assert queue.first() is soon
    assert queue.take(NOW + timedelta(seconds=10)) is soon
    assert queue.first() is late
    assert queue.take(NOW + timedelta(seconds=49)) is None


def test_one_can_be_taken_out_wherever_it_stands() -> None:
    queue, [first, second, third, fourth] = filled([30, 40, 20, 10])
    for one in (second, third):
        queue.remove(one)
    assert len(queue) == 2
    at = NOW + timedelta(minutes=1)
    assert [queue.take(at), queue.take(at), queue.take(at)] == [fourth, first, None]


def test_a_mixed_round_is_in_order_too_when_periods_differ() -> None:
    queue, ones = filled([3, 1, 2, 5, 4])
    periods = {one.serial: timedelta(seconds=7 if number % 2 else 11) for number, one in enumerate(ones)}
    at, seen = NOW, []
    for _ in range(60):
        at += timedelta(seconds=1)
        while (one := queue.take(at)) is not None:
            seen.append(one.due)
            one.due += periods[one.serial]
            queue.put(one)
    assert seen == sorted(seen)
    assert len(seen) > 30


def test_to_swap_is_to_put_and_to_take() -> None:
    dice = random.Random(3)
    seconds = [dice.randrange(30) for _ in range(20)]
    (swift, _), (plain, _) = filled(seconds), filled(seconds)
    at = NOW
    mine, other = swift.take(at + timedelta(minutes=1)), plain.take(at + timedelta(minutes=1))
    for _ in range(300):
        assert (mine and mine.serial) == (other and other.serial)
        at += timedelta(seconds=dice.randrange(9))
        if mine is None or other is None:
            mine, other = swift.take(at), plain.take(at)
            continue
        mine.due = other.due = at + timedelta(seconds=dice.choice([30, 30, 30, 31, 2]))
        mine = swift.swap(mine, at)
        plain.put(other)
        other = plain.take(at)
    assert len(swift) == len(plain) >= 19
