"""Readings typed in by people, beside the automatic ones: fresh ones, and stored ones that get new neighbours."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime

from ingest.instants import micros
from ingest.judge import REACH, disputed, limits_of
from ingest.model import NO_REASON, PEOPLE, Reason, Source
from ingest.settle import Overrule, Row, Settlement, written
from ingest.store import BatchWork, Card, Change, Span

PERSONS = tuple(sorted(PEOPLE))
LONG_BEFORE, LONG_AFTER = (micros(datetime(year, 1, 1, tzinfo=UTC)) for year in (1900, 2200))

Settle = Callable[[int, Sequence[Row], Overrule, tuple[int, int]], Change]
"""(register, stored rows, overrule, instants to look at again) -> its change."""

Value = tuple[int, int]
"""(instant in microseconds, millionths)"""


async def settle_people(
    work: BatchWork,
    cards: Mapping[int, Card],
    typed: Mapping[int, Collection[int]],
    automatic: Mapping[int, Settlement],
    settle: Settle,
) -> list[Change]:
    """Judge people's readings of the registers `cards`.

    `typed` has the instants of the fresh ones by register, `automatic` what this batch changed among the automatic
    ones. Only rows between the good automatic readings around a change can be judged differently by it.
    """
    spans = {
        register_id: await _span(work, register_id, typed.get(register_id, ()), automatic.get(register_id))
        for register_id in cards
    }
    around = await work.surroundings(list(spans.values()), 2 * REACH)
    changes = []
    for register_id, card in cards.items():
        span, touched = spans[register_id], automatic.get(register_id)
        stored = around.get(span, [])
        instants = {*typed.get(register_id, ()), *(row.at for row in stored)}
        overrule = await _dispute(work, card, instants, touched)
        changes.append(settle(register_id, stored, overrule, (span.first, span.last)))
    return [change for change in changes if any(change.settlement[:4])]


async def _span(work: BatchWork, register_id: int, typed: Collection[int], touched: Settlement | None) -> Span:
    """From the good automatic reading before what changed to the one after it, and all that was typed in now."""
    instants = list(typed)
    changed = [] if touched is None else [row.at for row in written(touched)]
    if changed:
        ends = [(register_id, min(changed) - 1), (register_id, max(changed))]
        around = await work.automatic_around(ends)
        before, after = around[ends[0]][0], around[ends[1]][1]
        instants += [before[0] if before else LONG_BEFORE, after[0] if after else LONG_AFTER]
    if not instants:
        instants = [LONG_AFTER]
    return Span(register_id, PERSONS, min(instants), max(instants))


async def _dispute(work: BatchWork, card: Card, instants: Collection[int], touched: Settlement | None) -> Overrule:
    """Compare people's values with the good automatic ones around them, stored and fresh alike."""
    register_id = card.register.id
    limits = limits_of(card.register).softened()
    good, bad = _automatic_after(touched)
    around = await _stored_around(work, register_id, instants, bad)

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
    work: BatchWork, register_id: int, instants: Collection[int], bad: Collection[int]
) -> dict[int, tuple[Value | None, Value | None]]:
    """The nearest stored automatic readings that are good and stay so, at or before and after each instant."""
    found = await work.automatic_around([(register_id, at) for at in sorted(instants)])
    around = {at: found[register_id, at] for at in instants}
    while True:
        earlier = {at: before[0] - 1 for at, (before, _) in around.items() if before and before[0] in bad}
        later = {at: after[0] for at, (_, after) in around.items() if after and after[0] in bad}
        if not earlier and not later:
            return around
        asks = sorted({(register_id, at) for at in (*earlier.values(), *later.values())})
        found = await work.automatic_around(asks)
        for at in earlier.keys() | later.keys():
            before, after = around[at]
            around[at] = (
                found[register_id, earlier[at]][0] if at in earlier else before,
                found[register_id, later[at]][1] if at in later else after,
            )


def _automatic_after(touched: Settlement | None) -> tuple[list[tuple[int, int]], set[int]]:
    """Automatic readings of this batch that are good now (instant, value), and instants that no longer are.

    A total that its zones do not sum to counts as good here: zones are compared after people are, and which of them is
    wrong nobody knows.
    """
    rows = [] if touched is None else written(touched)
    good = [(row.at, row.value) for row in rows if not row.reasons & ~Reason.ZONE_SUM]
    return good, {row.at for row in rows if row.reasons & ~Reason.ZONE_SUM}
