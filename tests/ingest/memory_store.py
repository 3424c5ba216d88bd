"""A store in memory for tests of what stands before the database.

`tests/storage/test_store_contract.py` holds it and the real one to the same answers.
"""

from __future__ import annotations

import contextlib
import copy
from bisect import bisect_left, bisect_right
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from decimal import Decimal

from ingest.channel import is_counter, to_micro
from ingest.delivery import Contact, Reject
from ingest.instants import micros
from ingest.judge import OUTSIDE, REACH, limits_of, troubled_steps
from ingest.model import NO_REASON, IntervalReading, Quality, Reading, Reason, Register, RegisterSpec, Source
from ingest.settle import Row
from ingest.store import Appended, Card, Change, End, MovedEnd, Span, Stale

Key = tuple[int, Source, int]
MACHINES = (Source.AUTOMATIC, Source.IMPORT)


@dataclass(slots=True)
class Tables:
    """Everything that is committed or given up together."""

    rows: dict[Key, Row] = field(default_factory=dict)
    watched: set[Key] = field(default_factory=set)
    rejudged: list[tuple[Key, Quality, Reason, Quality, Reason]] = field(default_factory=list)
    superseded: list[tuple[Key, int, str | None, str | None]] = field(default_factory=list)
    entries: dict[Key, tuple[str | None, str | None]] = field(default_factory=dict)
    people: set[int] = field(default_factory=set)
    ends: dict[tuple[int, Source], End] = field(default_factory=dict)
    intervals: dict[Key, tuple[timedelta, int]] = field(default_factory=dict)
    quarantine: dict[tuple[str, str, bytes, str | None, str | None], int] = field(default_factory=dict)
    contacts: dict[str, tuple[datetime, datetime | None, str | None, int]] = field(default_factory=dict)
    zone_events: list[tuple[str, datetime]] = field(default_factory=list)

    def copy(self) -> Tables:
        """Another set of tables; what stands in them never changes."""
        return Tables(*(copy.copy(getattr(self, item.name)) for item in fields(self)))


class MemoryStore:
    """A fleet put in by `install` and the readings of it. `fail` is raised by the next transactions, one each."""

    def __init__(self) -> None:
        self.tables = Tables()
        self.registers: dict[tuple[str, str], Register] = {}
        self.gateways: dict[str, str | None] = {}
        self.fail: list[Exception] = []
        self.transactions = 0

    def install(
        self,
        serial: str,
        specs: Sequence[RegisterSpec],
        *,
        since: datetime | None = None,
        gateway: str | None = None,
    ) -> None:
        """One meter with its registers, standing somewhere since `since`."""
        self.gateways[serial] = gateway
        for spec in specs:
            number = len(self.registers) + 1
            self.registers[serial, spec.channel] = Register(
                number, serial, spec.channel, spec.digits, spec.decimals, spec.max_rate, since
            )

    @contextlib.asynccontextmanager
    async def batch(self) -> AsyncIterator[MemoryWork]:
        """One transaction: what it wrote is kept when the context is left without an error."""
        self.transactions += 1
        if self.fail:
            raise self.fail.pop(0)
        work = MemoryWork(self, self.tables.copy())
        yield work
        self.tables = work.tables

    def history(self, serial: str, channel: str) -> list[Row]:
        """Everything stored of one register, by time and source."""
        number = self.registers[serial, channel].id
        return [
            row for (register, source, at), row in sorted(self.tables.rows.items(), key=_by_time) if register == number
        ]


def _by_time(item: tuple[Key, Row]) -> tuple[int, int]:
    (_, source, at), _ = item
    return at, int(source)


class MemoryWork:
    """One open transaction (see `ingest.store.BatchWork`)."""

    def __init__(self, store: MemoryStore, tables: Tables) -> None:
        self.store = store
        self.tables = tables
        self.sorted: dict[tuple[int, Source, bool], tuple[list[int], list[Row]]] = {}

    async def fleet_version(self) -> int:
        return len(self.store.registers)

    async def cards(self, keys: Collection[tuple[str, str]]) -> Mapping[tuple[str, str], Card]:
        return {key: self._card(key) for key in keys if key in self.store.registers}

    def _card(self, key: tuple[str, str]) -> Card:
        serial, channel = key
        registers = self.store.registers
        quantity, kind, _ = channel.split(".")
        total = registers.get((serial, f"{quantity}.8.0"))
        zones = tuple(
            registers[serial, zone].id for n in range(1, 9) if (serial, zone := f"{quantity}.8.{n}") in registers
        )
        family = (total.id, zones) if kind == "8" and total and len(zones) > 1 else None
        members = [one.decimals for one in registers.values() if family and one.id in (family[0], *family[1])]
        return Card(registers[key], self.store.gateways[serial], family, min(members, default=3))

    async def meters(self, serials: Collection[str]) -> Collection[str]:
        return {serial for serial in serials if serial in self.store.gateways}

    async def ends(self, series: Sequence[tuple[int, Source]]) -> Mapping[tuple[int, Source], End]:
        return {key: self.tables.ends[key] for key in series if key in self.tables.ends}

    async def append(
        self, rows: Sequence[Appended], ends: Sequence[MovedEnd], fleet: int, received_at: datetime
    ) -> None:
        self.sorted.clear()
        if fleet != await self.fleet_version():
            raise Stale
        for register, source, at, value in rows:
            key = (register, Source(source), at)
            if key in self.tables.rows:
                raise Stale
            self.tables.rows[key] = Row(Source(source), at, value, Quality.GOOD, NO_REASON)
        for register, source, at, value, version in ends:
            end = self.tables.ends.get((register, Source(source)))
            if end is None or end.version != version:
                raise Stale
            self.tables.ends[register, Source(source)] = End(at, value, end.calm, version + 1)

    async def renew_ends(self, register_ids: Collection[int]) -> None:
        for register in (one for one in self.store.registers.values() if one.id in register_ids):
            for source in MACHINES:
                tail = self._series(register.id, source, near=True)[1][-2 * REACH - 1 :]
                if tail:
                    before = self.tables.ends.get((register.id, source))
                    version = 0 if before is None else before.version + 1
                    end = End(tail[-1].at, tail[-1].value, self._calm(register, tail), version)
                    self.tables.ends[register.id, source] = end

    def _calm(self, register: Register, tail: Sequence[Row]) -> bool:
        if register.id in self.tables.people:
            return False
        if not is_counter(register.channel):
            return True
        return not troubled_steps([row.at for row in tail], [row.value for row in tail], limits_of(register))

    async def lock(self, register_ids: Sequence[int], moved: Sequence[int] = ()) -> Collection[int]:
        return self.tables.people & set(register_ids)

    def _series(self, register_id: int, source: Source, *, near: bool = False) -> tuple[list[int], list[Row]]:
        """Instants and rows of one source of one register, by time; with `near` those that can be neighbours."""
        key = (register_id, source, near)
        if key not in self.sorted:
            rows = [row for (register, owner, _), row in self.tables.rows.items() if (register, owner) == key[:2]]
            kept = sorted((row for row in rows if not (near and row.reasons & OUTSIDE)), key=lambda row: row.at)
            self.sorted[key] = ([row.at for row in kept], kept)
        return self.sorted[key]

    async def surroundings(self, spans: Sequence[Span], reach: int) -> Mapping[Span, list[Row]]:
        found: dict[Span, list[Row]] = {}
        for span in spans:
            found[span] = []
            for source in span.sources:
                ats, rows = self._series(span.register_id, source)
                near_ats, near = self._series(span.register_id, source, near=True)
                first = bisect_left(near_ats, span.first)
                last = bisect_right(near_ats, span.last)
                inside = rows[bisect_left(ats, span.first) : bisect_right(ats, span.last)]
                found[span] += [*near[max(0, first - reach) : first], *inside, *near[last : last + reach]]
        return found

    async def machines_around(
        self, asks: Sequence[Key]
    ) -> Mapping[Key, tuple[tuple[int, int] | None, tuple[int, int] | None]]:
        found = {}
        for register, source, at in asks:
            rows = [row for row in self._series(register, source)[1] if not row.reasons & ~Reason.ZONE_SUM]
            before = [(row.at, row.value) for row in rows if row.at <= at]
            after = [(row.at, row.value) for row in rows if row.at > at]
            found[register, source, at] = (before[-1] if before else None, after[0] if after else None)
        return found

    async def at_instants(self, keys: Collection[Key]) -> Mapping[Key, Row]:
        return {key: self.tables.rows[key] for key in keys if key in self.tables.rows}

    async def write(self, changes: Sequence[Change], received_at: datetime) -> None:
        self.sorted.clear()
        for register, settlement, readings in changes:
            for row in settlement.inserted:
                self.tables.rows.setdefault((register, row.source, row.at), row)
            for before, after in settlement.rejudged:
                key = (register, before.source, before.at)
                self.tables.rejudged.append((key, before.quality, before.reasons, after.quality, after.reasons))
                self.tables.rows[key] = after
            for before, after in settlement.superseded:
                key = (register, before.source, before.at)
                author, _ = self.tables.entries.get(key, (None, None))
                by = readings[after.source, after.at].author
                self.tables.superseded.append((key, self.tables.rows[key].value, author, by))
                self.tables.rows[key] = after
            self.tables.watched |= {(register, source, at) for source, at in settlement.watched}
            self.tables.watched -= {(register, source, at) for source, at in settlement.unwatched}
        for register, settlement, readings in changes:
            anew = {(row.source, row.at) for row in settlement.inserted}
            anew |= {(row.source, row.at) for _, row in settlement.superseded}
            self._note_people(register, anew, readings)

    def _note_people(
        self, register: int, anew: Collection[tuple[Source, int]], readings: Mapping[tuple[Source, int], Reading]
    ) -> None:
        for (source, at), reading in readings.items():
            signed = reading.author is not None or reading.note is not None
            if (source, at) in anew and (source.by_person or signed):
                self.tables.entries[register, source, at] = (reading.author, reading.note)
                if source.by_person:
                    self.tables.people.add(register)

    async def write_intervals(self, rows: Sequence[tuple[int, IntervalReading]], received_at: datetime) -> None:
        for register, item in rows:
            key = (register, item.source, micros(item.start))
            self.tables.intervals.setdefault(key, (item.length, to_micro(item.energy)))

    async def quarantine(self, refused: Sequence[tuple[str, Reject]]) -> None:
        for origin, reject in refused:
            key = (origin, reject.reason, reject.raw, reject.meter, reject.channel)
            self.tables.quarantine[key] = self.tables.quarantine.get(key, 0) + 1

    async def contacts(self, contacts: Sequence[Contact]) -> None:
        for contact in sorted(contacts, key=lambda contact: (contact.meter, contact.tried_at)):
            owner = self.store.gateways.get(contact.meter)
            if contact.meter not in self.store.gateways or contact.gateway not in (None, owner):
                continue
            known = self.tables.contacts.get(contact.meter)
            if known is not None and contact.tried_at < known[0]:
                continue
            answered = contact.tried_at if contact.failure is None else known[1] if known else None
            failed = 0 if contact.failure is None else 1 + (known[3] if known else 0)
            self.tables.contacts[contact.meter] = (contact.tried_at, answered, contact.failure, failed)

    async def zone_mismatch(self, register_ids: Collection[int], at: datetime) -> None:
        serials = sorted({one.meter for one in self.store.registers.values() if one.id in register_ids})
        for serial in serials:
            if not any(meter == serial and at - since < timedelta(days=1) for meter, since in self.tables.zone_events):
                self.tables.zone_events.append((serial, at))


def spec(channel: str = "1.8.0", *, digits: int = 6, decimals: int = 3, rate: str = "15") -> RegisterSpec:
    """A register as household meters have it: 15 kWh an hour at most."""
    return RegisterSpec(channel, digits, decimals, Decimal(rate))
