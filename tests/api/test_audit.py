"""Who asked what: all of staff's requests and every write are on record, with how they ended."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from storage import audit
from storage.audit import Act
from tests.api.conftest import House

WHEN = "2023-01-20T12:00:00+04:00"


async def acts(house: House, actor: str | None = None, point: str | None = None) -> list[Act]:
    """What is on record, oldest first."""
    async with house.database.connection() as conn:
        now = datetime.now(UTC)
        found = await audit.find(
            conn, since=now - timedelta(hours=1), until=now + timedelta(hours=1), actor=actor, point=point
        )
    return found[::-1]


async def test_reads_of_staff_are_on_record_and_consumers_own_are_not(house: House) -> None:
    await house.get("/points/flat-2/readings", "olga", channel="1.8.1")
    await house.get("/points/flat-2/readings", "vera")
    await house.get("/points", "root")
    assert [(act.actor, act.role, act.operation, act.point, act.status, act.detail) for act in await acts(house)] == [
        ("olga", "operator", "listReadings", "flat-2", 200, "channel=1.8.1"),
        ("root", "admin", "listPoints", None, 200, ""),
    ]
    [act, _] = await acts(house)
    assert act.client == "127.0.0.1"
    assert datetime.now(UTC) - act.at < timedelta(minutes=10)


async def test_writes_are_on_record_whoever_made_them_and_however_they_ended(house: House) -> None:
    body = {"taken_at": WHEN, "values": {"1.8.1": 1}}
    await house.post("/points/flat-2/readings", "vera", body)
    await house.post("/points/flat-2/readings", "vera", {**body, "values": {"1.8.1": -1}})
    await house.post("/points/flat-2/readings", "vera", b"{")
    await house.post("/points/flat-1/readings", "vera", body)
    await house.post("/points/flat-2/readings", "olga", {**body, "taken_at": "2150-01-01T00:00:00Z"})
    found = [(act.actor, act.point, act.status) for act in await acts(house)]
    assert found == [
        ("vera", "flat-2", 201),
        ("vera", "flat-2", 422),
        ("vera", "flat-1", 404),
        ("olga", "flat-2", 409),
    ], "broken JSON is refused before anybody is asked who they are"


async def test_attempts_of_staff_at_what_does_not_exist_are_on_record(house: House) -> None:
    await house.get("/points/no%00where", "egor")
    [act] = await acts(house, actor="egor")
    assert (act.operation, act.point, act.status) == ("getPoint", "no�where", 404)


async def test_strangers_leave_no_record(house: House) -> None:
    await house.client.get("/api/v1/points", headers={"Authorization": "Bearer wrong"})
    await house.client.get("/api/v1/points")
    assert await acts(house) == []


async def test_what_cannot_be_put_on_record_is_not_shown(house: House) -> None:
    async with house.database.connection() as conn:
        await conn.execute("ALTER TABLE audit ADD CHECK (actor <> 'olga')")
    answer = await house.get("/points/flat-2", "olga")
    assert answer.status_code >= 400
    assert "M-2" not in answer.text
    assert (await house.get("/points/flat-2", "egor")).status_code == 200


async def test_the_record_is_searched_by_point_and_person(house: House) -> None:
    for who, point in (("olga", "flat-1"), ("olga", "flat-2"), ("egor", "flat-2")):
        await house.get(f"/points/{point}", who)
    assert [act.actor for act in await acts(house, point="flat-2")] == ["olga", "egor"]
    assert [act.point for act in await acts(house, actor="olga")] == ["flat-1", "flat-2"]
    assert await acts(house, actor="nobody") == []
