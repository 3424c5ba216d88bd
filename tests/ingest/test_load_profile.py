"""The load profile between the readings of a register, and beyond them."""

from __future__ import annotations

from collections.abc import Sequence

from ingest.chain import Chain, link
from ingest.channel import MICRO
from ingest.judge import HOUR, Limits
from ingest.load_profile import Slot, with_profile
from ingest.model import Quality
from tests.ingest.test_chain import mark

LIMITS = Limits(modulus=10**6 * MICRO, max_rate=15 * MICRO, resolution=1000)


def slot(begin: float, end: float, kwh: float, *, covered: float | None = None, split: bool = False) -> Slot:
    length = end - begin if covered is None else covered
    return Slot(int(begin * HOUR), int(end * HOUR), round(kwh * MICRO), int(length * HOUR), split)


def profiled(marks: Sequence[tuple[float, float]], *slots: Slot) -> Chain:
    chain = link([mark(hour, kwh) for hour, kwh in marks], LIMITS, {}, {}, [])
    return with_profile(chain, slots, LIMITS)


def shape(chain: Chain) -> list[tuple[float, float, bool]]:
    """(hour, kWh moved, loose) of every node."""
    return [
        (at / HOUR, kwh / MICRO, number in chain.loose)
        for number, (at, kwh) in enumerate(zip(chain.ats, chain.moved, strict=True))
    ]


def test_without_a_profile_nothing_changes() -> None:
    assert shape(profiled([(0, 100), (4, 108)])) == [(0, 0, False), (4, 8, False)]


def test_an_agreeing_profile_cuts_the_step_exactly() -> None:
    chain = profiled([(0, 100), (4, 108)], slot(0, 1, 5), slot(1, 3, 2), slot(3, 4, 1))
    assert shape(chain) == [(0, 0, False), (1, 5, False), (3, 7, False), (4, 8, False)]
    assert chain.shown == [100_000_000, 105_000_000, 107_000_000, 108_000_000]
    assert chain.steps == {}


def test_what_the_display_cuts_off_is_no_disagreement_and_the_register_has_the_last_word() -> None:
    chain = profiled([(0, 100), (4, 107.999)], slot(0, 2, 5), slot(2, 4, 3))
    assert shape(chain) == [(0, 0, False), (2, 5, False), (4, 7.999, False)]


def test_a_disagreeing_profile_divides_the_registers_step_in_proportion() -> None:
    chain = profiled([(0, 100), (4, 104)], slot(0, 1, 5), slot(1, 4, 3))
    assert shape(chain) == [(0, 0, False), (1, 2.5, True), (4, 4, False)]


def test_one_hole_is_known_by_difference() -> None:
    chain = profiled([(0, 100), (6, 110)], slot(0, 2, 3), slot(4, 6, 2))
    assert shape(chain) == [(0, 0, False), (2, 3, False), (4, 8, False), (6, 10, False)]


def test_a_hole_inside_a_slot_is_known_by_difference_too() -> None:
    chain = profiled([(0, 100), (4, 110)], slot(0, 2, 3, covered=1), slot(2, 4, 2))
    assert shape(chain) == [(0, 0, False), (2, 8, False), (4, 10, False)]


def test_several_holes_share_what_is_left_by_time() -> None:
    chain = profiled([(0, 100), (8, 120)], slot(2, 4, 3), slot(5, 8, 2))
    assert shape(chain) == [(0, 0, False), (2, 10, True), (4, 13, True), (5, 18, False), (8, 20, False)]


def test_cuts_inside_one_hole_make_no_nodes() -> None:
    chain = profiled(
        [(0, 100), (9, 110)], slot(0, 1, 3), slot(1, 3, 0, covered=0), slot(3, 6, 0, covered=0), slot(8, 9, 2)
    )
    assert [hour for hour, _, _ in shape(chain)] == [0, 1, 8, 9]


def test_a_profile_that_says_more_than_the_register_says_nothing_around_holes() -> None:
    assert shape(profiled([(0, 100), (6, 104)], slot(0, 2, 5))) == [(0, 0, False), (6, 4, False)]


def test_a_register_that_stood_still_needs_no_profile() -> None:
    assert shape(profiled([(0, 100), (6, 100)], slot(0, 2, 5), slot(2, 6, 1))) == [(0, 0, False), (6, 0, False)]


def test_an_unexplained_step_is_not_divided() -> None:
    chain = link([mark(0, 100), mark(6, 3)], LIMITS, {}, {}, [])
    assert len(with_profile(chain, [slot(0, 2, 5), slot(2, 6, 1)], LIMITS).ats) == 2


def test_the_profile_alone_counts_from_its_begin() -> None:
    chain = profiled([], slot(0, 1, 5), slot(1, 2, 3))
    assert shape(chain) == [(0, 0, False), (1, 5, False), (2, 8, False)]
    assert chain.shown == [None, None, None]


def test_alone_a_hole_moves_nothing_and_is_not_measured() -> None:
    chain = profiled([], slot(0, 1, 5), slot(3, 4, 2, covered=0.5))
    assert shape(chain) == [(0, 0, False), (1, 5, False), (3, 5, False), (4, 7, False)]
    assert (chain.steps[2].covered, chain.steps[3].covered) == (0, HOUR // 2)


def test_the_profile_goes_on_before_and_behind_the_readings() -> None:
    chain = profiled([(4, 100), (6, 103)], slot(2, 4, 1), slot(4, 6, 3), slot(6, 8, 2))
    assert shape(chain) == [(2, -1, False), (4, 0, False), (6, 3, False), (8, 5, False)]


def test_a_hole_between_profile_and_readings_is_not_measured() -> None:
    chain = profiled([(4, 100), (6, 103)], slot(2, 3, 1), slot(7, 8, 2))
    assert shape(chain) == [(2, -1, False), (3, 0, False), (4, 0, False), (6, 3, False), (7, 3, False), (8, 5, False)]
    assert [chain.steps[number].covered for number in (2, 4)] == [0, 0]


def test_a_cut_inside_a_recorded_interval_is_loose() -> None:
    chain = profiled([(0, 100), (4, 104)], slot(0, 1, 1), slot(1, 4, 3, split=True))
    assert shape(chain) == [(0, 0, False), (1, 1, True), (4, 4, False)]


def test_a_reading_inside_a_recorded_interval_makes_the_piece_beside_it_an_estimate() -> None:
    chain = profiled([(4, 100)], slot(2, 4, 1), slot(4, 6, 3, split=True), slot(6, 8, 2))
    assert [chain.steps[number].quality for number in (1, 2)] == [Quality.ESTIMATED] * 2
    assert 3 not in chain.steps
    assert not chain.loose


def test_intervals_that_overlap_are_not_used() -> None:
    assert shape(profiled([(0, 100), (4, 104)], slot(0, 2, 9, covered=4))) == [(0, 0, False), (4, 4, False)]


def test_what_a_profile_shows_wraps_with_the_register() -> None:
    chain = link([mark(0, 999_998), mark(4, 2)], LIMITS, {}, {}, [])
    assert with_profile(chain, [slot(0, 2, 3), slot(2, 4, 1)], LIMITS).shown == [999_998_000_000, 1_000_000, 2_000_000]
