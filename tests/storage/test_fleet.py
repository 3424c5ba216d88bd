"""The fleet file applied to a real database: what is stored, what a second time changes, what comes back out."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from ingest.errors import Misconfigured
from ingest.model import Installation, Line, Polled, PolledLine
from storage.database import Database
from storage.fleet import apply, export, fleet_changes, gateway_meters, polled_lines, show
from storage.fleet_stored import load
from tests.storage.fleet_rig import MODELS, STREET, day, put, read, rows, written


async def test_everything_is_stored_as_the_file_says(database: Database) -> None:
    difference = await put(database, STREET)
    assert difference.counts() == {"added": 12, "changed": 0, "unchanged": 0}
    async with database.connection() as conn:
        fleet = await load(conn)
    assert fleet.lines["tp-101"] == Line(
        "tp-101", "modbus-tcp", "10.0.0.7:502", {"timeout": 0.5, "retries": 1, "labels": ["a", "b"]}
    )
    assert fleet.points["p-3"].zone == "Europe/Moscow"
    assert fleet.meters["10000001"].meter.address == "5"
    assert fleet.meters["10000001"].meter.period == timedelta(hours=1)
    assert fleet.meters["10000001"].meter.verified_until == date(2031, 5, 1)
    assert fleet.meters["0042"].registers["1.8.0"].max_rate == Decimal("7.5")
    samara, volgograd, latest = fleet.installations
    assert samara == Installation(
        "p-1",
        "10000001",
        datetime(2026, 1, 14, 20, tzinfo=UTC),  # 00:00 in Samara, UTC+4
        None,
        Decimal(40),
        Decimal("1.5"),
        {"1.8.0": Decimal("0.25")},
    )
    assert volgograd.since == datetime(2024, 2, 29, 21, tzinfo=UTC)
    assert volgograd.until == latest.since == datetime(2026, 2, 1, 9, 30, tzinfo=UTC)
    assert volgograd.closing == {"1.8.0": Decimal("812.5")}
    assert [contract.consumer for contract in fleet.contracts] == ["ivanova", "petrov"]


async def test_a_second_time_changes_nothing(database: Database) -> None:
    await put(database, STREET)
    events = await rows(database, "SELECT count(*) FROM event")
    difference = await put(database, STREET)
    assert not difference
    assert difference.counts() == {"added": 0, "changed": 0, "unchanged": 12}
    assert await rows(database, "SELECT count(*) FROM event") == events


async def test_a_dry_run_changes_nothing_and_says_the_same(database: Database) -> None:
    dry = await put(database, STREET, dry_run=True)
    assert await rows(database, "SELECT count(*) FROM point") == [(0,)]
    assert dry.text() == (await put(database, STREET)).text()


async def test_changes_are_shown_field_by_field(database: Database) -> None:
    await put(database, STREET)
    edited = (
        STREET.replace('Садовая, 1"\naddress', 'Садовая, 1а"\naddress')
        .replace('period = "1h"', 'period = "15m"')
        .replace("2031-05-01", "2041-05-01")
        .replace("timeout = 0.5", "timeout = 0.7")
        .replace("until = 2026-03-01", "until = 2026-04-01")
    )
    difference = await put(database, edited)
    assert {
        (item.kind, change.field, change.old, change.new) for item in difference.items for change in item.changes
    } == {
        ("point", "name", "Садовая, 1", "Садовая, 1а"),
        ("meter", "period", "1h", "15m"),
        ("meter", "verified_until", "2031-05-01", "2041-05-01"),
        (
            "line",
            "options",
            '{"labels": ["a", "b"], "retries": 1, "timeout": 0.5}',
            '{"labels": ["a", "b"], "retries": 1, "timeout": 0.7}',
        ),
        ("contract", "until", "2026-02-28T21:00:00+00:00", "2026-03-31T21:00:00+00:00"),
    }
    assert "~ meter 10000001\n    period: 1h -> 15m" in difference.text()
    assert not await put(database, edited)


async def test_what_a_file_does_not_name_is_left_alone_and_listed(database: Database) -> None:
    await put(database, STREET)
    difference = await put(database, '[[point]]\ncode = "p-9"\n')
    assert {(one.kind, one.count) for one in difference.absent} == {("line", 1), ("point", 3), ("meter", 3)}
    assert "left alone: 3 of point: p-1, p-2, p-3" in difference.text()
    assert not await put(database, STREET)


async def test_a_partial_file_may_refer_to_what_is_stored(database: Database) -> None:
    await put(database, STREET)
    await put(
        database,
        """
        [[meter]]
        serial = "10000003"
        model = "sdm120"
        line = "tp-101"
        address = "6"

        [[installation]]
        point = "p-3"
        meter = "10000003"
        since = 2026-05-01

        [[contract]]
        consumer = "sidorov"
        point = "p-3"
        since = 2026-05-01
        """,
    )
    assert ("10000003", "p-3") in await rows(
        database,
        "SELECT m.serial, p.code FROM installation i JOIN meter m ON m.id = meter_id JOIN point p ON p.id = point_id",
    )


async def test_an_export_applies_back_without_a_difference(database: Database) -> None:
    await put(database, STREET)
    text = await written(database)
    assert "registers" in text
    assert text.count("registers") == 1  # only what the catalogue does not say
    assert not await put(database, text)
    async with database.connection() as conn:
        everything = await export(conn)
    assert everything.count("registers") == 3
    assert not await put(database, everything)


async def test_meters_may_change_places_on_the_bus(database: Database) -> None:
    two = """
    [[line]]
    name = "l"
    kind = "modbus-tcp"
    address = "h:1"
    [[meter]]
    serial = "A"
    model = "sdm120"
    line = "l"
    address = {0}
    [[meter]]
    serial = "B"
    model = "sdm120"
    line = "l"
    address = {1}
    [[point]]
    code = "p"
    official_code = "{0}"
    [[point]]
    code = "q"
    official_code = "{1}"
    """
    await put(database, two.format(1, 2))
    await put(database, two.format(2, 1))
    assert not await put(database, two.format(2, 1))


async def test_touching_installations_move_together(database: Database) -> None:
    def street(border: str) -> str:
        return f"""
        [[point]]
        code = "p"
        [[meter]]
        serial = "A"
        model = "sdm120"
        [[meter]]
        serial = "B"
        model = "sdm120"
        [[installation]]
        point = "p"
        meter = "A"
        since = 2026-01-01
        until = {border}
        opening = {{"1.8.0" = 1}}
        [[installation]]
        point = "p"
        meter = "B"
        since = {border}
        """

    await put(database, street("2026-02-10"))
    for border in ("2026-02-01", "2026-02-20"):
        difference = await put(database, street(border))
        assert difference.counts() == {"added": 0, "changed": 2, "unchanged": 3}
        assert not await put(database, street(border))
    assert await rows(database, "SELECT count(*), count(opening) FROM installation, installation_reading") == [(2, 2)]


async def test_a_mistaken_model_may_be_corrected_before_the_first_reading(database: Database) -> None:
    street = '[[meter]]\nserial = "A"\nmodel = "{}"\n'
    await put(database, street.format("sdm120"))
    difference = await put(database, street.format("m206"))
    assert "model: sdm120 -> m206" in difference.text()
    assert await rows(database, "SELECT channel FROM register ORDER BY channel") == [("1.8.1",), ("1.8.2",)]


async def test_a_mistaken_meter_may_be_corrected_before_the_first_reading(database: Database) -> None:
    street = '[[meter]]\nserial = "{0}"\nmodel = "m206"\n[[point]]\ncode = "p"\n'
    street += '[[installation]]\npoint = "p"\nmeter = "{0}"\nsince = {1}\n'
    await put(database, street.format("A", "2026-01-01"))
    assert "meter: A -> B" in (await put(database, street.format("B", "2026-01-01"))).text()
    assert "since: 2025-12-31" in (await put(database, street.format("B", "2026-01-02"))).text()
    assert await rows(database, "SELECT count(*) FROM installation") == [(1,)]


async def test_a_model_of_the_catalogue_may_be_overridden(database: Database) -> None:
    override = '[[meter]]\nserial = "A"\nmodel = "sdm120"\nregisters = [{channel = "1.8.0", digits = 7, decimals = 1}]'
    await put(database, override)
    assert await rows(database, "SELECT channel, digits, decimals FROM register ORDER BY 1") == [
        ("1.8.0", 7, 1),
        ("2.8.0", 6, 2),
        ("32.7.0", None, 1),
    ]
    assert not await put(database, await written(database))


async def test_a_line_is_shown_to_whoever_knows_lines(database: Database) -> None:
    def check(line: Line) -> None:
        raise Misconfigured(f"timeout {line.options['timeout']} is too short")

    with pytest.raises(Misconfigured, match=r"tp-101: options .* timeout 0.5 is too short"):
        async with database.connection() as conn:
            await apply(conn, STREET, MODELS, check_line=check)


async def test_lines_are_read_with_the_zone_of_the_point(database: Database) -> None:
    await put(database, STREET)
    await put(database, '[[meter]]\nserial = "spare"\nmodel = "sdm120"\nline = "tp-101"\naddress = 9\n')
    async with database.connection() as conn:
        lines = await polled_lines(conn)
        assert await gateway_meters(conn, "gw-1") == {"10000002"}
        assert await gateway_meters(conn, "gw-2") == frozenset()
    (line,) = lines
    assert isinstance(line, PolledLine)
    assert line.line.options["retries"] == 1
    assert line.meters == (
        Polled("10000001", "sdm120", "5", timedelta(hours=1), "Europe/Samara"),
        Polled("spare", "sdm120", "9", timedelta(minutes=30), "UTC"),
    )


async def test_show_lists_points_then_meters_that_stand_nowhere(database: Database) -> None:
    await put(database, STREET)
    async with database.connection() as conn:
        shown = await show(conn)
    assert [(row.point, row.meter) for row in shown] == [
        ("p-1", "10000001"),
        ("p-2", "10000002"),
        ("p-3", None),
        (None, "0042"),
    ]
    assert shown[0].ratio == 60
    assert (shown[1].gateway, shown[0].line, shown[0].address) == ("gw-1", "tp-101", "5")


async def test_changes_are_announced_after_the_commit(database: Database) -> None:
    changes = fleet_changes(database, every=60)
    await anext(changes)  # at the start
    following = asyncio.ensure_future(anext(changes))
    await put(database, STREET, dry_run=True)
    await put(database, STREET)
    await asyncio.wait_for(following, 10)
    async with database.connection() as conn:
        assert len(await polled_lines(conn)) == 1
    await changes.aclose()


async def test_changes_are_followed_through_a_lost_connection(database: Database) -> None:
    changes = fleet_changes(database, every=60)
    await anext(changes)
    following = asyncio.ensure_future(anext(changes))
    await asyncio.sleep(0)
    async with database.connection() as conn:
        await conn.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'")
    await asyncio.wait_for(following, 10)
    await changes.aclose()


async def test_a_slow_look_happens_without_a_change(database: Database) -> None:
    changes = fleet_changes(database, every=0.05)
    for _ in range(3):
        await asyncio.wait_for(anext(changes), 10)
    await changes.aclose()


async def test_two_files_at_once_wait_for_each_other(database: Database) -> None:
    results = await asyncio.gather(*(put(database, STREET) for _ in range(4)))
    assert sorted(len(result.items) for result in results) == [0, 0, 0, 12]


async def test_a_thousand_points_and_their_export(database: Database) -> None:
    street = "\n".join(
        f'[[point]]\ncode = "p-{n}"\n[[meter]]\nserial = "{n:08}"\nmodel = "sdm120"\n'
        f'[[installation]]\npoint = "p-{n}"\nmeter = "{n:08}"\nsince = 2026-01-01\nopening = {{"1.8.0" = {n}}}\n'
        for n in range(1000)
    )
    await put(database, street)
    await read(database, "00000007", "1.8.0", day("2026-01-02"), "8")
    assert not await put(database, await written(database))
