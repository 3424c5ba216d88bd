"""What a region's file of many meters rests on: nothing is held twice, nor asked for what stays the same."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from storage import fleet_history, fleet_stored, fleet_write
from storage.database import Database
from storage.fleet_difference import compare
from storage.fleet_file import read_fleet
from storage.fleet_model import Fleet
from storage.fleet_names import parse
from storage.fleet_pairs import pair_up
from storage.fleet_stored import load
from tests.storage.fleet_rig import MODELS, STREET, put, written

ROWS = "\n".join(
    f'[[point]]\ncode = "P-{n}"\nzone = "Europe/Samara"\n[[meter]]\nserial = "{n}"\nmodel = "m206"\n'
    f'[[installation]]\npoint = "P-{n}"\nmeter = "{n}"\nsince = 2026-01-01\n'
    for n in range(5)
)


def held_once(fleet: Fleet) -> None:
    """Meters of one model share its registers, points of one zone its name, installations what they refer to."""
    assert len({id(one.registers) for one in fleet.meters.values()}) == 1
    assert len({id(one.zone) for one in fleet.points.values()}) == 1
    codes = {id(one.code) for one in fleet.points.values()} | {id(code) for code in fleet.points}
    assert codes == {id(one.point) for one in fleet.installations}


def test_what_was_read_of_a_file_is_let_go_and_nothing_is_held_twice() -> None:
    tables = parse(ROWS)
    points = tables["point"]
    held_once(read_fleet(ROWS, MODELS, Fleet(), tables=tables))
    assert (tables, points) == ({}, [])


async def test_what_is_stored_is_held_once(database: Database) -> None:
    await put(database, ROWS)
    async with database.connection() as conn:
        held_once(await load(conn))


def test_what_is_told_of_meters_alike_is_held_once() -> None:
    wanted = read_fleet(ROWS, MODELS, Fleet())
    difference = compare(wanted, Fleet(), pair_up(wanted, Fleet()))
    models = [change for item in difference.items for change in item.changes if change.field == "model"]
    assert len(models) == 5
    assert len({id(change) for change in models}) == 1


async def test_much_is_written_and_read_in_parts(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet_write, "_TOGETHER", 1)
    at_once = (await put(database, STREET)).counts()
    whole = await written(database)
    monkeypatch.setattr(fleet_stored, "_FEW", 0)
    monkeypatch.setattr(fleet_stored, "_TOGETHER", 1)
    assert await written(database) == whole
    assert (await put(database, STREET)).counts() == {"added": 0, "changed": 0, "unchanged": sum(at_once.values())}


async def test_only_of_what_changes_the_readings_are_looked_for(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put(database, STREET)
    asked: list[set[str]] = []
    look = fleet_history.channels_with_readings

    async def noted(conn: Any, serials: Iterable[str]) -> set[tuple[str, str]]:
        asked.append(set(serials))
        return await look(conn, serials)

    monkeypatch.setattr(fleet_history, "channels_with_readings", noted)
    await put(database, STREET)
    await put(database, STREET.replace('period = "1h"', 'period = "15m"'))
    assert asked == [set(), {"10000001"}]
