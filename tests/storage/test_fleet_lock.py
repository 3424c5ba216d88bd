"""Two changes of the fleet at once: the second is soon told of the first, and nothing of it happens."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from storage import fleet_lock
from storage.database import Database
from storage.exchange import change_ratio
from storage.fleet import apply
from storage.fleet_lock import FleetBusy, lock_fleet
from tests.storage.fleet_rig import MODELS, STREET, put


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet_lock, "PATIENCE", 0.3)


async def test_a_second_change_hears_who_is_at_it_and_since_when(database: Database) -> None:
    async with database.connection() as first, database.connection() as second:
        await apply(first, STREET, MODELS, author="Иванов")
        with pytest.raises(
            FleetBusy, match=r"fleet by Иванов is going on since 2.*Z; nothing was changed.*pg_term"
        ) as e:
            await apply(second, STREET, MODELS, author="egor")
        assert e.value.transient
        assert e.value.author == "Иванов"
        assert e.value.process == first.info.backend_pid
        assert e.value.since is not None
        assert timedelta(0) <= datetime.now(UTC) - e.value.since < timedelta(minutes=10)
        with pytest.raises(FleetBusy):
            await change_ratio(second, "p-1", datetime.now(UTC), {}, author="egor")


async def test_the_name_of_a_session_is_its_own_again_after_the_change(database: Database) -> None:
    async with database.connection() as conn:
        before = await (await conn.execute("SHOW application_name")).fetchone()
        await lock_fleet(conn, "egor")
        during = await (await conn.execute("SHOW application_name")).fetchone()
        await conn.commit()
        after = await (await conn.execute("SHOW application_name")).fetchone()
    assert during is not None
    assert during[0].startswith("fleet 2")
    assert before == after != during


@pytest.mark.parametrize(
    ("author", "told"),
    [
        ("a" * 200, "a" * 35),
        ("50 % off\n\t", "50 % off\n\t"),
        ("Иванов Пётр Ильич " * 3, "Иванов Пётр Ильич"),
        ("\0", "\0"),
    ],
)
async def test_any_author_can_be_told(database: Database, author: str, told: str) -> None:
    async with database.connection() as first, database.connection() as second:
        await lock_fleet(first, author)
        with pytest.raises(FleetBusy) as error:
            await lock_fleet(second)
    assert error.value.author is not None
    assert error.value.author.startswith(told)
    assert author.startswith(error.value.author)


async def test_who_says_no_name_is_told_by_the_machine(database: Database) -> None:
    async with database.connection() as first, database.connection() as second:
        await lock_fleet(first)
        with pytest.raises(FleetBusy, match="by somebody on "):
            await lock_fleet(second)


async def test_a_short_change_is_waited_for(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet_lock, "PATIENCE", 60.0)
    async with database.connection() as first:
        await lock_fleet(first, "egor")
        waiting = asyncio.create_task(put(database, STREET))
        done, _ = await asyncio.wait([waiting], timeout=0.3)
        assert not done
    assert (await waiting).counts()["added"]


async def test_the_fleet_of_another_schema_is_another(database: Database) -> None:
    async with database.connection() as first, database.connection() as second:
        await lock_fleet(first, "egor")
        await second.execute("SET LOCAL search_path = pg_catalog")
        await lock_fleet(second, "olga")
