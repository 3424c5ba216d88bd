"""A silent meter is given up only after both enough turns and enough time, and comes back at its first answer."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from collectors.patience import Health, Patience

T0 = datetime(2026, 11, 20, tzinfo=UTC)
CALM = Patience(turns=3, time=60.0, retry=5.0, probe=30.0, longest=100.0, jitter=0.2)


def health(rng: float = 0.5) -> Health:
    return Health(CALM, lambda: rng)


def fail(meter: Health, *seconds: float) -> list[float]:
    return [meter.failed(T0 + timedelta(seconds=second)).total_seconds() for second in seconds]


def test_many_quick_failures_are_not_enough_time() -> None:
    meter = health()
    fail(meter, 0, 1, 2, 3, 4, 5)
    assert not meter.off


def test_a_long_silence_of_few_turns_is_not_enough_turns() -> None:
    meter = health()
    fail(meter, 0, 3600)
    assert not meter.off


def test_both_are_enough() -> None:
    meter = health()
    fail(meter, 0, 5, 60)
    assert meter.off


def test_a_busy_meter_is_never_given_up() -> None:
    meter = health()
    assert [meter.hindered().total_seconds() for _ in range(7)] == [5, 10, 20, 40, 80, 100, 100]
    assert not meter.off


def test_pauses_grow_to_their_limit() -> None:
    assert fail(health(), 0, 5, 15, 35, 75, 200, 400) == [5, 10, 20, 40, 30, 60, 100]


@pytest.mark.parametrize(("rng", "pause"), [(0.0, 4.0), (1.0, 6.0)])
def test_pauses_are_jittered(rng: float, pause: float) -> None:
    assert fail(health(rng), 0) == [pytest.approx(pause)]


def test_the_first_good_answer_brings_it_back() -> None:
    meter = health()
    fail(meter, 0, 5, 60, 90)
    meter.good()
    assert not meter.off
    assert fail(meter, 200) == [5]
    assert not meter.off
