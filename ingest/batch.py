"""One batch through the door, in one transaction: what simply follows is appended, the rest judged thoroughly."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from ingest.channel import is_counter, to_micro
from ingest.delivery import Delivery, Fate, Outcome, Reject, Verdict
from ingest.instants import micros, span
from ingest.judge import REACH, intrinsic, limits_of
from ingest.model import Quality, Reading, Source
from ingest.people import PERSONS, settle_people
from ingest.pile import Pile
from ingest.settle import Fresh, Overrule, Row, leave, settle, written
from ingest.store import BatchWork, Card, Change, Span
from ingest.tracks import MACHINES, NOTHING_FOUND, Ahead, Found, Tracks
from ingest.written_out import kept_of
from ingest.zones import check_zone_sums

APART = span(timedelta(days=1))
"""Fresh readings of one series that are further apart are looked up in two places."""

FOLLOWED = Verdict(Fate.STORED)
"""The verdict of every reading that simply follows its series."""


@dataclass(slots=True)
class _Series:
    """Fresh readings of one register that are judged together."""

    card: Card
    sources: tuple[Source, ...]
    fresh: list[Fresh] = field(default_factory=list)

    def spans(self) -> list[Span]:
        """Where fresh readings fall; those far from each other apart, lest everything between them be looked up."""
        spans: list[Span] = []
        for at in sorted(item.at for item in self.fresh):
            if spans and at - spans[-1].last <= APART:
                spans[-1] = spans[-1]._replace(last=at)
            else:
                spans.append(Span(self.card.register.id, self.sources, at, at))
        return spans


async def store_batch(
    work: BatchWork,
    deliveries: Sequence[Delivery],
    received_at: datetime,
    tracks: Tracks | None = None,
    ahead: Ahead | None = None,
) -> list[Outcome]:
    """Judge and write deliveries in the open transaction; the outcomes stand in the same order.

    With `tracks` readings that simply follow their series are appended without a look at their neighbours; `Stale` is
    raised when another writer was faster: leave the transaction and call again without them. `ahead` is how `tracks`
    sorted these deliveries before.
    """
    batch = _Batch(work, deliveries, received_at)
    await batch.run(tracks, ahead)
    return batch.outcomes()


class _Batch:
    def __init__(self, work: BatchWork, deliveries: Sequence[Delivery], received_at: datetime) -> None:
        self.work = work
        self.deliveries = deliveries
        self.received_at = received_at
        self.readings = Pile(deliveries)
        self.verdicts: dict[int, Verdict] = {}
        self.series: dict[tuple[int, tuple[Source, ...]], _Series] = {}

    async def run(self, tracks: Tracks | None, ahead: Ahead | None) -> None:
        if tracks is None:
            await self._judge(range(len(self.readings)))
        else:
            found = await tracks.sort(self.work, self.deliveries, self.received_at, ahead)
            await self._judge(found.others, found, tracks.fleet)
            tracks.forget(self.readings[place] for place in found.others)
        await self._write_the_rest()

    async def _judge(self, places: Sequence[int], found: Found = NOTHING_FOUND, fleet: int = 0) -> None:
        """Append what simply follows; the rest the thorough way: neighbours, people beside machines, totals and zones.

        All that is to be moved is held before the first of it is, so that two writers never wait for each other.
        """
        await self._resolve(places)
        registers = sorted({register_id for register_id, _ in self.series})
        people = await self.work.lock(registers, [end[0] for end in found.ends]) if registers else ()
        if found.rows:
            await self.work.append(found.rows, found.ends, fleet, self.received_at)
        if not registers:
            return
        changes = await self._settle_machines()
        changes += await self._settle_people(changes, people)
        cards = {register_id: series.card for (register_id, _), series in self.series.items()}
        wrong = await check_zone_sums(self.work, cards, changes)
        self._renew_verdicts(changes)
        if changes:
            await self.work.write(changes, self.received_at)
        await self.work.renew_ends(registers)
        if wrong:
            await self.work.zone_mismatch(wrong, self.received_at)

    async def _resolve(self, places: Sequence[int]) -> None:
        """Group readings by series; whatever has no register goes to quarantine."""
        if not places:
            return
        keys = {(self.readings[place].meter, self.readings[place].channel) for place in places}
        cards = await self.work.cards(keys)
        unknown = {meter for meter, channel in keys if (meter, channel) not in cards}
        known_meters = await self.work.meters(unknown) if unknown else ()
        for place in places:
            reading = self.readings[place]
            card = cards.get((reading.meter, reading.channel))
            refusal = _refusal(reading, card, self.readings.delivery(place).gateway, known_meters)
            if card is None or refusal is not None:
                code, detail = refusal or ("", "")
                self.verdicts[place] = Verdict(Fate.QUARANTINED, Quality.SUSPECT, code=code, detail=detail)
            else:
                self._add(place, reading, card)

    def _add(self, place: int, reading: Reading, card: Card) -> None:
        source = reading.source
        sources = PERSONS if source.by_person else (source,)
        series = self.series.setdefault((card.register.id, sources), _Series(card, sources))
        micro = to_micro(reading.value)
        captured_at = None if source.by_person else reading.captured_at
        reasons = intrinsic(card.register, reading.taken_at, captured_at, self.received_at, micro)
        series.fresh.append(Fresh(source, micros(reading.taken_at), micro, reasons, place))

    async def _settle_machines(self) -> list[Change]:
        machines = [(series, series.spans()) for series in self.series.values() if series.sources is not PERSONS]
        around = await self.work.surroundings([one for _, spans in machines for one in spans], 2 * REACH)
        changes = []
        for series, spans in machines:
            rows = {(row.source, row.at): row for one in spans for row in around.get(one, ())}
            changes.append(self._settle_one(series, list(rows.values())))
        return changes

    async def _settle_people(self, machines: Sequence[Change], people: Collection[int]) -> list[Change]:
        """Judge typed-in readings, fresh ones and those that machines' readings came to stand beside."""
        typed = {register_id: s for (register_id, sources), s in self.series.items() if sources is PERSONS}
        beside = {
            register_id: _Series(series.card, PERSONS)
            for (register_id, _), series in self.series.items()
            if register_id in people and register_id not in typed and is_counter(series.card.register.channel)
        }
        series = {**beside, **typed}
        if not series:
            return []
        beside_people: dict[int, list[Row]] = {}
        for change in machines:
            rows = [row for row in written(change.settlement) if row.source in MACHINES]
            beside_people.setdefault(change.register_id, []).extend(rows)
        return await settle_people(
            self.work,
            {register_id: one.card for register_id, one in series.items()},
            {register_id: [item.at for item in one.fresh] for register_id, one in series.items()},
            beside_people,
            lambda register_id, *found: self._settle_one(series[register_id], *found),
        )

    def _settle_one(
        self, series: _Series, stored: Sequence[Row], overrule: Overrule = leave, again: tuple[int, int] | None = None
    ) -> Change:
        register = series.card.register
        limits = limits_of(register)
        if series.sources is PERSONS:
            limits = limits.softened()
        settlement = settle(limits, stored, series.fresh, overrule, counter=is_counter(register.channel), again=again)
        self.verdicts.update(settlement.verdicts)
        behind = {(item.source, item.at): self.readings[item.place] for item in series.fresh}
        return Change(register.id, settlement, behind)

    def _renew_verdicts(self, changes: Sequence[Change]) -> None:
        """A total's judgement may have changed after its verdict was given."""
        rows = {
            (change.register_id, row.source, row.at): row for change in changes for row in written(change.settlement)
        }
        for (register_id, _), series in self.series.items():
            for item in series.fresh:
                verdict, row = self.verdicts[item.place], rows.get((register_id, item.source, item.at))
                if row is not None and verdict.fate in (Fate.STORED, Fate.SUPERSEDED):
                    self.verdicts[item.place] = Verdict(verdict.fate, row.quality, row.reasons)

    async def _write_the_rest(self) -> None:
        refused = [
            _refused(self.readings, place, verdict)
            for place, verdict in self.verdicts.items()
            if verdict.fate is Fate.QUARANTINED
        ]
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
                reject = Reject("unknown_register", detail, kept_of(item, delivery), item.meter, item.channel)
                refused.append((delivery.origin, reject))
            elif (foreign := _foreign(item.meter, card, delivery.gateway)) is not None:
                reject = Reject(*foreign, kept_of(item, delivery), item.meter, item.channel)
                refused.append((delivery.origin, reject))
            else:
                rows.append((card.register.id, item))
        await self.work.write_intervals(rows, self.received_at)
        return refused

    def outcomes(self) -> list[Outcome]:
        """One outcome a delivery; whatever has no verdict of its own simply followed."""
        answers, place = [], 0
        for delivery in self.deliveries:
            verdicts = [FOLLOWED] * len(delivery.readings)
            answers.append(Outcome(verdicts, len(delivery.rejects)))
            if self.verdicts:
                for number in range(len(verdicts)):
                    verdicts[number] = self.verdicts.get(place + number, FOLLOWED)
            place += len(verdicts)
        return answers


def _refusal(
    reading: Reading, card: Card | None, gateway: str | None, known_meters: Iterable[str]
) -> tuple[str, str] | None:
    """Why a reading has no register it may go to: a stable code and what to do; None when it has one."""
    if card is None:
        if reading.meter not in known_meters:
            return (
                "unknown_meter",
                f"meter {reading.meter!r} is not in the fleet; add it by 'amr fleet apply' and replay",
            )
        return "unknown_channel", f"meter {reading.meter!r} has no register {reading.channel!r}; add it to its model"
    return _foreign(reading.meter, card, gateway)


def _foreign(meter: str, card: Card, gateway: str | None) -> tuple[str, str] | None:
    """Why this gateway may not speak for this meter; None when it may."""
    if gateway is None or card.gateway == gateway:
        return None
    owner = f"gateway {card.gateway!r}" if card.gateway else "no gateway"
    return "foreign_meter", f"gateway {gateway!r} spoke for meter {meter!r}, which belongs to {owner}"


def _refused(readings: Pile, place: int, verdict: Verdict) -> tuple[str, Reject]:
    """A reading that goes to quarantine, raw or written out, with its origin."""
    reading, delivery = readings[place], readings.delivery(place)
    raw = kept_of(reading, delivery)
    return delivery.origin, Reject(verdict.code, verdict.detail, raw, reading.meter, reading.channel)
