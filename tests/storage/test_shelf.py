"""What the history says it has of a meter, and the gaps it keeps: on a real database."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from ingest.delivery import Delivery
from ingest.errors import NotFound
from ingest.gaps import Gap, Held, Wanted
from ingest.intake import Intake
from ingest.model import IntervalReading, Reading, RegisterSpec, Source
from storage.database import Database
from storage.gaps import missing
from storage.readings import PostgresStore
from storage.shelf import Shelf
from tests.storage.rows import install

SPECS = (RegisterSpec("2.8.0"), RegisterSpec("1.8.0"), RegisterSpec("32.7.0"))
NOW = datetime(2026, 11, 20, 9, tzinfo=UTC)
STOOD = NOW - timedelta(days=30)
HALF, HOUR, DAY = timedelta(minutes=30), timedelta(hours=1), timedelta(days=1)
MIDNIGHTS = tuple(datetime(2026, 11, day, 20, tzinfo=UTC) for day in (17, 18, 19))
PROFILE = Wanted(MIDNIGHTS, NOW - 3 * DAY, NOW)
POLLS = replace(PROFILE, apart=HOUR)


@pytest.fixture
async def shelf(database: Database) -> Shelf:
    await install(database, "m1", SPECS, zone="Europe/Samara", since=STOOD)
    return Shelf(database)


async def put(
    database: Database,
    instants: Sequence[datetime],
    channel: str = "1.8.0",
    source: Source = Source.AUTOMATIC,
    intervals: Sequence[datetime] = (),
) -> None:
    energy = Decimal("0.25")
    outcome = await Intake(PostgresStore(database)).accept(
        Delivery(
            "test",
            readings=[Reading("m1", channel, at, Decimal(100), source) for at in instants],
            intervals=[IntervalReading("m1", "1.8.0", at, HALF, energy) for at in intervals],
        )
    )
    assert outcome.rejected == 0


async def test_nothing_is_wanted_of_a_meter_that_never_stood(database: Database) -> None:
    async with database.connection() as conn:
        await conn.execute("INSERT INTO meter (serial, model) VALUES ('spare', 'test')")
    assert await Shelf(database).held("spare", PROFILE) == Held(None)
    assert await Shelf(database).held("nobody's", PROFILE) == Held(None)


async def test_a_midnight_is_held_by_an_energy_read_automatically_at_that_instant(
    shelf: Shelf, database: Database
) -> None:
    assert await shelf.held("m1", PROFILE) == Held(STOOD, set(), set())
    await put(database, [MIDNIGHTS[0]], "2.8.0")
    await put(database, [MIDNIGHTS[1]], "32.7.0")
    await put(database, [MIDNIGHTS[2]], source=Source.IMPORT)
    await put(database, [MIDNIGHTS[2] + timedelta(minutes=7)])
    assert (await shelf.held("m1", PROFILE)).midnights == {MIDNIGHTS[0]}


async def test_intervals_are_held_by_their_starts_within_the_span(shelf: Shelf, database: Database) -> None:
    starts = [PROFILE.since - HALF, PROFILE.since, NOW - HALF, NOW]
    await put(database, [], intervals=starts)
    assert (await shelf.held("m1", PROFILE)).intervals == set(starts[1:3])
    assert (await shelf.held("m1", POLLS)).intervals == ()


async def test_nothing_is_wanted_of_what_was_thinned_on_purpose(shelf: Shelf, database: Database) -> None:
    async with database.connection() as conn:
        await conn.execute(
            "INSERT INTO retention (thinned_until, ran_at, removed) VALUES (%s, %s, 0)", (NOW - 9 * DAY, NOW)
        )
    assert (await shelf.held("m1", PROFILE)).since == NOW - 9 * DAY


async def test_silences_are_told_from_reading_to_reading(shelf: Shelf, database: Database) -> None:
    assert await shelf.held("m1", POLLS) == Held(STOOD, set())
    before, after = NOW - 5 * DAY, NOW - 2 * DAY
    regular = [after + step * HALF for step in range(48)]
    await put(database, [before, *regular, NOW - HALF])
    found = await shelf.held("m1", POLLS)
    assert found.silences == [(before, after), (regular[-1], NOW - HALF)]
    assert found.last == NOW - HALF
    await put(database, [NOW - HALF - step * HALF for step in range(1, 60)])
    assert (await shelf.held("m1", POLLS)).silences == [(before, after)]


async def test_a_meter_never_read_before_is_silent_from_where_the_look_began(shelf: Shelf, database: Database) -> None:
    await put(database, [NOW - HALF])
    assert (await shelf.held("m1", POLLS)).silences == [(POLLS.since, NOW - HALF)]
    early = replace(POLLS, since=STOOD - DAY)
    assert (await shelf.held("m1", early)).silences == [(STOOD, NOW - HALF)]


async def test_a_register_that_is_no_longer_read_tells_of_no_silence(shelf: Shelf, database: Database) -> None:
    polls = [POLLS.since + step * HALF for step in range(143)]
    await put(database, polls, "2.8.0")
    await put(database, polls[:50], "1.8.0")
    assert (await shelf.held("m1", POLLS)).silences == []


async def test_what_stays_missing_is_kept_look_after_look(shelf: Shelf, database: Database) -> None:
    silence = Gap(NOW - 2 * DAY, NOW - DAY, "polls", "no_memory")
    midnight = Gap(MIDNIGHTS[0], MIDNIGHTS[0], "day", "too_old")
    await shelf.lost("m1", [silence, midnight], POLLS)
    async with database.connection() as conn:
        found = await missing(conn)
        assert [(one.point, one.zone, one.meter, one.gap) for one in found] == [
            ("MP-m1", "Europe/Samara", "m1", midnight),
            ("MP-m1", "Europe/Samara", "m1", silence),
        ]
        assert await missing(conn, "m1") == await missing(conn, "MP-m1") == found
        with pytest.raises(NotFound, match="neither a point's code"):
            await missing(conn, "MP-m2")
    first = found[1].found_at
    later = replace(POLLS, midnights=(), since=NOW - 3 * HOUR)
    await shelf.lost("m1", [], later)
    longer = replace(silence, end=NOW)
    await shelf.lost("m1", [longer], POLLS)
    async with database.connection() as conn:
        found = await missing(conn, "MP-m1")
    assert [(one.gap, one.found_at) for one in found] == [(longer, first)]
    await shelf.lost("m1", [], POLLS)
    async with database.connection() as conn:
        assert await missing(conn) == []
    await shelf.lost("nobody's", [silence], POLLS)
