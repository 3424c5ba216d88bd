"""Block reads: everything is fetched, within the limits, at the least line time; refused blocks are halved."""

from __future__ import annotations

from decimal import Decimal
from itertools import combinations, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.meter_model import Kind, ModelRegister
from collectors.plan import TCP_COST, Block, Cost, line_time, plan, serial_cost, split


def register(address: int, kind: Kind = Kind.UINT32, function: int = 3) -> ModelRegister:
    return ModelRegister("1.8.0", address, function, kind, Decimal(1))


def reads(blocks: tuple[Block, ...]) -> list[tuple[int, int, int]]:
    return [(block.function, block.address, block.count) for block in blocks]


def test_neighbours_are_read_together() -> None:
    assert reads(plan([register(4), register(0), register(2)])) == [(3, 0, 6)]


def test_functions_are_never_mixed() -> None:
    assert reads(plan([register(0), register(2, function=4)])) == [(3, 0, 2), (4, 2, 2)]


def test_a_gap_is_crossed_only_as_far_as_the_meter_allows() -> None:
    far = [register(0), register(12)]
    assert reads(plan(far, gap=10)) == [(3, 0, 14)]
    assert reads(plan(far, gap=9)) == [(3, 0, 2), (3, 12, 2)]


def test_a_gap_is_crossed_only_when_that_is_cheaper() -> None:
    far = [register(0), register(40)]
    assert len(plan(far, TCP_COST, gap=124)) == 1
    assert len(plan(far, serial_cost(9600), gap=124)) == 2
    assert len(plan([register(0), register(10)], serial_cost(9600), gap=124)) == 1


def test_125_registers_are_one_read_and_126_are_two() -> None:
    words = [register(at, Kind.UINT16) for at in range(126)]
    assert reads(plan(words[:125])) == [(3, 0, 125)]
    assert len(plan(words)) == 2


def test_line_time_is_what_was_measured() -> None:
    at_9600 = serial_cost(9600, turnaround=0.0)
    assert line_time(plan([register(at) for at in range(0, 20, 2)]), at_9600) == pytest.approx(0.0625, rel=0.02)


def laid_out(pieces: list[tuple[int, Kind]]) -> list[ModelRegister]:
    """Registers one after another, each after so many unused words."""
    placed, end = [], 0
    for gap, kind in pieces:
        placed.append(register(end + gap, kind))
        end = placed[-1].end
    return placed


PIECES = st.tuples(st.integers(0, 25), st.sampled_from([Kind.UINT16, Kind.UINT32, Kind.UINT64]))
REGISTERS = st.lists(PIECES, min_size=1, max_size=7).map(laid_out)


@given(REGISTERS, st.integers(4, 30), st.integers(0, 20), st.floats(0.1, 20.0))
def test_the_plan_fetches_all_within_limits_at_the_least_cost(
    registers: list[ModelRegister], most: int, gap: int, read_cost: float
) -> None:
    cost = Cost(read_cost, 1.0)
    blocks = plan(reversed(registers), cost, most, gap)
    fetched = [one for block in blocks for one in block.registers]
    assert fetched == registers
    for block in blocks:
        assert block.count <= most
        assert all(block.address <= one.address and one.end <= block.address + block.count for one in block.registers)
    assert line_time(blocks, cost) == pytest.approx(least_cost(registers, cost, most, gap))


def least_cost(placed: list[ModelRegister], cost: Cost, most: int, gap: int) -> float:
    """By trying every way to cut."""
    least = float("inf")
    inner = range(1, len(placed))
    for number in range(len(placed)):
        for cuts in combinations(inner, number):
            edges = [0, *cuts, len(placed)]
            groups = [placed[begin:end] for begin, end in pairwise(edges)]
            if all(allowed(group, most, gap) for group in groups):
                least = min(least, sum(cost.read + span(group) * cost.register for group in groups))
    return least


def span(group: list[ModelRegister]) -> int:
    return group[-1].end - group[0].address


def allowed(group: list[ModelRegister], most: int, gap: int) -> bool:
    gaps = (after.address - before.end for before, after in pairwise(group))
    return len(group) == 1 or (span(group) <= most and all(one <= gap for one in gaps))


def test_a_refused_block_is_cut_at_its_widest_gap() -> None:
    [block] = plan([register(0), register(2), register(20), register(22)], gap=50)
    assert reads(split(block)) == [(3, 0, 4), (3, 20, 4)]


def test_a_refused_block_without_gaps_is_halved() -> None:
    [block] = plan([register(at) for at in range(0, 8, 2)])
    assert reads(split(block)) == [(3, 0, 4), (3, 4, 4)]


def test_a_refused_register_leaves_the_plan() -> None:
    [block] = plan([register(0)])
    assert split(block) == ()
