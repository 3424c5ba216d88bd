"""Registers -> the cheapest block reads. Pure.

A read costs its line time whatever it brings, and every register a little more; so neighbours are read together, across
gaps when that is cheaper, within what the meter (and Modbus: 125 registers) allows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from collectors.meter_model import ModelRegister

MOST_REGISTERS = 125


@dataclass(frozen=True, slots=True)
class Cost:
    """Line time in seconds: of a read as such, and of each register in it."""

    read: float
    register: float


@dataclass(frozen=True, slots=True)
class Block:
    """One read: `count` registers from wire address `address` on, and what of them is wanted."""

    function: int
    address: int
    count: int
    registers: tuple[ModelRegister, ...]


def serial_cost(baud: int, turnaround: float = 0.02, bits: int = 10) -> Cost:
    """RTU on a wire: 13 characters of frames, 7 of silence, two per register, and the meter's own thinking."""
    character = bits / baud
    return Cost(read=20 * character + turnaround, register=2 * character)


TCP_COST = Cost(read=0.002, register=0.000_01)
"""Modbus TCP: a round trip is what counts."""


def plan(
    registers: Iterable[ModelRegister], cost: Cost = TCP_COST, most: int = MOST_REGISTERS, gap: int = 0
) -> tuple[Block, ...]:
    """The blocks that fetch all registers in the least line time, ordered by function and address.

    `most` is the greatest number of registers of a read, `gap` how many unwanted ones in a row it may run across.
    """
    by_function = groupby(sorted(registers, key=_place), key=lambda register: register.function)
    return tuple(
        block for function, group in by_function for block in _cheapest(function, list(group), cost, most, gap)
    )


def _place(register: ModelRegister) -> tuple[int, int, int]:
    return register.function, register.address, register.end


def _cheapest(function: int, placed: Sequence[ModelRegister], cost: Cost, most: int, gap: int) -> list[Block]:
    """Best cuts of registers in order of address: the best for the first n from the best for fewer."""
    best: list[tuple[float, int]] = [(0.0, 0)]
    for last in range(len(placed)):
        choices = []
        first, end = last, placed[last].end
        while first >= 0:
            if first < last and placed[first + 1].address - placed[first].end > gap:
                break
            end = max(end, placed[first].end)
            count = end - placed[first].address
            if count > most and first < last:
                break
            choices.append((best[first][0] + cost.read + count * cost.register, first))
            first -= 1
        best.append(min(choices))
    return _cut(function, placed, [first for _, first in best])


def _cut(function: int, placed: Sequence[ModelRegister], firsts: Sequence[int]) -> list[Block]:
    blocks: list[Block] = []
    end = len(placed)
    while end:
        first = firsts[end]
        blocks.append(_block(function, placed[first:end]))
        end = first
    return blocks[::-1]


def _block(function: int, registers: Sequence[ModelRegister]) -> Block:
    address = registers[0].address
    return Block(function, address, max(one.end for one in registers) - address, tuple(registers))


def split(block: Block) -> tuple[Block, ...]:
    """What to ask instead of a block that was refused with an illegal address: two halves, cut at the widest gap.

    A block of one register gives nothing: the meter does not have that register.
    """
    registers = block.registers
    if len(registers) == 1:
        return ()
    middle = len(registers) / 2
    cuts = range(1, len(registers))
    cut = max(cuts, key=lambda at: (registers[at].address - registers[at - 1].end, -abs(at - middle)))
    return _block(block.function, registers[:cut]), _block(block.function, registers[cut:])


def line_time(blocks: Iterable[Block], cost: Cost) -> float:
    """Seconds of the line one poll of these blocks takes."""
    return sum(cost.read + block.count * cost.register for block in blocks)
