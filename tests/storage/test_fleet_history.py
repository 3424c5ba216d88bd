"""A fleet file against stored history: what it may still correct, and what it may not."""

from __future__ import annotations

import re

import pytest

from ingest.errors import FleetConflict
from ingest.model import Quality, Source
from storage import fleet_history
from storage.database import Database
from tests.storage.fleet_rig import STREET, day, put, read, rows


async def conflicts(database: Database, document: str) -> list[str]:
    """The conflicts a file raises, by a dry run and in earnest; nothing may change."""
    before = await rows(database, "SELECT * FROM installation ORDER BY id")
    with pytest.raises(FleetConflict) as dry:
        await put(database, document, dry_run=True)
    with pytest.raises(FleetConflict) as caught:
        await put(database, document)
    assert str(caught.value) == str(dry.value)
    assert await rows(database, "SELECT * FROM installation ORDER BY id") == before
    first, *found = str(caught.value).splitlines()
    assert first == "this contradicts what is stored; nothing was changed:"
    return found


def said(found: list[str], *parts: str) -> bool:
    """Whether one conflict names all of these."""
    return any(all(part in conflict for part in parts) for conflict in found)


@pytest.fixture
async def street(database: Database) -> Database:
    """The street, with readings of the meter at p-1 and of the one taken down at p-2 (closing 812.5)."""
    await put(database, STREET)
    await read(database, "10000001", "1.8.0", day("2026-02-01"), "10.5")
    await read(database, "0042", "1.8.0", day("2026-01-31"), "812")
    await read(database, "10000002", "1.8.1", day("2026-02-02"), "1.5")
    return database


async def test_another_meter_where_one_stands(street: Database) -> None:
    found = await conflicts(
        street,
        '[[meter]]\nserial = "N"\nmodel = "sdm120"\n[[installation]]\npoint = "p-1"\nmeter = "N"\nsince = 2026-05-01\n',
    )
    assert said(found, "N at p-1", "meter 10000001 is stored at point p-1 since 2026-01-14", "amr meter exchange")


async def test_a_meter_that_stands_elsewhere(street: Database) -> None:
    found = await conflicts(street, '[[installation]]\npoint = "p-3"\nmeter = "10000001"\nsince = 2026-05-01\n')
    assert said(found, "10000001 at p-3", "the meter is stored at point p-1", "check the serial number")


@pytest.mark.parametrize(
    ("old", "new", "parts"),
    [
        ("ct = 40", "ct = 30", ("10000001 at p-1", "ct 30", "stored with 40", "2026-02-01", "amr meter ratio")),
        ('vt = "1.5"', "", ("10000001 at p-1", "vt 1", "stored with 1.5", "amr meter ratio")),
        ("since = 2026-01-15\nct", "since = 2026-01-16\nct", ("10000001 at p-1", "since", "keep the stored instant")),
        (
            'meter = "10000001"\nsince',
            'meter = "spare"\nsince',
            ("10000001 at p-1", "meter spare", "stored with 10000001", "amr meter exchange"),
        ),
        (
            'serial = "10000001"\nmodel = "sdm120"',
            'serial = "10000001"\nmodel = "m206"\nregisters = [{channel = "1.8.0", digits = 6, decimals = 2}]',
            ("meter 10000001", "model 'm206'", "stored as model 'sdm120'", "check the serial number"),
        ),
        ("digits = 5", "digits = 6", ("meter 0042", "register 1.8.0 with 6 digits", "stored with 5", "digits = 5")),
        (
            "until = 2026-02-01T12:30:00+03:00\nopening = {\"1.8.0\" = 0}\nclosing = {\"1.8.0\" = 812.5}",
            "",
            ("0042 at p-2", "stored as taken down", "closing readings", "amr fleet export"),
        ),
        ("812.5}", "811}", ("0042 at p-2", "closing 1.8.0 = 811", "below the automatic reading 812", "2026-01-31")),
        (
            "until = 2026-02-01T12:30:00+03:00",
            "until = 2026-01-20",
            ("0042 at p-2", "closing 1.8.0 = 812.5"),
        ),
        ('opening = {"1.8.0" = "0.25"}', 'opening = {"1.8.0" = 11}', ("opening 1.8.0 = 11 is above", "10.5")),
    ],
)  # fmt: skip
async def test_what_readings_forbid(street: Database, old: str, new: str, parts: tuple[str, ...]) -> None:
    await put(street, '[[meter]]\nserial = "spare"\nmodel = "sdm120"\n')
    if parts[-1] == "closing 1.8.0 = 812.5":
        await read(street, "0042", "1.8.0", day("2026-01-25"), "813")
    assert old in STREET
    document = STREET.replace(old, new, 1)
    if "0042" in parts[0] and "stored as taken down" in parts[1:]:
        # The newer installation is not in this file either: both contradictions are named.
        document = document[: document.rindex("[[installation]]")] + document[document.index("[[contract]]") :]
    found = await conflicts(street, document)
    assert said(found, *parts), found


async def test_what_readings_allow(street: Database) -> None:
    allowed = (
        STREET.replace("812.5}", "812}")
        .replace('{"1.8.0" = "0.25"}', '{"1.8.0" = 10}')
        .replace("decimals = 1", "decimals = 2")
        .replace('"7.5"', '"9"')
        .replace("address = 5", "address = 7")
    )
    difference = await put(street, allowed)
    assert re.findall("^~ .*$", difference.text(), re.MULTILINE) == [
        "~ meter 10000001",
        "~ meter 0042",
        "~ installation 10000001 at p-1, 2026-01-14T20:00:00+00:00",
        "~ installation 0042 at p-2, 2024-02-29T21:00:00+00:00",
    ]


async def test_readings_after_the_end_must_not_have_counted_on(street: Database) -> None:
    await read(street, "0042", "1.8.0", day("2026-02-10"), "812.5")
    assert not await put(street, STREET)
    await read(street, "0042", "1.8.0", day("2026-02-11"), "813.1")
    assert not await put(street, STREET)  # what is stored is not judged again
    found = await conflicts(street, STREET.replace("812.5}", "812.4}"))
    assert said(found, "closing 1.8.0 = 812.4", "automatic reading 812.5", "the meter still counted there")


async def test_an_end_without_a_closing_reading_is_the_last_one_before(street: Database) -> None:
    await read(street, "10000001", "1.8.0", day("2026-02-05"), "11")
    until = STREET.replace("since = 2026-01-15\nct", "since = 2026-01-15\nuntil = {}\nct")
    found = await conflicts(street, until.replace("{}", "2026-02-03", 1))
    assert said(found, "10000001 at p-1", "the end at 10.5", "automatic reading 11")
    assert await put(street, until.replace("{}", "2026-02-06", 1))


async def test_suspect_readings_and_the_decimals_of_people_do_not_count(street: Database) -> None:
    await read(street, "0042", "1.8.0", day("2026-01-31T10:00"), "99999", quality=Quality.SUSPECT)
    await read(street, "0042", "1.8.0", day("2026-01-31"), "813", source=Source.CONSUMER)
    assert await put(street, STREET.replace("812.5}", "812.4}"))


async def test_a_rollover_is_not_a_contradiction(street: Database) -> None:
    await read(street, "10000001", "1.8.0", day("2026-03-01"), "999999")
    until = 'since = 2026-01-15\nuntil = 2026-03-02\nclosing = {"1.8.0" = 3}\nct'
    assert await put(street, STREET.replace("since = 2026-01-15\nct", until))


async def test_unknown_digits_may_become_known_under_readings(database: Database) -> None:
    meter = '[[meter]]\nserial = "A"\nmodel = "own"\nregisters = [{{channel = "1.8.0"{}}}]\n'
    await put(database, meter.format(""))
    await read(database, "A", "1.8.0", day("2026-01-01"), "5")
    await put(database, meter.format(", digits = 6"))
    assert said(await conflicts(database, meter.format("")), "meter A", "any digits", "stored with 6")


async def test_a_contract_over_another_one(street: Database) -> None:
    later = '[[contract]]\nconsumer = "petrov"\npoint = "p-2"\nsince = 2026-04-01\n'
    await put(street, later)
    document = '[[contract]]\nconsumer = "petrov"\npoint = "p-2"\nsince = 2025-01-01\n'
    assert said(await conflicts(street, document), "contract petrov at p-2", "2026-03-31T21:00:00+00:00")


async def test_what_belongs_to_somebody_not_in_the_file(street: Database) -> None:
    found = await conflicts(
        street,
        """
        [[point]]
        code = "p-9"
        official_code = "631234567890"
        [[line]]
        name = "other"
        kind = "modbus-tcp"
        address = "10.0.0.7:502"
        [[meter]]
        serial = "N"
        model = "sdm120"
        line = "tp-101"
        address = 5
        """,
    )
    assert said(found, "meter N", "address '5' on line 'tp-101'", "stored meter 10000001")
    assert said(found, "point p-9", "631234567890", "stored point p-1")
    assert said(found, "line other", "10.0.0.7:502", "stored line tp-101")


async def test_an_exchange_by_file(street: Database) -> None:
    exchanged = STREET.replace(
        "since = 2026-01-15\nct", 'since = 2026-01-15\nuntil = 2026-05-01\nclosing = {"1.8.0" = "11"}\nct'
    )
    exchanged = exchanged.replace('line = "tp-101"\naddress = 5\n', "")
    exchanged += '[[meter]]\nserial = "N"\nmodel = "sdm120"\nline = "tp-101"\naddress = 5\n'
    exchanged += '[[installation]]\npoint = "p-1"\nmeter = "N"\nsince = 2026-05-01\nct = 40\nopening = {"1.8.0" = 3}\n'
    difference = await put(street, exchanged)
    assert difference.counts() == {"added": 2, "changed": 2, "unchanged": 10}
    assert not await put(street, exchanged)
    assert said(await conflicts(street, STREET), "10000001 at p-1", "closing readings")


async def test_a_new_ratio_by_file_under_readings_of_both(street: Database) -> None:
    await read(street, "10000001", "1.8.0", day("2026-06-01"), "50")
    halves = STREET.replace(
        "since = 2026-01-15\nct", 'since = 2026-01-15\nuntil = 2026-05-01\nclosing = {"1.8.0" = "11"}\nct'
    )
    halves += '[[installation]]\npoint = "p-1"\nmeter = "10000001"\nsince = 2026-05-01\nct = 60\n'
    assert (await put(street, halves)).counts() == {"added": 1, "changed": 1, "unchanged": 11}


async def test_readings_of_many_meters_are_looked_for_in_parts(
    street: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fleet_history, "_TOGETHER", 1)
    async with street.connection() as conn:
        found = await fleet_history.channels_with_readings(conn, ["0042", "10000001", "nobody", "10000002"])
    assert found == {("0042", "1.8.0"), ("10000001", "1.8.0"), ("10000002", "1.8.1")}
