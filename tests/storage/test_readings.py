"""The write path on a real server: what is stored, judged again, superseded, quarantined, and what races leave."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from ingest.delivery import Contact, Delivery, Fate, Reject
from ingest.intake import Intake
from ingest.model import IntervalReading, Quality, Reading, Reason, RegisterSpec, Source
from storage.database import Database
from storage.readings import PostgresStore
from tests.storage.rows import install

START = datetime(2026, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
TOTAL = RegisterSpec("1.8.0", digits=6, decimals=3, max_rate=Decimal(10))


def reading(hours: float, value: str, *, source: Source = Source.AUTOMATIC, **more: Any) -> Reading:
    return Reading("m1", more.pop("channel", "1.8.0"), START + hours * HOUR, Decimal(value), source, **more)


def delivery(*readings: Reading, **more: Any) -> Delivery:
    return Delivery("test:1", readings, **more)


async def rows(database: Database, sql: str) -> list[Any]:
    async with database.connection() as conn:
        return await (await conn.execute(sql.encode())).fetchall()


async def history(database: Database) -> list[tuple[float, str, int, list[str]]]:
    """(hours, value in kWh, quality, reasons) of everything stored, by time."""
    found = await rows(database, "SELECT taken_at, value, quality, reasons FROM reading ORDER BY taken_at, source")
    return [
        ((at - START) / HOUR, f"{Decimal(value) / 10**6:.3f}", quality, Reason(reasons).labels)
        for at, value, quality, reasons in found
    ]


async def test_a_batch_is_stored_exactly_and_repeats_change_nothing(database: Database) -> None:
    await install(database, "m1", [TOTAL])
    intake = Intake(PostgresStore(database))
    first = await intake.accept(delivery(reading(0, "100.001"), reading(1, "100.501")))
    again = await intake.accept(delivery(reading(1, "100.501"), reading(0, "100.001")))
    assert [v.fate for v in first.verdicts] == [Fate.STORED] * 2
    assert [v.fate for v in again.verdicts] == [Fate.REPEATED] * 2
    assert await history(database) == [(0, "100.001", 0, []), (1, "100.501", 0, [])]


async def test_another_value_from_a_device_for_the_same_instant_is_quarantined(database: Database) -> None:
    await install(database, "m1", [TOTAL])
    intake = Intake(PostgresStore(database))
    await intake.accept(delivery(reading(0, "100")))
    outcome = await intake.accept(delivery(reading(0, "101"), raw=b"the raw message"))
    assert [(v.fate, v.code) for v in outcome.verdicts] == [(Fate.QUARANTINED, "conflict")]
    assert await rows(database, "SELECT reason, raw, meter, channel FROM quarantine") == [
        ("conflict", b"the raw message", "m1", "1.8.0")
    ]
    assert await history(database) == [(0, "100.000", 0, [])]


async def test_a_spike_is_suspect_and_the_series_goes_on(database: Database) -> None:
    await install(database, "m1", [TOTAL])
    intake = Intake(PostgresStore(database))
    for hour, value in enumerate(("100", "101", "9000", "102", "103")):
        await intake.accept(delivery(reading(hour, value)))
    assert [row[2:] for row in await history(database)] == [(0, []), (0, []), (2, ["above_max_rate"]), (0, []), (0, [])]


async def test_a_restart_from_zero_is_believed_after_one_more_reading_and_the_change_is_recorded(
    database: Database,
) -> None:
    await install(database, "m1", [TOTAL])
    intake = Intake(PostgresStore(database))
    for hour, value in enumerate(("100", "101", "0")):
        outcome = await intake.accept(delivery(reading(hour, value)))
    assert outcome.verdicts[0].reasons == Reason.BELOW_PREVIOUS
    await intake.accept(delivery(reading(3, "1")))
    assert [row[2] for row in await history(database)] == [0, 0, 0, 0]
    assert await rows(database, "SELECT old_quality, old_reasons, new_quality, new_reasons FROM rejudgement") == [
        (2, int(Reason.BELOW_PREVIOUS), 0, 0)
    ]
    watched = await rows(database, "SELECT taken_at FROM discontinuity ORDER BY taken_at")
    assert START + 2 * HOUR in {at for (at,) in watched}


async def test_order_of_arrival_does_not_matter(database: Database) -> None:
    values = ["100", "101", "9000", "102", "103", "0", "104", "105", "0.5", "1.5", "2.5"]
    await install(database, "m1", [TOTAL])
    intake = Intake(PostgresStore(database))
    await intake.accept(delivery(*(reading(hour, value) for hour, value in enumerate(values))))
    expected = await history(database)
    async with database.connection() as conn:
        await conn.execute("DELETE FROM reading")
    for hour in (5, 0, 10, 3, 8, 1, 9, 2, 7, 4, 6):
        await intake.accept(delivery(reading(hour, values[hour])))
    assert await history(database) == expected
    assert [row[2] for row in expected] == [0, 0, 2, 0, 0, 2, 0, 0, 0, 0, 0]


async def test_a_correction_by_a_person_supersedes_and_history_keeps_both(database: Database) -> None:
    await install(database, "m1", [TOTAL])
    intake = Intake(PostgresStore(database))
    await intake.accept(delivery(reading(0, "100", source=Source.CONSUMER, author="ivanov")))
    outcome = await intake.accept(delivery(reading(0, "110", source=Source.CONSUMER, author="petrova", note="typo")))
    assert outcome.verdicts[0].fate is Fate.SUPERSEDED
    assert await history(database) == [(0, "110.000", 0, [])]
    assert await rows(database, "SELECT value, author, superseded_by FROM superseded_reading") == [
        (100_000_000, "ivanov", "petrova")
    ]
    assert await rows(database, "SELECT author, note FROM entry") == [("petrova", "typo")]


async def test_a_doubtful_value_is_not_kept_unless_confirmed(database: Database) -> None:
    await install(database, "m1", [TOTAL])
    intake = Intake(PostgresStore(database))
    await intake.accept(delivery(reading(0, "100", source=Source.CONSUMER)))
    asked = delivery(reading(24, "90", source=Source.CONSUMER))
    outcome = await intake.accept(asked, doubtful=False)
    assert not outcome.stored
    assert outcome.verdicts[0].reasons == Reason.BELOW_PREVIOUS
    assert len(await history(database)) == 1
    assert (await intake.accept(asked)).stored
    assert (await history(database))[-1] == (24, "90.000", 2, ["below_previous"])


async def test_people_are_compared_with_automatic_readings_by_the_coarser_precision(database: Database) -> None:
    await install(database, "m1", [TOTAL])
    intake = Intake(PostgresStore(database))
    await intake.accept(delivery(reading(0, "100.9"), reading(2, "101.4")))
    fine = await intake.accept(delivery(reading(1, "101", source=Source.CONSUMER)))
    wrong = await intake.accept(delivery(reading(1.5, "110", source=Source.OPERATOR)))
    assert fine.verdicts[0].quality is Quality.GOOD
    assert wrong.verdicts[0].reasons == Reason.DISPUTED


async def test_an_automatic_reading_that_comes_later_disputes_a_person(database: Database) -> None:
    await install(database, "m1", [TOTAL])
    intake = Intake(PostgresStore(database))
    outcome = await intake.accept(delivery(reading(10, "150", source=Source.CONSUMER)))
    assert outcome.verdicts[0].quality is Quality.GOOD
    await intake.accept(delivery(reading(9, "100"), reading(11, "100.2")))
    assert (10, "150.000", 2, ["disputed"]) in await history(database)


async def test_a_total_that_its_zones_do_not_sum_to_is_suspect_however_they_arrive(database: Database) -> None:
    specs = [RegisterSpec(channel, 6, 2, Decimal(10)) for channel in ("1.8.0", "1.8.1", "1.8.2")]
    await install(database, "m1", specs)
    intake = Intake(PostgresStore(database))
    total = await intake.accept(delivery(reading(0, "100")))
    assert total.verdicts[0].quality is Quality.GOOD
    await intake.accept(delivery(reading(0, "60", channel="1.8.1"), reading(0, "30", channel="1.8.2")))
    assert await rows(database, "SELECT count(*) FROM reading WHERE reasons = 32 AND quality = 2") == [(1,)]
    assert await rows(database, "SELECT kind FROM event") == [("zone_sum",)]
    fine = await intake.accept(
        delivery(reading(1, "101"), reading(1, "61", channel="1.8.1"), reading(1, "40", channel="1.8.2"))
    )
    assert {v.quality for v in fine.verdicts} == {Quality.GOOD}


async def test_unknown_meters_channels_and_foreign_gateways_are_quarantined_and_the_rest_is_kept(
    database: Database,
) -> None:
    await install(database, "m1", [TOTAL], gateway="gw-1")
    intake = Intake(PostgresStore(database))
    stranger = Reading("m9", "1.8.0", START, Decimal(1))
    outcome = await intake.accept(delivery(stranger, reading(0, "1", channel="2.8.0"), reading(0, "5"), gateway="gw-1"))
    foreign = await intake.accept(delivery(reading(1, "6"), gateway="gw-2"))
    assert [v.code for v in outcome.verdicts] == ["unknown_meter", "unknown_channel", ""]
    assert [v.code for v in foreign.verdicts] == ["foreign_meter"]
    assert len(await history(database)) == 1


async def test_the_queue_answers_after_the_commit_with_rejects_contacts_and_profiles(database: Database) -> None:
    await install(database, "m1", [TOTAL])
    intake = Intake(PostgresStore(database), max_wait=0.01)
    task = asyncio.create_task(intake.run())
    profile = IntervalReading("m1", "1.8.0", START, timedelta(minutes=30), Decimal("0.25"))
    await intake.put(delivery(contacts=[Contact("m1", START, "timeout", "no answer in 1 s")]))
    done = await intake.put(
        delivery(
            reading(0, "5"),
            rejects=[Reject("malformed", "no field 'meter'", b"\x00raw"), Reject("malformed", "again", b"\x00raw")],
            contacts=[Contact("m1", START + HOUR)],
            intervals=[profile],
        )
    )
    assert (await done).counts() == {Fate.STORED: 1}
    assert await rows(database, "SELECT raw, times FROM quarantine") == [(b"\x00raw", 2)]
    assert await rows(database, "SELECT answered_at, failure, failed_turns FROM last_contact") == [
        (START + HOUR, None, 0)
    ]
    assert await rows(database, "SELECT seconds, energy FROM interval_reading") == [(1800, 250_000)]
    task.cancel()


async def test_two_writers_of_the_same_keys_neither_deadlock_nor_lose(database: Database) -> None:
    await install(database, "m1", [TOTAL])
    stores = [Intake(PostgresStore(database)) for _ in range(4)]
    batch = [reading(hour, str(hour)) for hour in range(50)]
    outcomes = await asyncio.gather(
        *(store.accept(delivery(*(batch if n % 2 else reversed(batch)))) for n, store in enumerate(stores))
    )
    assert sum(outcome.counts()[Fate.STORED] for outcome in outcomes) == 50
    assert sum(outcome.counts()[Fate.REPEATED] for outcome in outcomes) == 150
    assert [row[2] for row in await history(database)] == [0] * 50
