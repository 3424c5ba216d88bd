"""Amounts over HTTP: cuts in the point's zone, contract dates, exact sums, refusals that name the remedy."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from api.schemas import ConsumptionOut
from ingest.model import Reading
from tests.api.conftest import START, House, daily


async def ask(house: House, who: str = "olga", point: str = "flat-2", **parameters: Any) -> ConsumptionOut:
    """Consumption held to its declared shape; `since` and `until` stand for from and to."""
    named = {{"since": "from", "until": "to"}.get(key, key): value for key, value in parameters.items()}
    answer = await house.get(f"/points/{point}/consumption", who, **named)
    assert answer.status_code == 200, answer.text
    return ConsumptionOut.model_validate_json(answer.content)


def hourly(meter: str, channel: str, since: datetime, hours: int, step: str = "0.5") -> list[Reading]:
    """A reading at every full hour, `step` more each."""
    return [Reading(meter, channel, since + timedelta(hours=h), 100 + h * Decimal(step)) for h in range(hours)]


async def test_days_are_cut_in_the_zone_of_the_point_and_add_up(house: House) -> None:
    since = datetime(2023, 1, 1, 20, tzinfo=UTC)  # 00:00 of the 2nd in Samara
    await house.store(*hourly("M-2", "1.8.1", since, 24 * 4 + 1))
    answer = await ask(house, since="2023-01-02", until="2023-01-06", step="day", channel="1.8.1")
    assert [item.amount for item in answer.items] == ["12", "12", "12", "12"]
    assert [item.since.hour for item in answer.items] == [0, 0, 0, 0]
    assert answer.items[0].since == since
    assert {item.quality for item in answer.items} == {"good"}
    assert {item.completeness for item in answer.items} == {"1"}
    assert answer.total is not None
    assert (answer.total.amount, answer.unit) == ("48", "kWh")
    assert (answer.total.begin_value, answer.total.end_value) == ("100", "148")
    assert answer.as_of is not None
    assert (answer.as_of.taken_at, answer.as_of.source) == (since + timedelta(days=4), "automatic")


async def test_the_total_of_a_meter_with_zones_only_is_their_sum(house: House) -> None:
    await house.store(*hourly("M-2", "1.8.1", START, 49), *hourly("M-2", "1.8.2", START, 49, "0.25"))
    answer = await ask(house, since="2023-01-01T00:00:00Z", until="2023-01-03T00:00:00Z")
    assert answer.total is not None
    assert answer.total.amount == "36"
    assert answer.as_of is not None


async def test_the_ratio_is_applied_once_and_told(house: House) -> None:
    await house.store(*hourly("M-3", "1.8.1", START, 25))
    answer = await ask(
        house, point="flat-3", since="2023-01-01T00:00:00Z", until="2023-01-02T00:00:00Z", channel="1.8.1"
    )
    assert answer.total is not None
    assert (answer.total.amount, answer.total.ratios) == ("240", ["20"])


async def test_no_grounds_is_null_and_never_zero(house: House) -> None:
    answer = await ask(house, since="2023-01-01", until="2023-01-03", channel="1.8.1")
    assert [(item.amount, item.quality) for item in answer.items] == [(None, "missing")] * 2
    assert answer.total is not None
    assert answer.total.amount is None
    assert answer.as_of is None


async def test_a_point_that_never_had_a_meter_says_no_meter(house: House) -> None:
    answer = await ask(house, "boris", "empty", since="2023-01-01", until="2023-01-02")
    assert [(item.amount, item.reasons) for item in answer.items] == [(None, ["no_meter"])]


async def test_a_consumer_gets_the_dates_of_the_contract(house: House) -> None:
    await house.store(*daily("M-1", "1.8.0", "100", "1", 60))
    everything = {"since": "2023-01-01T00:00:00Z", "until": "2023-03-01T00:00:00Z", "point": "flat-1", "step": "month"}
    whole = await ask(house, "olga", **everything)
    of_anna = await ask(house, "anna", **everything)
    of_boris = await ask(house, "boris", **everything)
    assert whole.total is not None
    assert of_anna.total is not None
    assert of_boris.total is not None
    assert (of_anna.total.amount, of_boris.total.amount, whole.total.amount) == ("31", "28", "59")
    assert of_anna.until == of_boris.since == datetime(2023, 2, 1, tzinfo=UTC)


async def test_two_contracts_of_one_consumer_leave_out_the_time_between(house: House) -> None:
    await house.store(*daily("M-2", "1.8.1", "100", "1", 15))
    answer = await ask(
        house, "vera", since="2023-01-01T00:00:00Z", until="2023-01-15T00:00:00Z", channel="1.8.1", step="day"
    )
    assert answer.total is not None
    assert answer.total.amount == "10"
    assert answer.total.quality in ("good", "estimated")
    assert sum(Decimal(item.amount or 0) for item in answer.items) == 10
    assert not any(
        datetime(2023, 1, 5, tzinfo=UTC) <= item.since < datetime(2023, 1, 9, tzinfo=UTC) for item in answer.items
    )


async def test_outside_the_contract_there_is_nothing(house: House) -> None:
    await house.store(*daily("M-1", "1.8.0", "100", "1", 60))
    answer = await ask(house, "anna", point="flat-1", since="2023-02-02", until="2023-02-10")
    assert (answer.items, answer.total, answer.as_of) == ([], None, None)


async def test_an_exchange_is_told_with_both_meters(house: House) -> None:
    await house.store(*daily("M-1", "1.8.0", "100", "1", 60), *daily("M-1-NEW", "1.8.0", "7", "2", 10, _EXCHANGE))
    async with house.database.connection() as conn:
        await conn.execute(
            """INSERT INTO installation_reading (installation_id, register_id, opening, closing)
               SELECT i.id, r.id, CASE WHEN i.until IS NULL THEN 7000000 END, CASE WHEN i.until IS NULL THEN NULL
               ELSE 159000000 END FROM installation i JOIN point p ON p.id = i.point_id AND p.code = 'flat-1'
               JOIN register r ON r.meter_id = i.meter_id AND r.channel = '1.8.0'"""
        )
    answer = await ask(house, point="flat-1", since="2023-02-27T00:00:00Z", until="2023-03-03T00:00:00Z")
    assert answer.total is not None
    assert (answer.total.amount, answer.total.meters) == ("6", ["M-1", "M-1-NEW"])
    assert "exchange" in answer.total.reasons


_EXCHANGE = datetime(2023, 3, 1, tzinfo=UTC)


async def test_a_year_of_half_hours_comes_whole(house: House) -> None:
    await house.store(*daily("M-2", "1.8.1", "100", "1", 366))
    answer = await ask(house, since="2023-01-01", until="2024-01-01", step="half-hour", channel="1.8.1")
    assert len(answer.items) == 365 * 48
    assert answer.items[0].until == answer.items[1].since


WRONG_PARAMETERS = [
    ({"to": "2023-01-01"}, "from", "missing"),
    ({"from": "2023-01-01"}, "to", "missing"),
    ({"from": "2023-01-02", "to": "2023-01-01"}, "from", "not_before"),
    ({"from": "2023-01-02", "to": "2023-01-02"}, "from", "not_before"),
    ({"from": "1970-01-01", "to": "2070-01-01", "step": "year"}, "to", "range_too_long"),
    ({"from": "2020-01-01", "to": "2023-01-01", "step": "half-hour"}, "step", "too_many_intervals"),
    ({"from": "2023-01-01", "to": "2023-01-20", "step": "month"}, "step", "step_too_long"),
    ({"from": "2023-01-01", "to": "2023-01-02", "step": "year"}, "step", "step_too_long"),
    ({"from": "2023-01-01", "to": "2023-01-02", "step": "week"}, "step", "not_a_choice"),
    ({"from": "2023-01-01", "to": "2023-01-02", "step": ""}, "step", "not_a_choice"),
    ({"from": "2023-01-01T00:00", "to": "2023-01-02"}, "from", "naive_time"),
    ({"from": "2023-01-01", "to": "2023-01-02", "channel": "2.8.0"}, "channel", "unknown_channel"),
    ({"from": "2023-01-01", "to": "2023-01-02", "channel": "32.7.0"}, "channel", "not_a_counter"),
    ({"from": "2023-01-01", "to": "2023-01-02", "channel": "x"}, "channel", "not_a_channel"),
    ({"from": "2023-01-01", "to": "2023-01-02", "extra": "1"}, "extra", "unknown_field"),
]


async def test_wrong_parameters_are_named(house: House, subtests: pytest.Subtests) -> None:
    for parameters, field, code in WRONG_PARAMETERS:
        with subtests.test(parameters=parameters, field=field, code=code):
            answer = await house.get("/points/flat-2/consumption", "olga", **parameters)
            assert answer.status_code == 422, answer.text
            [error] = answer.json()["errors"]
            assert (error["field"], error["code"]) == (field, code)
            assert error["remedy"]


async def test_an_unknown_channel_is_answered_with_the_known_ones(house: House) -> None:
    answer = await house.get(
        "/points/flat-2/consumption", "olga", **{"from": "2023-01-01", "to": "2023-01-02", "channel": "4.8.0"}
    )
    assert answer.json()["errors"][0]["remedy"] == "use one of: 1.8.1, 1.8.2"
