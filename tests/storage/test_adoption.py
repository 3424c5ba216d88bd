"""Unknown meters are seen with their last values, and adopted with what they said so far."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from ingest.delivery import Delivery, Fate
from ingest.errors import FleetConflict, Misconfigured, NotFound
from ingest.intake import Intake
from ingest.model import Reading
from storage.adoption import Adopted, Adoption, adopt
from storage.database import Database
from storage.quarantine import Which
from storage.readings import PostgresStore
from storage.unknown_meters import FOREIGN, UNKNOWN, Stranger, strangers
from tests.storage.fleet_rig import MODELS, put, rows
from tests.storage.test_replay import AT, bring, lying, message, one, own, push

GW2 = "amr/v1/gw-2/readings"
POINT = '[[point]]\ncode = "p-1"\nname = "Садовая, 1"\nzone = "Europe/Samara"\n'
OLD = """
[[meter]]
serial = "old"
model = "sdm120"
gateway = "gw-1"
[[installation]]
point = "p-1"
meter = "old"
since = 2026-01-01
"""


async def seen(database: Database, reason: str = UNKNOWN, **more: Any) -> list[Stranger]:
    async with database.connection() as conn:
        return await strangers(conn, own, reason, **more)


async def take_in(database: Database, serial: str = "m1", point: str = "p-1", **more: Any) -> Adopted:
    wish = Adoption(serial, point, more.pop("model", "sdm120"), **more)
    return await adopt(database, own, MODELS, wish, author="petrova")


async def recent(database: Database, *hours: int, serial: str = "m1", topic: str = "amr/v1/gw-1/readings") -> datetime:
    """Readings of today, so many hours old; gives the instant of the first."""
    now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    instants = [now - timedelta(hours=age) for age in hours]
    for at in instants:
        await push(
            database, message((serial, "1.8.0", at.isoformat(), str(100 - (now - at) // timedelta(hours=1)))), topic
        )
    return min(instants)


async def test_unknown_meters_are_listed_with_their_last_values(database: Database) -> None:
    await push(
        database, message(one("m1", 0, "5"), one("m1", 1, "6"), one("m1", 1, "230", "32.7.0"), one("m2", 0, "1"))
    )
    await push(database, message(one("m1", 2, "7")), GW2)
    await push(database, b"not ours")
    listed = {stranger.meter: stranger for stranger in await seen(database)}
    assert listed.keys() == {"m1", "m2"}
    m1 = listed["m1"]
    assert {channel: str(reading.value) for channel, reading in m1.values.items()} == {"1.8.0": "7", "32.7.0": "230"}
    assert m1.values["1.8.0"].taken_at == AT + timedelta(hours=2)
    assert (set(m1.gateways), m1.pieces, m1.times, m1.known) == ({"gw-1", "gw-2"}, 3, 4, False)
    assert [stranger.meter for stranger in await seen(database, limit=1)] == ["m1"]


async def test_foreign_meters_are_listed_with_whose_they_are(database: Database) -> None:
    await put(database, POINT + OLD)
    await push(database, message(one("old", 0, "5")), GW2)
    assert await seen(database) == []
    [stranger] = await seen(database, FOREIGN)
    assert (stranger.meter, stranger.known, stranger.owner, stranger.gateways) == ("old", True, "gw-1", ("gw-2",))


async def test_adopting_puts_the_meter_up_and_brings_its_readings_in(database: Database) -> None:
    await put(database, POINT)
    first = await recent(database, 3, 2, 1)
    adopted = await take_in(database, ct=Decimal(40))
    assert (adopted.gateway, adopted.since, adopted.changed) == ("gw-1", first, True)
    assert adopted.replayed.fates == {Fate.STORED: 3}
    assert adopted.replayed.suspect == 0
    assert await lying(database) == []
    assert await rows(
        database,
        "SELECT p.name, m.serial, m.model, m.gateway, i.since, i.ct, i.vt FROM installation i"
        " JOIN point p ON p.id = i.point_id JOIN meter m ON m.id = i.meter_id",
    ) == [("Садовая, 1", "m1", "sdm120", "gw-1", first, Decimal(40), Decimal(1))]
    assert await rows(
        database, "SELECT detail->>'author' FROM event WHERE kind = 'fleet' ORDER BY id DESC LIMIT 1"
    ) == [("petrova",)]
    await recent(database, 0)
    assert await rows(database, "SELECT count(*) FROM reading") == [(4,)]


async def test_a_broken_off_adoption_is_repeated(database: Database) -> None:
    await put(database, POINT)
    await recent(database, 1)
    assert (await take_in(database)).changed
    await recent(database, 0, topic=GW2)
    again = await take_in(database, gateway="gw-1")
    assert not again.changed
    assert again.replayed.stay == {"foreign_meter": 1}


async def test_the_installation_begins_where_it_is_told_and_never_by_a_wrong_clock(database: Database) -> None:
    await put(database, POINT)
    await push(database, message(("m1", "1.8.0", "2001-01-01T00:00:00Z", "0")))
    first = await recent(database, 2, 1)
    assert (await take_in(database)).since == first
    assert await rows(database, "SELECT quality, count(*) FROM reading GROUP BY 1 ORDER BY 1") == [(0, 2), (2, 1)]
    await recent(database, 1, serial="m2")
    told = datetime(2026, 2, 1, tzinfo=UTC)
    assert (await take_in(database, "m2", "p-2", zone="Europe/Volgograd", since=told)).since == told
    assert await rows(database, "SELECT zone FROM point WHERE code = 'p-2'") == [("Europe/Volgograd",)]


async def test_a_meter_of_a_file_is_adopted_without_a_gateway(database: Database) -> None:
    await put(database, POINT)
    reading = Reading("m1", "1.8.0", datetime.now(UTC) - timedelta(days=2), Decimal(5))
    await Intake(PostgresStore(database)).accept(Delivery("import:a.csv", [reading]))
    assert (await take_in(database)).gateway is None


async def test_several_gateways_ask_for_a_choice(database: Database) -> None:
    await put(database, POINT)
    await recent(database, 2)
    await recent(database, 1, topic=GW2)
    with pytest.raises(Misconfigured, match="gw-1, gw-2; name its own with --gateway"):
        await take_in(database)
    adopted = await take_in(database, gateway="gw-2")
    assert (adopted.replayed.left, adopted.replayed.stay) == (1, {"foreign_meter": 1})


async def test_mistakes_change_nothing(database: Database) -> None:
    await put(database, POINT + OLD)
    await recent(database, 1)
    before = await rows(database, "SELECT count(*) FROM meter")
    with pytest.raises(NotFound, match="nothing of meter 'm3'"):
        await take_in(database, "m3")
    with pytest.raises(NotFound, match="no point 'p-9'; name its time zone"):
        await take_in(database, point="p-9")
    with pytest.raises(Misconfigured, match="model 'sdm12' is not in the catalogue"):
        await take_in(database, model="sdm12")
    with pytest.raises(FleetConflict, match="meter old is stored at point p-1"):
        await take_in(database)
    assert await rows(database, "SELECT count(*) FROM meter") == before
    assert [row[1] for row in await lying(database)] == ["m1"]


async def test_a_meter_of_the_fleet_is_not_changed_by_adopting(database: Database) -> None:
    await put(database, POINT + OLD)
    await push(database, message(one("old", 0, "5")), GW2)
    with pytest.raises(FleetConflict, match="belongs to gateway 'gw-1', not to gateway 'gw-2'"):
        await take_in(database, "old")
    with pytest.raises(FleetConflict, match="is in the fleet as model 'sdm120'"):
        await take_in(database, "old", model="m206", gateway="gw-1")
    await put(database, OLD.replace("gw-1", "gw-2"))
    assert (await bring(database, Which(meter="old"))).left == 1
