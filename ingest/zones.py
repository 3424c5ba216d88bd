"""A total beside its tariff zones: marked when they do not sum to it, however and in whatever order they arrived."""

from __future__ import annotations

from collections.abc import Mapping

from ingest.judge import quality_of
from ingest.model import Reason, Source
from ingest.settle import Row, Settlement, written
from ingest.store import BatchWork, Card, Change
from ingest.tracks import sums_up

Place = tuple[int, Source, int]
"""(register, source, instant)"""


async def check_zone_sums(work: BatchWork, cards: Mapping[int, Card], changes: list[Change]) -> set[int]:
    """Set or clear ZONE_SUM on the totals touched by the changes; gives the totals found wrong now.

    Only where the total and all its zones stand at one instant, from one source, can anything be said.
    """
    families = {
        member: card.family for card in cards.values() if card.family for member in (card.family[0], *card.family[1])
    }
    fresh: dict[Place, Row] = {
        (change.register_id, row.source, row.at): row
        for change in changes
        if change.register_id in families
        for row in written(change.settlement)
    }
    if not fresh:
        return set()
    groups = {(families[register_id], source, at) for register_id, source, at in fresh}
    wanted = {(member, source, at) for (total, zones), source, at in groups for member in (total, *zones)}
    rows = {**await work.at_instants(wanted - fresh.keys()), **fresh}
    wrong: set[int] = set()
    for (total_id, zones), source, at in groups:
        members = {member: rows.get((member, source, at)) for member in (total_id, *zones)}
        values = {member: row.value for member, row in members.items() if row is not None}
        total = members[total_id]
        if total is None or len(values) < len(members):
            continue
        coarsest = next(card.coarsest for card in cards.values() if card.family == (total_id, zones))
        marked = _marked(total, wrong=not sums_up((total_id, zones), values, coarsest))
        if marked != total:
            _replace(changes, total_id, total, marked)
            if Reason.ZONE_SUM in marked.reasons:
                wrong.add(total_id)
    return wrong


def _marked(total: Row, *, wrong: bool) -> Row:
    reasons = total.reasons | Reason.ZONE_SUM if wrong else total.reasons & ~Reason.ZONE_SUM
    return total._replace(reasons=reasons, quality=quality_of(total.source, reasons))


def _replace(changes: list[Change], register_id: int, before: Row, after: Row) -> None:
    """Put a newly marked row in the place it has in the changes, or add it as judged again."""
    for change in changes:
        if change.register_id != register_id:
            continue
        settlement = change.settlement
        if before in settlement.inserted:
            settlement.inserted[settlement.inserted.index(before)] = after
            return
        for pairs in (settlement.superseded, settlement.rejudged):
            for number, (old, new) in enumerate(pairs):
                if new == before:
                    pairs[number] = (old, after)
                    return
    changes.append(Change(register_id, Settlement([], [], [(before, after)], [], {}), {}))
