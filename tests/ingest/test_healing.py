"""Detours and stuck runs: what only shows from further off than the judge looks."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest

from ingest.channel import MICRO
from ingest.healing import LONGEST_DETOUR, heal
from ingest.judge import HOUR, Limits
from ingest.model import Source
from tests.ingest.test_chain import mark

LIMITS = Limits(modulus=10**6 * MICRO, max_rate=15 * MICRO, resolution=1000)


def healed(values: Sequence[float], *, limits: Limits = LIMITS, hours: float = 1) -> tuple[list[float], list[str]]:
    """What is left of readings every `hours`, and the notes; steps that fall or are too fast are known as breaks."""
    marks = [mark(n * hours, value) for n, value in enumerate(values)]
    breaks = [
        after.at
        for before, after in pairwise(marks)
        if after.value < before.value or (after.value - before.value) / MICRO > 15 * hours
    ]
    found = heal(marks, limits, breaks)
    return [left.value / MICRO for left in found.marks], list(found.notes.values())


def test_nothing_is_healed_where_nothing_broke() -> None:
    assert healed([100, 101, 101, 105]) == ([100, 101, 101, 105], [])


@pytest.mark.parametrize("length", [1, 4, 30])
@pytest.mark.parametrize("value", [0, 5000])
def test_a_detour_is_left_out(length: int, value: float) -> None:
    assert healed([100, 101, *[value] * length, 102, 103]) == ([100, 101, 102, 103], ["detour"])


def test_the_values_of_another_meter_are_left_out() -> None:
    assert healed([100, 101, 5000, 5003, 5009, 5010, 103, 104]) == ([100, 101, 103, 104], ["detour"])


def test_a_detour_through_several_meters_is_left_out_whole() -> None:
    assert healed([100, 5000, 5001, 70, 71, 101]) == ([100, 101], ["detour"])


def test_a_restart_from_zero_is_no_detour() -> None:
    assert healed([5000, 0, 1, 2, 3]) == ([5000, 0, 1, 2, 3], [])


def test_a_second_fault_does_not_make_a_restart_a_detour() -> None:
    restarted = [5000, *range(60)]
    assert healed([*restarted, 9000, 9001, 9002, 60]) == ([*restarted, 60], ["detour"])


def test_a_return_that_is_further_than_the_jump_back_is_no_return() -> None:
    """From 100 to 5000 within 300 hours is possible, but 4900 kWh are less likely than two faults."""
    values = [100, *(n / 10 for n in range(300)), 4500]
    assert healed(values) == (values, [])


def test_what_lasts_longer_than_a_quarter_is_no_detour() -> None:
    days = LONGEST_DETOUR // HOUR // 24
    values = [100, *[0.0] * (days + 1), 101]
    assert healed(values, hours=24)[0] == values


def test_a_stuck_run_keeps_its_first_reading() -> None:
    assert healed([100, 101, *[101] * 30, 400, 401]) == ([100, 101, 400, 401], ["stuck"])


def test_a_stuck_run_that_explains_nothing_stays() -> None:
    values = [100, 101, 101, 101, 400, 401]
    assert healed(values) == (values, [])


def test_zeros_before_a_return_are_a_detour_and_not_a_stuck_run() -> None:
    assert healed([100, *[0] * 30, 101]) == ([100, 101], ["detour"])


def test_of_two_detours_that_exclude_each_other_the_shorter_is_left_out() -> None:
    assert healed([100, 101, 5000, 102, *range(103, 120), 5001, 5002, 120])[0] == [100, 101, 102, *range(103, 120), 120]


def test_people_round_and_their_falls_within_a_unit_stand_at_the_value_before() -> None:
    marks = [mark(24, 100.6, Source.CONSUMER), mark(48, 100, Source.CONSUMER), mark(72, 105, Source.CONSUMER)]
    found = heal(marks, LIMITS.softened(), [48 * HOUR])
    assert [left.value / MICRO for left in found.marks] == [100.6, 100.6, 105]
