"""A delivery cut in two, again and again, until what the store refuses is alone. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from ingest.delivery import Delivery, Outcome
from ingest.written_out import WHOLE


def halves(delivery: Delivery) -> tuple[Delivery, Delivery] | None:
    """The same delivery as two, readings in their order; None when it holds one thing, or nothing, and cannot be cut.

    A long original is not kept with every piece of it: what has to be quarantined is then written out.
    """
    raw = delivery.raw if len(delivery.raw) <= WHOLE else b""
    things: list[tuple[str, object]] = [
        *(("readings", one) for one in delivery.readings),
        *(("intervals", one) for one in delivery.intervals),
        *(("rejects", one) for one in delivery.rejects),
        *(("contacts", one) for one in delivery.contacts),
    ]
    if len(things) < 2:
        return None
    middle = len(things) // 2
    empty = delivery._replace(readings=(), intervals=(), rejects=(), contacts=(), raw=raw)
    first, second = (_of(empty, part) for part in (things[:middle], things[middle:]))
    return first, second


def joined(outcomes: Sequence[Outcome]) -> Outcome:
    """The outcome of a whole delivery from those of its pieces, in order."""
    verdicts = [verdict for outcome in outcomes for verdict in outcome.verdicts]
    return Outcome(verdicts, sum(outcome.rejected for outcome in outcomes), all(outcome.stored for outcome in outcomes))


def _of(empty: Delivery, things: Sequence[tuple[str, object]]) -> Delivery:
    fields: dict[str, list[object]] = {}
    for name, thing in things:
        fields.setdefault(name, []).append(thing)
    return empty._replace(**fields)  # type: ignore[arg-type]
