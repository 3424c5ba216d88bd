"""Amounts of consumption: one by one, and as the columns that nearly all of them come in. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import accumulate
from operator import sub
from typing import overload

from ingest.channel import from_micro
from ingest.model import Quality

WHOLE = Decimal("1.0000")
INTERPOLATED = ("interpolated",)
_ONE = Decimal(1)


@dataclass(frozen=True, slots=True)
class Amount:
    """Consumption over [begin, end), K applied, in the channel's unit; None without grounds.

    An amount covers the measured part of its interval: `completeness` is that share of time (0 to 1, four decimals,
    rounded down). `begin_value` and `end_value` are the register's values at the ends of that part, where one meter
    shows them. `reasons` are stable codes for anything worth knowing; `quality` is the worst of the parts.
    """

    begin: datetime
    end: datetime
    amount: Decimal | None
    quality: Quality
    completeness: Decimal
    ratios: tuple[Decimal, ...] = ()
    reasons: tuple[str, ...] = ()
    begin_value: Decimal | None = None
    end_value: Decimal | None = None
    meters: tuple[str, ...] = ()
    unit: str = ""


class _Amounts(Sequence[Amount]):
    """Amounts that are made for whoever looks at them; equal to any sequence of the same ones."""

    __slots__ = ()

    @overload
    def __getitem__(self, place: int) -> Amount: ...

    @overload
    def __getitem__(self, place: slice) -> Sequence[Amount]: ...

    def __getitem__(self, place: int | slice) -> Amount | Sequence[Amount]:
        numbers = range(len(self))[place]
        return self._made(numbers) if isinstance(numbers, int) else [self._made(number) for number in numbers]

    def _made(self, number: int) -> Amount:
        raise NotImplementedError

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return repr(list(self))


class Steady(_Amounts):
    """The amounts between adjacent cuts of one register that was measured from end to end, as columns.

    At every one of the `cuts` the register `shown` so many millionths, which `between` says were read or interpolated.
    """

    __slots__ = ("between", "cuts", "meter", "ratio", "shown", "unit")

    def __init__(
        self,
        cuts: Sequence[datetime],
        shown: Sequence[int],
        between: Sequence[bool],
        ratio: Decimal,
        meter: str,
        unit: str,
    ) -> None:
        self.cuts = cuts
        self.shown = shown
        self.between = between
        self.ratio = ratio
        self.meter = meter
        self.unit = unit

    def __len__(self) -> int:
        return len(self.shown) - 1

    def _made(self, number: int) -> Amount:
        opens, closes = self.shown[number], self.shown[number + 1]
        estimated = self.between[number] or self.between[number + 1]
        moved = Decimal(closes - opens)
        return Amount(
            self.cuts[number],
            self.cuts[number + 1],
            (moved if self.ratio == _ONE else moved * self.ratio).scaleb(-6),
            Quality.ESTIMATED if estimated else Quality.GOOD,
            WHOLE,
            (self.ratio,),
            INTERPOLATED if estimated else (),
            from_micro(opens),
            from_micro(closes),
            (self.meter,),
            self.unit,
        )

    def greatest(self) -> Amount:
        """The first of those that are as large as any."""
        moved = list(map(sub, self.shown[1:], self.shown))
        return self._made(moved.index(max(moved)))


class Joined(_Amounts):
    """Amounts in several pieces, one behind the other: `Steady` ones, and lists of those that needed a closer look."""

    __slots__ = ("_ends", "pieces")

    def __init__(self, pieces: Sequence[Sequence[Amount]]) -> None:
        self.pieces = pieces
        self._ends = list(accumulate(map(len, pieces)))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def __iter__(self) -> Iterator[Amount]:
        for piece in self.pieces:
            yield from piece

    def _made(self, number: int) -> Amount:
        piece = bisect_right(self._ends, number)
        return self.pieces[piece][number - self._ends[piece] + len(self.pieces[piece])]


def pieces(amounts: Sequence[Amount]) -> Sequence[Sequence[Amount]]:
    """Amounts in the pieces they were made in."""
    return amounts.pieces if isinstance(amounts, Joined) else [amounts]
