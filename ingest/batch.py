"""One batch through the door: resolve, judge beside the neighbours, write, all in one transaction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from ingest.channel import is_counter, to_micro
from ingest.delivery import Delivery, Fate, Outcome, Reject, Verdict
from ingest.instants import micros
from ingest.judge import REACH, disputed, intrinsic, limits_of, quality_of
from ingest.model import NO_REASON, PEOPLE, Quality, Reading, Reason, Source
from ingest.settle import Fresh, Overrule, Row, Settlement, leave, settle
from ingest.store import BatchWork, Card, Change, Span

PERSONS = tuple(sorted(PEOPLE))
LONG_BEFORE, LONG_AFTER = (micros(datetime(year, 1, 1, tzinfo=UTC)) for year in (1900, 2200))


@dataclass(slots=True)
class _Series:
    """Fresh readings of one register that are judged together."""

    card: Card
    sources: tuple[Source, ...]
    fresh: list[Fresh] = field(default_factory=list)

    def span(self) -> Span:
        instants = [item.at for item in self.fresh]
        return Span(self.card.register.id, self.sources, min(instants), max(instants))


async def store_batch(work: BatchWork, deliveries: Sequence[Delivery], received_at: datetime) -> list[Outcome]:
    """Judge and write deliveries in the open transaction; the outcomes stand in the same order."""
    batch = _Batch(work, deliveries, received_at)
    await batch.run()
    return batch.outcomes


class _Batch:
    def __init__(self, work: BatchWork, deliveries: Sequence[Delivery], received_at: datetime) -> None:
        self.work = work
        self.deliveries = deliveries
        self.received_at = received_at
        self.readings: list[Reading] = []
        self.delivered_by: list[Delivery] = []
        self.verdicts: dict[int, Verdict] = {}
        self.series: dict[tuple[int, tuple[Source, ...]], _Series] = {}
        self.outcomes: list[Outcome] = []

    async def run(self) -> None:
        for delivery in self.deliveries:
            self.readings.extend(delivery.readings)
            self.delivered_by.extend([delivery] * len(delivery.readings))
        await self._resolve()
        people = await self.work.lock(sorted({register_id for register_id, _ in self.series}))
        changes = await self._settle_automatic()
        changes += await self._settle_people(changes, people)
        await self._check_zone_sums(changes)
        if changes:
            await self.work.write(changes, self.received_at)
        await self._write_the_rest()
        self._answer()

    async def _resolve(self) -> None:
        """Group readings by series; whatever has no register goes to quarantine."""
        cards = await self.work.cards({(r.meter, r.channel) for r in self.readings})
        unknown = {r.meter for r in self.readings if (r.meter, r.channel) not in cards}
        known_meters = await self.work.meters(unknown) if unknown else ()
        for place, reading in enumerate(self.readings):
            card = cards.get((reading.meter, reading.channel))
            refusal = _refusal(reading, card, self.delivered_by[place].gateway, known_meters)
            if refusal is not None:
                self.verdicts[place] = Verdict(Fate.QUARANTINED, Quality.SUSPECT, code=refusal[0], detail=refusal[1])
                continue
            assert card is not None
            self._add(place, reading, card)

    def _add(self, place: int, reading: Reading, card: Card) -> None:
        source = reading.source
        sources = PERSONS if source.by_person else (source,)
        key = (card.register.id, sources)
        series = self.series.get(key)
        if series is None:
            series = self.series[key] = _Series(card, sources)
        micro = to_micro(reading.value)
        reasons = intrinsic(card.register, reading.taken_at, reading.captured_at, self.received_at, micro)
        series.fresh.append(Fresh(source, micros(reading.taken_at), micro, reasons, place))

    async def _settle_automatic(self) -> list[Change]:
        machines = {series.span(): series for series in self.series.values() if series.sources is not PERSONS}
        around = await self.work.surroundings(list(machines), 2 * REACH)
        return [self._settle_one(series, around.get(span, [])) for span, series in machines.items()]

    def _settle_one(
        self,
        series: _Series,
        stored: Sequence[Row],
        overrule: Overrule = leave,
        again: tuple[int, int] | None = None,
    ) -> Change:
        register = series.card.register
        limits = limits_of(register)
        if series.sources is PERSONS:
            limits = limits.softened()
        settlement = settle(limits, stored, series.fresh, overrule, counter=is_counter(register.channel), again=again)
        self.verdicts.update(settlement.verdicts)
        behind = {(item.source, item.at): self.readings[item.place] for item in series.fresh}
        return Change(register.id, settlement, behind)

    async def _settle_people(self, machines: Sequence[Change], people: Iterable[int]) -> list[Change]:
        """Judge typed-in readings: the fresh ones, and the stored ones that automatic readings came to stand beside."""
        typed = {series.card.register.id: series for series in self.series.values() if series.sources is PERSONS}
        for register_id in set(people) - typed.keys():
            card = next(series.card for (owner, _), series in self.series.items() if owner == register_id)
            if is_counter(card.register.channel):
                typed[register_id] = _Series(card, PERSONS)
        if not typed:
            return []
        touched = {change.register_id: change.settlement for change in machines}
        spans = {key: await self._people_span(typed[key], touched.get(key)) for key in typed}
        around = await self.work.surroundings(list(spans.values()), 2 * REACH)
        changes = []
        for register_id, series in typed.items():
            stored = around.get(spans[register_id], [])
            overrule = await self._dispute(series, stored, touched.get(register_id))
            span = spans[register_id]
            change = self._settle_one(series, stored, overrule, (span.first, span.last))
            changes.append(change)
        return [change for change in changes if any(change.settlement[:4])]

    async def _people_span(self, series: _Series, touched: Settlement | None) -> Span:
        """From the good automatic reading before what changed to the one after it, and all that was typed in now."""
        instants = [item.at for item in series.fresh]
        changed = [] if touched is None else _changed_instants(touched)
        if changed:
            register_id = series.card.register.id
            ends = [(register_id, min(changed)), (register_id, max(changed))]
            around = await self.work.automatic_around(ends)
            before, after = around[ends[0]][0], around[ends[1]][1]
            instants += [before[0] if before else LONG_BEFORE, after[0] if after else LONG_AFTER]
        if not instants:
            instants = [LONG_AFTER]
        return Span(series.card.register.id, PERSONS, min(instants), max(instants))

    async def _dispute(self, series: _Series, stored: Sequence[Row], touched: Settlement | None) -> Overrule:
        """Compare people's values with the good automatic ones around them, stored and fresh alike."""
        register_id = series.card.register.id
        limits = limits_of(series.card.register).softened()
        instants = sorted({item.at for item in series.fresh} | {row.at for row in stored})
        around = await self.work.automatic_around([(register_id, at) for at in instants])
        good, bad = _automatic_after(touched)

        def overrule(source: Source, at: int, value: int) -> Reason | None:
            before, after = around[register_id, at]
            nearer = [row for row in good if row[0] <= at]
            before = max([*nearer, *([before] if before and before[0] not in bad else [])], default=None)
            later = [row for row in good if row[0] > at]
            after = min([*later, *([after] if after and after[0] not in bad else [])], default=None)
            if source is Source.INSPECTION:
                return None
            verdict = disputed(limits, at, value, before, after)
            return None if verdict is None else Reason.DISPUTED if verdict else NO_REASON

        return overrule

    async def _check_zone_sums(self, changes: list[Change]) -> None:
        """Mark a total that its zones do not sum to, from whatever stands at the same instant, stored or fresh."""
        families = {
            member: family
            for series in self.series.values()
            if (family := series.card.family) is not None
            for member in (family[0], *family[1])
        }
        rows = {
            (change.register_id, row.source, row.at): row
            for change in changes
            if change.register_id in families
            for row in _written(change.settlement)
        }
        if not rows:
            return
        wanted = {
            (member, source, at)
            for register_id, source, at in rows
            for member in (families[register_id][0], *families[register_id][1])
        } - rows.keys()
        stored = await self.work.at_instants(wanted) if wanted else {}
        resolution = {s.card.register.id: limits_of(s.card.register).resolution for s in self.series.values()}
        wrong = _mark_totals(changes, families, rows, stored, resolution)
        for change in changes:
            self._renew_verdicts(change)
        if wrong:
            await self.work.zone_mismatch(wrong, self.received_at)

    def _renew_verdicts(self, change: Change) -> None:
        """A total's judgement may have changed after its verdict was given."""
        places = {
            (item.source, item.at): item.place
            for (register_id, _), series in self.series.items()
            if register_id == change.register_id
            for item in series.fresh
        }
        for row in _written(change.settlement):
            place = places.get((row.source, row.at))
            verdict = self.verdicts.get(place) if place is not None else None
            if place is not None and verdict is not None and verdict.fate in (Fate.STORED, Fate.SUPERSEDED):
                self.verdicts[place] = Verdict(verdict.fate, row.quality, row.reasons)

    async def _write_the_rest(self) -> None:
        refused: list[tuple[str, Reject]] = []
        for place, verdict in self.verdicts.items():
            if verdict.fate is Fate.QUARANTINED:
                delivery = self.delivered_by[place]
                refused.append((delivery.origin, _reject(self.readings[place], delivery, verdict)))
        refused += await self._write_intervals()
        refused += [(delivery.origin, reject) for delivery in self.deliveries for reject in delivery.rejects]
        if refused:
            await self.work.quarantine(refused)
        contacts = [contact for delivery in self.deliveries for contact in delivery.contacts]
        if contacts:
            await self.work.contacts(contacts)

    async def _write_intervals(self) -> list[tuple[str, Reject]]:
        """Write load profiles; gives those that have no register."""
        profile = [(delivery, item) for delivery in self.deliveries for item in delivery.intervals]
        if not profile:
            return []
        cards = await self.work.cards({(item.meter, item.channel) for _, item in profile})
        refused, rows = [], []
        for delivery, item in profile:
            card = cards.get((item.meter, item.channel))
            if card is None:
                detail = f"meter {item.meter!r} with channel {item.channel!r} is not in the fleet; add it and replay"
                raw = delivery.raw or repr(item).encode()
                reject = Reject("unknown_register", detail, raw, item.meter, item.channel)
                refused.append((delivery.origin, reject))
            else:
                rows.append((card.register.id, item))
        await self.work.write_intervals(rows, self.received_at)
        return refused

    def _answer(self) -> None:
        place = 0
        for delivery in self.deliveries:
            after = place + len(delivery.readings)
            verdicts = [self.verdicts[i] for i in range(place, after)]
            self.outcomes.append(Outcome(verdicts, len(delivery.rejects)))
            place = after


def _refusal(
    reading: Reading, card: Card | None, gateway: str | None, known_meters: Iterable[str]
) -> tuple[str, str] | None:
    """Why a reading has no register it may go to: a stable code and what to do; None when it has one."""
    if card is None:
        if reading.meter not in known_meters:
            return (
                "unknown_meter",
                f"meter {reading.meter!r} is not in the fleet; add it with 'amr fleet apply', then replay",
            )
        return "unknown_channel", f"meter {reading.meter!r} has no register {reading.channel!r}; add it to its model"
    if gateway is not None and card.gateway != gateway:
        owner = f"gateway {card.gateway!r}" if card.gateway else "no gateway"
        return (
            "foreign_meter",
            f"gateway {gateway!r} spoke for meter {reading.meter!r}, which belongs to {owner}",
        )
    return None


def _reject(reading: Reading, delivery: Delivery, verdict: Verdict) -> Reject:
    """A reading that goes to quarantine; without a raw form of its own it is written out."""
    raw = (
        delivery.raw
        or (
            f"meter={reading.meter} channel={reading.channel} taken_at={reading.taken_at.isoformat()}"
            f" value={reading.value} source={reading.source.label}"
        ).encode()
    )
    return Reject(verdict.code, verdict.detail, raw, reading.meter, reading.channel)


def _written(settlement: Settlement) -> list[Row]:
    return [
        *settlement.inserted,
        *(after for _, after in settlement.superseded),
        *(after for _, after in settlement.rejudged),
    ]


def _changed_instants(settlement: Settlement) -> list[int]:
    return [row.at for row in _written(settlement)]


def _automatic_after(touched: Settlement | None) -> tuple[list[tuple[int, int]], set[int]]:
    """Automatic readings of this batch that are good now (instant, value), and instants that no longer are."""
    if touched is None:
        return [], set()
    rows = [row for row in _written(touched) if row.source is Source.AUTOMATIC]
    good = [(row.at, row.value) for row in rows if row.quality is Quality.GOOD]
    return good, {row.at for row in rows if row.quality is not Quality.GOOD}


def _mark_totals(
    changes: list[Change],
    families: Mapping[int, tuple[int, tuple[int, ...]]],
    rows: Mapping[tuple[int, Source, int], Row],
    stored: Mapping[tuple[int, Source, int], Row],
    resolution: Mapping[int, int],
) -> set[int]:
    """Set or clear ZONE_SUM on totals in the changes; gives the totals newly found wrong."""
    by_register = {change.register_id: number for number, change in enumerate(changes)}
    newly_wrong: set[int] = set()
    for total_id, source, at in {(families[r][0], source, at) for r, source, at in rows}:
        _, zones = next(family for family in families.values() if family[0] == total_id)
        everyone = {**stored, **rows}
        values = [everyone.get((zone, source, at)) for zone in zones]
        total = everyone.get((total_id, source, at))
        if total is None or any(value is None for value in values):
            continue
        difference = abs(total.value - sum(value.value for value in values if value is not None))
        wrong = difference > (len(zones) + 1) * max(resolution.get(total_id, 0), 1000)
        if wrong == (Reason.ZONE_SUM in total.reasons):
            continue
        reasons = total.reasons | Reason.ZONE_SUM if wrong else total.reasons & ~Reason.ZONE_SUM
        marked = total._replace(reasons=reasons, quality=quality_of(source, reasons))
        _replace_row(changes, by_register, total_id, total, marked)
        if wrong:
            newly_wrong.add(total_id)
    return newly_wrong


def _replace_row(changes: list[Change], by_register: dict[int, int], register_id: int, before: Row, after: Row) -> None:
    """Put a newly judged row in the place it has in the changes, or add it as judged again."""
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
