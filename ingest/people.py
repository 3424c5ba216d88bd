"""Readings typed in by people, beside those of machines: fresh ones, and stored ones that get new neighbours."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime

from ingest.instants import micros
from ingest.judge import REACH, disputed, limits_of
from ingest.model import NO_REASON, PEOPLE, Reason, Source
from ingest.settle import Overrule, Row
from ingest.store import BatchWork, Card, Change, Span
from ingest.tracks import MACHINES

PERSONS = tuple(sorted(PEOPLE))
LONG_BEFORE, LONG_AFTER = (micros(datetime(year, 1, 1, tzinfo=UTC)) for year in (1900, 2200))

Settle = Callable[[int, Sequence[Row], Overrule, tuple[int, int]], Change]
"""(register, stored rows, overrule, instants to look at again) -> its change."""

Value = tuple[int, int]
"""(instant in microseconds, millionths)"""

Sides = tuple[Value | None, Value | None]
"""The nearest at or before an instant, and after it."""


async def settle_people(
    work: BatchWork,
    cards: Mapping[int, Card],
    typed: Mapping[int, Collection[int]],
    machines: Mapping[int, Sequence[Row]],
    settle: Settle,
) -> list[Change]:
    """Judge people's readings of the registers `cards`.

    `typed` has the instants of the fresh ones by register, `machines` what this batch wrote among the automatic and
    imported ones. Only rows between the good ones of these around a change can be judged differently by it.
    """
    spans = {
        register_id: await _span(work, register_id, typed.get(register_id, ()), machines.get(register_id, ()))
        for register_id in cards
    }
    around = await work.surroundings(list(spans.values()), 2 * REACH)
    changes = []
    for register_id, card in cards.items():
        span = spans[register_id]
        stored = around.get(span, [])
        instants = {*typed.get(register_id, ()), *(row.at for row in stored)}
        overrule = await _dispute(work, card, instants, machines.get(register_id, ()))
        changes.append(settle(register_id, stored, overrule, (span.first, span.last)))
    return [change for change in changes if any(change.settlement[:4])]


async def _span(work: BatchWork, register_id: int, typed: Collection[int], touched: Sequence[Row]) -> Span:
    """From the good machine reading before what changed to the one after it, and all that was typed in now."""
    instants = list(typed)
    if touched:
        first, last = min(row.at for row in touched) - 1, max(row.at for row in touched)
        around = await _stored_around(work, register_id, (first, last), ())
        before, after = around[first][0], around[last][1]
        instants += [before[0] if before else LONG_BEFORE, after[0] if after else LONG_AFTER]
    if not instants:
        instants = [LONG_AFTER]
    return Span(register_id, PERSONS, min(instants), max(instants))


async def _dispute(work: BatchWork, card: Card, instants: Collection[int], touched: Sequence[Row]) -> Overrule:
    """Compare people's values with the good ones of machines around them, stored and fresh alike.

    A total that its zones do not sum to counts as good here: zones are compared after people are, and which of them is
    wrong nobody knows.
    """
    limits = limits_of(card.register).softened()
    good = [(row.at, row.value) for row in touched if not row.reasons & ~Reason.ZONE_SUM]
    bad = {(row.source, row.at) for row in touched if row.reasons & ~Reason.ZONE_SUM}
    around = await _stored_around(work, card.register.id, instants, bad)

    def overrule(source: Source, at: int, value: int) -> Reason | None:
        if source is Source.INSPECTION:
            return None
        stored_before, stored_after = around[at]
        before = [row for row in [stored_before] if row] + [row for row in good if row[0] <= at]
        after = [row for row in [stored_after] if row] + [row for row in good if row[0] > at]
        verdict = disputed(limits, at, value, max(before, default=None), min(after, default=None))
        return None if verdict is None else Reason.DISPUTED if verdict else NO_REASON

    return overrule


async def _stored_around(
    work: BatchWork, register_id: int, instants: Collection[int], bad: Collection[tuple[Source, int]]
) -> dict[int, Sides]:
    """The nearest stored machine readings that are good and stay so, at or before and after each instant."""
    asks = [(register_id, source, at) for source in MACHINES for at in sorted(instants)]
    around = dict(await work.machines_around(asks))
    while True:
        earlier = {ask: before[0] - 1 for ask, (before, _) in around.items() if before and (ask[1], before[0]) in bad}
        later = {ask: after[0] for ask, (_, after) in around.items() if after and (ask[1], after[0]) in bad}
        if not earlier and not later:
            return {at: _nearest([around[register_id, source, at] for source in MACHINES]) for at in instants}
        moved = {(register_id, ask[1], at) for asked in (earlier, later) for ask, at in asked.items()}
        found = await work.machines_around(sorted(moved))
        for ask in earlier.keys() | later.keys():
            before, after = around[ask]
            around[ask] = (
                found[register_id, ask[1], earlier[ask]][0] if ask in earlier else before,
                found[register_id, ask[1], later[ask]][1] if ask in later else after,
            )


def _nearest(of_sources: Sequence[Sides]) -> Sides:
    """Of what each machine says, the nearest on either side; of one instant the wider, whatever came first."""
    befores = [before for before, _ in of_sources if before]
    afters = [after for _, after in of_sources if after]
    return max(befores, default=None), min(afters, default=None)
