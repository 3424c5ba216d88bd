"""Meters and transformers exchanged at a point, and what stored history forbids."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal

import pytest

from ingest.errors import AmrError, FleetConflict, Misconfigured, NotFound
from ingest.model import Installation, Source
from storage.database import Database
from storage.exchange import Replacement, change_ratio, exchange
from storage.fleet import polled_lines
from storage.fleet_stored import load
from tests.storage.fleet_rig import MODELS, STREET, day, put, read, rows, written

AT = day("2026-05-01T09:00")
CLOSING = {"1.8.0": Decimal("120.5")}
OPENING = {"1.8.0": Decimal("3.25")}


@pytest.fixture
async def street(database: Database) -> Database:
    """The street; the meter at p-1 was read before and just before AT."""
    await put(database, STREET)
    await read(database, "10000001", "1.8.0", day("2026-03-01"), "80")
    await read(database, "10000001", "1.8.0", day("2026-05-01T08:30"), "120.25")
    await read(database, "10000001", "32.7.0", day("2026-05-01T08:30"), "231")
    return database


def new(
    serial: str = "N",
    opening: Mapping[str, Decimal] = OPENING,
    *,
    model: str | None = "sdm120",
    line: str | None = None,
    address: str | None = None,
    gateway: str | None = None,
) -> Replacement:
    registers = MODELS.get(model or "", ())
    return Replacement(serial, opening, model, registers, line, address, gateway)


async def swap(
    database: Database,
    replacement: Replacement,
    closing: Mapping[str, Decimal] = CLOSING,
    *,
    point: str = "p-1",
    at: datetime = AT,
    ct: Decimal | None = None,
) -> tuple[Installation, Installation]:
    async with database.connection() as conn:
        return await exchange(conn, point, at, closing, replacement, ct=ct, author="Сидоров")


async def installed(database: Database, point: str) -> list[Installation]:
    async with database.connection() as conn:
        return [one for one in (await load(conn)).installations if one.point == point]


async def test_an_exchange_ends_one_installation_and_begins_the_next(street: Database) -> None:
    ended, begun = await swap(street, new(), ct=Decimal(60))
    assert await installed(street, "p-1") == [ended, begun]
    assert (ended.meter, ended.until, ended.closing, ended.ratio) == ("10000001", AT, CLOSING, Decimal(60))
    assert (begun.meter, begun.since, begun.until, begun.opening) == ("N", AT, None, OPENING)
    assert begun.ratio == Decimal(90)
    assert ended.opening == {"1.8.0": Decimal("0.25")}
    assert not await put(street, await written(street))


async def test_the_verification_of_the_new_meter_is_told_with_the_exchange(street: Database) -> None:
    await swap(street, replace(new(), verified_until=date(2042, 5, 1)))
    async with street.connection() as conn:
        meters = (await load(conn)).meters
    assert meters["N"].meter.verified_until == date(2042, 5, 1)
    assert meters["10000001"].meter.verified_until == date(2031, 5, 1)


async def test_the_new_meter_takes_over_the_line_and_the_old_one_leaves_it(street: Database) -> None:
    await swap(street, new())
    async with street.connection() as conn:
        (line,) = await polled_lines(conn)
    assert [(meter.serial, meter.address, meter.zone) for meter in line.meters] == [("N", "5", "Europe/Samara")]
    assert line.meters[0].period.total_seconds() == 3600


@pytest.mark.parametrize(
    ("replacement", "road"),
    [
        (new(address="9"), ("tp-101", "9", None)),
        (new(line="tp-101", address="9"), ("tp-101", "9", None)),
        (new(gateway="gw-7"), (None, None, "gw-7")),
    ],
)
async def test_the_new_meter_may_be_reached_in_another_way(
    street: Database, replacement: Replacement, road: tuple[str | None, ...]
) -> None:
    await swap(street, replacement)
    question = (
        "SELECT l.name, m.address, m.gateway FROM meter m LEFT JOIN line l ON l.id = m.line_id WHERE m.serial = 'N'"
    )
    assert await rows(street, question) == [road]


async def test_an_exchange_leaves_an_event(street: Database) -> None:
    await swap(street, new())
    ((kind, at, point, meter, detail),) = await rows(
        street,
        "SELECT e.kind, e.at, p.code, m.serial, e.detail FROM event e JOIN point p ON p.id = point_id "
        "JOIN meter m ON m.id = meter_id WHERE e.kind = 'exchange'",
    )
    assert (kind, at, point, meter) == ("exchange", AT, "p-1", "N")
    assert isinstance(detail, dict)
    assert detail["closing"] == {"1.8.0": "120.5"}
    assert (detail["old_ratio"], detail["new_ratio"], detail["author"]) == ("60", "60", "Сидоров")


async def test_a_stored_spare_may_be_put_up(street: Database) -> None:
    await put(street, '[[meter]]\nserial = "spare"\nmodel = "sdm120"\n')
    _, begun = await swap(street, new("spare", model=None))
    assert begun.meter == "spare"


async def test_a_meter_may_come_back_after_it_was_taken_down(street: Database) -> None:
    _, begun = await swap(street, new("0042", {"1.8.0": Decimal("812.5")}, model=None))
    assert begun.meter == "0042"


async def test_people_round_what_they_read(street: Database) -> None:
    await read(street, "10000001", "1.8.0", day("2026-05-01T08:45"), "121", source=Source.CONSUMER)
    ended, _ = await swap(street, new())
    assert ended.closing == CLOSING


REFUSED: list[tuple[str, type[AmrError], str]] = [
    ("no point", NotFound, r"no point 'p-77'.*amr fleet show"),
    ("no meter there", FleetConflict, r"no meter stands at point p-3.*\[\[installation\]\]"),
    ("naive", Misconfigured, r"no time zone"),
    ("future", Misconfigured, r"2199.* is in the future"),
    ("before it was put up", FleetConflict, r"not after meter 10000001 was put up at point p-1"),
    ("same meter", Misconfigured, r"10000001 stands at p-1 already.*amr meter ratio"),
    ("no closing", Misconfigured, r"closing of meter 10000001 lacks 1\.8\.0; read them off"),
    ("no opening", Misconfigured, r"opening of meter N lacks 1\.8\.0"),
    ("strange channel", Misconfigured, r"closing 1\.8\.7 = 1: meter 10000001 has no such register; it has 1\.8\.0"),
    ("too many digits", Misconfigured, r"opening 1\.8\.0 = 1000000: the register shows 6 digits"),
    ("negative", Misconfigured, r"closing 1\.8\.0 = -1"),
    (
        "below the last reading",
        FleetConflict,
        r"closing 1\.8\.0 = 120 is below the automatic reading 120\.25 of",
    ),
    ("read later", FleetConflict, r"closing 1\.8\.0 = 120\.5 .* automatic reading 121 .*still counted there"),
    ("stands elsewhere", FleetConflict, r"meter 10000002 is stored at point p-2 since 2026-02"),
    ("stood elsewhere then", FleetConflict, r"meter 0042 is stored at point p-2 since 2024"),
    ("new meter read lower", FleetConflict, r"opening 1\.8\.0 = 3\.25 is above the automatic reading 1 of"),
    ("unknown meter", Misconfigured, r"meter N is not stored yet; name its model"),
    ("another model", FleetConflict, r"meter 0042: model 'sdm120', but it is stored as 'CE-27'"),
    ("unknown line", Misconfigured, r"line 'tp-9' is not stored"),
    ("bad address", Misconfigured, r"address '300' on line 'tp-101': is no Modbus unit"),
    ("taken address", FleetConflict, r"address '6' on line 'tp-101' belongs to stored meter other"),
    ("two roads", Misconfigured, r"gateway 'g' and a line"),
    ("blank serial", Misconfigured, r"serial number ' '"),
]


@pytest.mark.parametrize(("case", "error", "said"), REFUSED, ids=[case for case, _, _ in REFUSED])
async def test_what_is_refused_changes_nothing(street: Database, case: str, error: type[AmrError], said: str) -> None:
    await put(street, '[[meter]]\nserial = "other"\nmodel = "sdm120"\nline = "tp-101"\naddress = 6\n')
    if case == "read later":
        await read(street, "10000001", "1.8.0", day("2026-05-02"), "121")
    if case == "new meter read lower":
        await read(street, "other", "1.8.0", day("2026-05-02"), "1")
    before = await written(street)
    with pytest.raises(error, match=said):
        await refused(street, case)
    assert await written(street) == before
    assert await rows(street, "SELECT count(*) FROM event WHERE kind = 'exchange'") == [(0,)]


async def refused(street: Database, case: str) -> None:
    """One exchange that must not be."""
    zones = {"1.8.1": Decimal(1), "1.8.2": Decimal(1)}
    match case:
        case "no point":
            await swap(street, new(), point="p-77")
        case "no meter there":
            await swap(street, new(), point="p-3")
        case "naive":
            await swap(street, new(), at=AT.replace(tzinfo=None))
        case "future":
            await swap(street, new(), at=day("2199-01-01"))
        case "before it was put up":
            await swap(street, new(), at=day("2026-01-01"))
        case "same meter":
            await swap(street, new("10000001", model=None))
        case "no closing":
            await swap(street, new(), {})
        case "no opening":
            await swap(street, new(opening={}))
        case "strange channel":
            await swap(street, new(), CLOSING | {"1.8.7": Decimal(1)})
        case "too many digits":
            await swap(street, new(opening={"1.8.0": Decimal(1000000)}))
        case "negative":
            await swap(street, new(), {"1.8.0": Decimal(-1)})
        case "below the last reading":
            await swap(street, new(), {"1.8.0": Decimal(120)})
        case "stands elsewhere":
            await swap(street, new("10000002", zones, model=None))
        case "stood elsewhere then":
            await swap(street, new("0042", model=None), at=day("2026-01-20"))
        case "new meter read lower":
            await swap(street, new("other", model=None))
        case "unknown meter":
            await swap(street, new(model=None))
        case "another model":
            await swap(street, new("0042"))
        case "unknown line":
            await swap(street, new(line="tp-9", address="1"))
        case "bad address":
            await swap(street, new(address="300"))
        case "taken address":
            await swap(street, new(address="6"))
        case "two roads":
            await swap(street, new(gateway="g", line="tp-101"))
        case "blank serial":
            await swap(street, new(" "))
        case _:
            await swap(street, new())


async def ratio(
    database: Database,
    readings: Mapping[str, Decimal] = CLOSING,
    *,
    ct: Decimal | None = Decimal(60),
    at: datetime = AT,
) -> tuple[Installation, Installation]:
    async with database.connection() as conn:
        return await change_ratio(conn, "p-1", at, readings, ct=ct)


async def test_a_new_ratio_begins_an_installation_of_the_same_meter(street: Database) -> None:
    await read(street, "10000001", "1.8.0", day("2026-05-03"), "125")
    ended, begun = await ratio(street)
    assert await installed(street, "p-1") == [ended, begun]
    assert (ended.ratio, begun.ratio) == (Decimal(60), Decimal(90))
    assert (ended.until, ended.closing) == (begun.since, begun.opening) == (AT, CLOSING)
    assert begun.meter == "10000001"
    assert await rows(street, "SELECT kind FROM event WHERE kind <> 'fleet'") == [("ratio",)]
    async with street.connection() as conn:
        assert [meter.address for meter in (await polled_lines(conn))[0].meters] == ["5"]
    assert not await put(street, await written(street))


@pytest.mark.parametrize(
    ("readings", "ct", "error", "said"),
    [
        (CLOSING, None, Misconfigured, "are the ratios p-1 has already"),
        ({}, Decimal(60), Misconfigured, r"readings of meter 10000001 lacks 1\.8\.0"),
        ({"1.8.0": Decimal(120)}, Decimal(60), FleetConflict, r"closing 1\.8\.0 = 120 is below"),
        (
            {"1.8.0": Decimal(126)},
            Decimal(60),
            FleetConflict,
            r"opening 1\.8\.0 = 126 is above the automatic reading 125",
        ),
    ],
)
async def test_a_ratio_that_contradicts_is_refused(
    street: Database, readings: Mapping[str, Decimal], ct: Decimal | None, error: type[AmrError], said: str
) -> None:
    await read(street, "10000001", "1.8.0", day("2026-05-03"), "125")
    before = await written(street)
    with pytest.raises(error, match=said):
        await ratio(street, readings, ct=ct)
    assert await written(street) == before
