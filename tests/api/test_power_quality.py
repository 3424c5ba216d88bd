"""Power quality over HTTP: days of the point's calendar, transformers, contracts, and nothing from no readings."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from api.context import ApiSettings
from api.power_quality_schemas import DayFigures, PowerQualityOut
from ingest.model import Reading
from tests.api.conftest import House

U = "32.7.0"


def every(minutes: int, since: str, until: str, value: str, meter: str = "M-1-NEW", channel: str = U) -> list[Reading]:
    """A moment every so many minutes."""
    at, end = datetime.fromisoformat(since), datetime.fromisoformat(until)
    found = []
    while at < end:
        found.append(Reading(meter, channel, at, Decimal(value)))
        at += timedelta(minutes=minutes)
    return found


async def quality(house: House, who: str = "boris", point: str = "flat-1", **more: Any) -> PowerQualityOut:
    answer = await house.get(f"/points/{point}/power-quality", who, **more)
    assert answer.status_code == 200, answer.text
    return PowerQualityOut.model_validate_json(answer.content)


def figures(found: PowerQualityOut, day: int = 0) -> DayFigures:
    [one] = [channel for channel in found.days[day].channels if channel.channel == U]
    return one


async def test_a_day_of_moments(house: House) -> None:
    await house.store(
        *every(30, "2026-03-10T00:00+03:00", "2026-03-10T12:00+03:00", "229.5"),
        *every(30, "2026-03-10T12:00+03:00", "2026-03-10T18:00+03:00", "200.1"),
        Reading("M-1-NEW", U, datetime(2026, 3, 10, 17, 0, tzinfo=UTC), Decimal("254.2")),
    )
    found = await quality(house, **{"from": "2026-03-10", "to": "2026-03-12"})
    assert found.limits is not None
    assert (found.limits.nominal, found.limits.low, found.limits.high) == ("230", "207", "253")
    day = figures(found)
    assert (day.quantity, day.phase, day.unit, day.count) == ("voltage", 1, "V", 37)
    assert day.minimum is not None
    assert day.maximum is not None
    assert (day.minimum.value, day.minimum.taken_at.isoformat()) == ("200.1", "2026-03-10T12:00:00+03:00")
    assert day.maximum.value == "254.2"
    known = 18.25 + 0.75  # the last of the half-hours stands for 45 minutes, so does the one alone
    assert day.completeness == f"{known / 24:.5f}"[:6]
    assert day.outside == f"{(6.25 + 0.75) / known:.5f}"[:6]
    empty = figures(found, 1)
    assert (empty.minimum, empty.maximum, empty.count) == (None, None, 0)
    assert (empty.completeness, empty.outside) == ("0", None), "nothing from no readings"
    assert [(one.channel, one.value) for one in found.last] == [(U, "254.2")]
    assert found.as_of is not None


async def test_days_of_23_and_25_hours_are_whole_days(house: House) -> None:
    async with house.database.connection() as conn:
        await conn.execute("UPDATE point SET zone = 'Europe/Berlin' WHERE code = 'flat-1'")
    await house.store(
        *every(30, "2026-03-28T12:00Z", "2026-03-30T12:00Z", "230"),
        *every(30, "2025-10-25T12:00Z", "2025-10-27T12:00Z", "230"),
    )
    for day, hours in (("2026-03-29", 23), ("2025-10-26", 25)):
        following = (datetime.fromisoformat(day) + timedelta(days=1)).date().isoformat()
        found = await quality(house, **{"from": day, "to": following})
        [whole] = found.days
        assert whole.until - whole.since == timedelta(hours=hours)
        assert (figures(found).completeness, figures(found).count) == ("1", 2 * hours)


async def test_today_ends_now_and_seven_days_are_the_usual(house: House) -> None:
    now = datetime.now(UTC)
    await house.store(Reading("M-1-NEW", U, now - timedelta(minutes=1), Decimal("231")))
    found = await quality(house)
    assert len(found.days) == 7
    assert abs(found.days[-1].until - now) < timedelta(minutes=5)
    assert found.last[0].value == "231"


async def test_behind_transformers_values_are_the_supplys_and_no_limit_is_guessed(house: House) -> None:
    async with house.database.connection() as conn:
        await conn.execute("UPDATE installation SET ct = 40, vt = 100 WHERE until IS NULL")
        await conn.execute(
            "INSERT INTO register (meter_id, channel, decimals) SELECT id, channel, 3 FROM meter, "
            "unnest(ARRAY['31.7.0', '1.7.0', '14.7.0']) AS channel WHERE serial = 'M-1-NEW'"
        )
    at = datetime(2026, 3, 10, tzinfo=UTC)
    values = {U: "60", "31.7.0": "2.5", "1.7.0": "433", "14.7.0": "49.98"}
    await house.store(*(Reading("M-1-NEW", channel, at, Decimal(value)) for channel, value in values.items()))
    found = await quality(house, **{"from": "2026-03-10", "to": "2026-03-11"})
    assert {one.channel: one.value for one in found.last} == {
        "1.7.0": "1732000",
        "14.7.0": "49.98",
        "31.7.0": "100",
        U: "6000",
    }
    assert found.limits is None
    assert figures(found).outside is None
    assert figures(found).minimum is not None
    assert [one.channel for one in (await quality(house, channel="14.7.0")).last] == ["14.7.0"]


async def test_only_the_time_of_the_contract_is_seen(house: House) -> None:
    await house.store(*every(30, "2023-01-31T00:00Z", "2023-02-02T00:00Z", "190", meter="M-1"))
    theirs = {"from": "2023-01-31T12:00:00Z", "to": "2023-02-01T12:00:00Z"}
    anna, boris = await quality(house, "anna", **theirs), await quality(house, "boris", **theirs)
    end = datetime(2023, 2, 1, tzinfo=UTC)
    assert [(day.since, day.until) for day in anna.days][-1][1] == end
    assert boris.days[0].since == end
    assert figures(boris).count == 24
    assert anna.last[0].taken_at < end
    assert sum(figures(anna, n).count for n in range(len(anna.days))) == 24
    async with house.database.connection() as conn:
        await conn.execute("DELETE FROM reading WHERE taken_at >= '2023-02-01'")
    assert figures(await quality(house, "boris", **theirs)).completeness == "0", "not even what stood before it"
    assert (await house.get("/points/flat-1/power-quality", "vera")).status_code == 404
    assert (await quality(house, "anna", **{"from": "2024-01-01", "to": "2024-01-02"})).days == []


async def test_an_exchange_in_the_day_keeps_both_meters(house: House) -> None:
    await house.store(
        *every(30, "2023-02-28T00:00Z", "2023-03-01T00:00Z", "230", meter="M-1"),
        *every(30, "2023-03-01T00:00Z", "2023-03-02T00:00Z", "240"),
    )
    found = await quality(house, "root", **{"from": "2023-03-01", "to": "2023-03-02"})  # 03:00 Moscow is 00:00 UTC
    day = figures(found)
    assert (day.count, day.completeness) == (48, "1")
    assert (day.minimum and day.minimum.value, day.maximum and day.maximum.value) == ("230", "240")


class TestOtherNominal:
    """A deployment may hold to another nominal voltage."""

    @pytest.fixture
    def settings(self, settings: ApiSettings) -> ApiSettings:
        return replace(settings, nominal_voltage=Decimal(220))

    async def test_220_volts(self, house: House) -> None:
        await house.store(*every(30, "2026-03-10T00:00+03:00", "2026-03-11T00:00+03:00", "243"))
        found = await quality(house, **{"from": "2026-03-10", "to": "2026-03-11"})
        assert found.limits is not None
        assert (found.limits.low, found.limits.high, figures(found).outside) == ("198", "242", "1")


async def test_wrong_questions_are_named(house: House) -> None:
    for parameters, code in (
        ({"channel": "1.8.0"}, "not_momentary"),
        ({"channel": "x"}, "not_a_channel"),
        ({"from": "2026-01-01", "to": "2026-06-01"}, "too_many_days"),
        ({"from": "2026-03-02", "to": "2026-03-01"}, "not_before"),
        ({"from": "2199-01-01"}, "not_before"),
    ):
        answer = await house.get("/points/flat-1/power-quality", **parameters)
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, code), answer.text
    assert (await quality(house, point="empty")).days
