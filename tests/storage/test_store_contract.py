"""The store in memory that tests of the door stand on is held to PostgreSQL: the same deliveries, the same tables."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import permutations
from random import Random
from typing import Any

import pytest

from ingest.delivery import Contact, Delivery, Outcome, Reject
from ingest.instants import micros
from ingest.intake import Intake
from ingest.model import IntervalReading, Reading, Reason, RegisterSpec, Source
from storage.database import Database
from storage.readings import PostgresStore
from tests.ingest.memory_store import MemoryStore, spec
from tests.ingest.messy import MACHINE, messy
from tests.ingest.point import LATER, START, reading
from tests.storage.rows import LONG_AGO, install

ZONES = [RegisterSpec(channel, 6, 2, Decimal(15)) for channel in ("1.8.0", "1.8.1", "1.8.2")]
EVERYBODY = (Source.AUTOMATIC, Source.AUTOMATIC, Source.IMPORT, Source.CONSUMER, Source.INSPECTION, Source.ESTIMATE)
CONSUMER = Source.CONSUMER


class Both:
    """Every delivery goes through two doors; what is stored behind them must be the same."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.memory = MemoryStore()
        self.now = LATER
        self.doors = [Intake(store, now=lambda: self.now) for store in (self.memory, PostgresStore(database))]

    async def install(self, serial: str, specs: Sequence[RegisterSpec], *, gateway: str | None = None) -> None:
        self.memory.install(serial, specs, since=LONG_AGO, gateway=gateway)
        await install(self.database, serial, specs, gateway=gateway)

    async def accept(self, delivery: Delivery, *, doubtful: bool = True) -> Outcome:
        outcomes = [await door.accept(delivery, doubtful=doubtful) for door in self.doors]
        assert outcomes[0] == outcomes[1]
        return outcomes[0]

    async def give(self, *readings: Reading, **more: Any) -> Outcome:
        return await self.accept(Delivery("test", readings, **more))

    async def same(self) -> dict[str, Any]:
        """Everything stored, which is the same on both sides."""
        real, imagined = await _real(self.database), _imagined(self.memory)
        assert imagined == real
        return real


async def _real(database: Database) -> dict[str, Any]:
    where = "JOIN register r ON r.id = x.register_id JOIN meter m ON m.id = r.meter_id"
    at = "(extract(epoch FROM x.taken_at) * 1000000)::bigint"
    queries = {
        "rows": f"SELECT m.serial, r.channel, x.source, {at}, x.value, x.quality, x.reasons FROM reading x {where}",
        "watched": f"SELECT m.serial, r.channel, x.source, {at} FROM discontinuity x {where}",
        "rejudged": f"""SELECT m.serial, r.channel, x.source, {at}, x.old_quality, x.old_reasons, x.new_quality,
            x.new_reasons FROM rejudgement x {where}""",
        "superseded": f"""SELECT m.serial, r.channel, x.source, {at}, x.value, coalesce(x.author, ''),
            coalesce(x.superseded_by, '') FROM superseded_reading x {where}""",
        "entries": f"""SELECT m.serial, r.channel, x.source, {at}, coalesce(x.author, ''), coalesce(x.note, '')
            FROM entry x {where}""",
        "people": "SELECT m.serial, r.channel FROM register r JOIN meter m ON m.id = r.meter_id WHERE r.people",
        "ends": f"SELECT m.serial, r.channel, x.source, {at}, x.value, x.calm FROM newest x {where}",
        "intervals": f"""SELECT m.serial, r.channel, x.source, (extract(epoch FROM x.start) * 1000000)::bigint,
            x.seconds, x.energy FROM interval_reading x {where}""",
        "quarantine": "SELECT origin, reason, raw, coalesce(meter, ''), coalesce(channel, ''), times FROM quarantine",
        "contacts": """SELECT m.serial, tried_at, coalesce(answered_at, 'epoch'), coalesce(failure, ''), failed_turns
            FROM last_contact JOIN meter m ON m.id = meter_id""",
        "zone events": "SELECT m.serial, at FROM event JOIN meter m ON m.id = meter_id WHERE kind = 'zone_sum'",
    }
    async with database.connection() as conn:
        return {name: sorted(await (await conn.execute(sql.encode())).fetchall()) for name, sql in queries.items()}


def _imagined(store: MemoryStore) -> dict[str, Any]:
    names = {register.id: key for key, register in store.registers.items()}
    tables = store.tables
    found: dict[str, list[tuple[Any, ...]]] = {
        "rows": [(*names[n], s, at, row.value, row.quality, row.reasons) for (n, s, at), row in tables.rows.items()],
        "watched": [(*names[n], s, at) for n, s, at in tables.watched],
        "rejudged": [(*names[n], s, at, *changed) for (n, s, at), *changed in tables.rejudged],
        "superseded": [(*names[n], s, at, v, a or "", by or "") for (n, s, at), v, a, by in tables.superseded],
        "entries": [(*names[n], s, at, a or "", note or "") for (n, s, at), (a, note) in tables.entries.items()],
        "people": [names[n] for n in tables.people],
        "ends": [(*names[n], s, end.at, end.value, end.calm) for (n, s), end in tables.ends.items()],
        "intervals": [
            (*names[n], s, at, length.total_seconds(), energy)
            for (n, s, at), (length, energy) in tables.intervals.items()
        ],
        "quarantine": [(o, r, raw, m or "", c or "", times) for (o, r, raw, m, c), times in tables.quarantine.items()],
        "contacts": [
            (m, tried, answered or datetime(1970, 1, 1, tzinfo=UTC), failure or "", turns)
            for m, (tried, answered, failure, turns) in tables.contacts.items()
        ],
        "zone events": list(tables.zone_events),
    }
    return {name: sorted(rows) for name, rows in found.items()}


@pytest.fixture
def both(database: Database) -> Both:
    return Both(database)


async def test_a_series_grows_wraps_spikes_and_restarts(both: Both) -> None:
    await both.install("m1", [spec()])
    for number, value in enumerate((999_998, 999_999, 1, 2, 9000, 3, 4, 0, 1, 2, 2, 2, 2, 60, 61)):
        await both.give(reading(number, value))
    found = await both.same()
    assert len(found["rows"]) == 15
    assert found["rejudged"]


@pytest.mark.parametrize("seed", range(6))
async def test_anything_in_any_order(both: Both, seed: int) -> None:
    await both.install("m1", [spec()])
    rng = Random(seed)
    readings = messy(rng, 60, faults=0.1, sources=MACHINE if seed < 2 else EVERYBODY)
    rng.shuffle(readings)
    readings += readings[:10]
    while readings:
        size = rng.choice([1, 1, 4, 12])
        await both.give(*readings[:size])
        del readings[:size]
    await both.same()


async def test_people_correct_and_are_disputed(both: Both) -> None:
    await both.install("m1", [spec()])
    await both.give(reading(0, 100), reading(24, 110))
    for value, author in ((105, "ivanov"), (106, "petrova"), (500, "ivanov"), (500, "ivanov")):
        await both.give(
            Reading("m1", "1.8.0", START + timedelta(hours=12), Decimal(value), CONSUMER, None, author, "a note")
        )
    twice = [
        Reading("m1", "1.8.0", START + timedelta(hours=18), Decimal(value), Source.OPERATOR, None, author)
        for value, author in ((107, "one"), (108, "two"), (109, "three"))
    ]
    await both.give(*twice)
    found = await both.same()
    assert [row[4] for row in found["superseded"]] == [107 * 10**6, 108 * 10**6, 105 * 10**6, 106 * 10**6]
    assert found["people"] == [("m1", "1.8.0")]


async def test_an_automatic_reading_may_make_another_suspect_that_spoke_against_a_person(both: Both) -> None:
    await both.install("m1", [spec()])
    await both.give(reading(0, 100), reading(1, 101), reading(5, 900))
    await both.give(reading(6, 103, source=CONSUMER))
    await both.give(reading(7, 104), reading(8, 105))
    found = await both.same()
    assert [row[5:] for row in found["rows"] if row[2] == CONSUMER] == [(0, 0)]


async def test_a_doubtful_submission_leaves_nothing(both: Both) -> None:
    await both.install("m1", [spec()])
    await both.give(reading(0, 100, source=CONSUMER))
    outcome = await both.accept(Delivery("api", (reading(1, 99, source=CONSUMER),)), doubtful=False)
    assert not outcome.stored
    assert len((await both.same())["rows"]) == 1


async def test_zones_that_do_not_sum_up_in_any_order_and_with_few_decimals(both: Both) -> None:
    await both.install("m1", ZONES)
    by_hour = [
        (0, "100", "60", "40"),
        (1, "101.02", "60.5", "40.5"),
        (2, "103", "61", "41"),
        (3, "103.5", "62", "41.5"),
    ]
    total, day, night = ([reading(row[0], row[n + 1], channel=f"1.8.{n}") for row in by_hour] for n in range(3))
    await both.give(*total[:2])
    await both.give(*day)
    await both.give(*night)
    await both.give(*total[2:])
    found = await both.same()
    assert [row[3] for row in found["rows"] if row[6] == 32] == [micros(START + timedelta(hours=2))]
    assert len(found["zone events"]) == 1


@pytest.mark.parametrize("typed_first", [False, True])
async def test_a_total_that_its_zones_do_not_sum_to_disputes_what_people_type_in_any_order(
    both: Both, typed_first: bool
) -> None:
    await both.install("m1", ZONES)
    machines = [reading(1, value, channel=f"1.8.{n}") for n, value in enumerate(("103", "61", "41"))]
    typed = reading(2, 90, source=CONSUMER)
    for given in ([typed], machines) if typed_first else (machines, [typed]):
        await both.give(*given)
    found = await both.same()
    assert sorted(row[6] for row in found["rows"]) == [0, 0, 32, 64]


@pytest.mark.parametrize("order", list(permutations(range(3))), ids=str)
async def test_what_was_imported_disputes_what_people_type_in_any_order(both: Both, order: tuple[int, ...]) -> None:
    """Also with an automatic reading at the same instant, and where one of the imported ones is itself disbelieved."""
    await both.install("m1", [spec()])
    imported = [reading(hour, value, source=Source.IMPORT) for hour, value in ((0, 100), (1, 101), (2, 999), (3, 102))]
    automatic = [reading(2, 101), reading(3, 102)]
    typed = [reading(0.5, 90, source=CONSUMER), reading(2.5, 101, source=CONSUMER)]
    given = (imported, automatic, typed)
    for place in order:
        await both.give(*given[place])
    found = await both.same()
    assert [(row[3], row[6]) for row in found["rows"] if row[2] == CONSUMER] == [
        (micros(START + timedelta(hours=0.5)), int(Reason.DISPUTED)),
        (micros(START + timedelta(hours=2.5)), 0),
    ]


async def test_refusals_contacts_and_profiles(both: Both) -> None:
    await both.install("m1", [spec()], gateway="gw-1")
    await both.give(reading(0, 100), gateway="gw-2", raw=b"foreign")
    await both.give(reading(0, 100, serial="m9"), reading(0, 1, channel="2.8.0"), gateway="gw-1")
    await both.give(reading(0, 100), gateway="gw-1")
    await both.give(reading(0, 101), gateway="gw-1", raw=b"another value")
    half_hour = timedelta(minutes=30)
    profile = [IntervalReading("m1", "1.8.0", START + n * half_hour, half_hour, Decimal("0.25")) for n in range(3)]
    await both.accept(Delivery("test", intervals=[*profile, *profile]))
    silent = [Contact("m1", START + n * half_hour, "timeout" if n % 3 else None) for n in range(6)]
    await both.accept(Delivery("test", rejects=[Reject("malformed", "x", b"raw")] * 2, contacts=silent[::-1]))
    await both.accept(Delivery("test", contacts=[silent[0], Contact("m9", START)]))
    strange = [Contact("m1", START + timedelta(days=1), "timeout", gateway="gw-2")]
    later = IntervalReading("m1", "1.8.0", START + timedelta(days=1), half_hour, Decimal("0.25"))
    await both.accept(Delivery("strange profile", intervals=[later], contacts=strange, gateway="gw-2"))
    own = Contact("m1", START + timedelta(hours=20), "busy", gateway="gw-1")
    await both.accept(Delivery("test", contacts=[own], gateway="gw-1"))
    found = await both.same()
    assert {row[1] for row in found["quarantine"]} == {
        "foreign_meter", "unknown_meter", "unknown_channel", "conflict", "malformed"
    }  # fmt: skip
    assert len(found["intervals"]) == 3
    assert [row for row in found["quarantine"] if row[0] == "strange profile"]
    assert [row[3] for row in found["contacts"]] == ["busy"]


async def test_readings_that_cannot_be_now_or_here(both: Both) -> None:
    await both.install("m1", [spec()])
    both.now = START + timedelta(hours=3)
    early = Reading("m1", "1.8.0", LONG_AGO - timedelta(days=1), Decimal(5))
    drifted = Reading("m1", "1.8.0", START, Decimal(100), captured_at=START + timedelta(hours=2))
    late = Reading("m1", "1.8.0", START, Decimal(100), CONSUMER, captured_at=START + timedelta(hours=2))
    await both.give(early, drifted, late, reading(50, 105), reading(1, 10**6), reading(2, 101))
    found = await both.same()
    assert sorted(row[6] for row in found["rows"]) == [0, 0, 8, 16, 128, 256]
