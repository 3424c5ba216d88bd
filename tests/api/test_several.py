"""Several points in one request."""

from __future__ import annotations

from api.schemas import ConsumptionOfPoints, LatestOfPoints
from tests.api.conftest import House, daily

RANGE = {"from": "2023-01-01T00:00:00Z", "to": "2023-01-11T00:00:00Z"}


async def test_latest_readings_of_several_points_are_those_of_each(house: House) -> None:
    await house.store(*daily("M-2", "1.8.1", "1", "1", 3), *daily("M-1", "1.8.0", "1", "1", 3))
    answer = await house.get("/readings/latest", "olga", point=["flat-2", "flat-1"])
    assert answer.status_code == 200, answer.text
    LatestOfPoints.model_validate_json(answer.content)
    alone = [(await house.get(f"/points/{code}/readings/latest", "olga")).json() for code in ("flat-2", "flat-1")]
    assert answer.json()["items"] == alone


async def test_consumption_of_several_points_is_that_of_each(house: House) -> None:
    await house.store(*daily("M-2", "1.8.1", "1", "1", 11), *daily("M-1", "1.8.0", "1", "2", 11))
    answer = await house.get("/consumption", "olga", point=["flat-1", "flat-2"], **RANGE)
    assert answer.status_code == 200, answer.text
    assert [
        item.total and item.total.amount for item in ConsumptionOfPoints.model_validate_json(answer.content).items
    ] == [
        "20",
        None,
    ]
    alone = [(await house.get(f"/points/{code}/consumption", "olga", **RANGE)).json() for code in ("flat-1", "flat-2")]
    assert answer.json()["items"] == alone


async def test_points_seen_over_different_times_are_answered_each_by_its_own(house: House) -> None:
    await house.store(*daily("M-2", "1.8.1", "1", "1", 40), *daily("M-1-NEW", "1.8.0", "1", "2", 40))
    async with house.database.connection() as conn:
        await conn.execute(
            "INSERT INTO contract (consumer, point_id, since) SELECT 'vera', id, '2023-01-03' FROM point "
            "WHERE code IN ('flat-1', 'flat-3')"
        )
    codes = ["flat-3", "flat-2", "flat-1", "flat-3"]
    for who in ("vera", "root"):
        for gaps in ("missing", "distribute"):
            asked = {**RANGE, "gaps": gaps, "channel": "1.8.1" if gaps == "missing" else "1.8.0"}
            alone = [await house.get(f"/points/{code}/consumption", who, **asked) for code in codes]
            together = await house.get("/consumption", who, point=codes, **asked)
            if any(answer.status_code == 422 for answer in alone):
                assert together.json()["errors"][0]["code"] == "unknown_channel"
            else:
                assert together.json()["items"] == [answer.json() for answer in alone], (who, gaps)
        latest = (await house.get("/readings/latest", who, point=codes)).json()
        assert latest["items"] == [
            (await house.get(f"/points/{code}/readings/latest", who)).json() for code in codes
        ], who


async def test_one_point_that_is_not_theirs_hides_all(house: House) -> None:
    answer = await house.get("/readings/latest", "vera", point=["flat-2", "flat-1"])
    assert (answer.status_code, answer.json()["code"]) == (404, "point_not_found")
    assert "flat-1" in answer.json()["detail"]
    assert "M-" not in answer.text
    answer = await house.get("/consumption", "vera", point=["flat-2", "flat-1"], **RANGE)
    assert answer.status_code == 404


async def test_wrong_lists_of_points_are_named(house: House) -> None:
    for parameters, code in (
        ({}, "missing"),
        ({"point": [f"p{n}" for n in range(1001)]}, "too_long"),
    ):
        answer = await house.get("/readings/latest", "olga", **parameters)
        assert answer.status_code == 422
        assert (answer.json()["errors"][0]["field"], answer.json()["errors"][0]["code"]) == ("point", code)


async def test_the_limit_of_intervals_holds_for_all_together(house: House) -> None:
    asked = {"from": "2023-01-01", "to": "2023-10-01", "step": "half-hour", "channel": "1.8.1"}
    assert (await house.get("/consumption", "olga", point=["flat-2"], **asked)).status_code == 200
    answer = await house.get("/consumption", "olga", point=["flat-2", "flat-3"], **asked)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["code"] == "too_many_intervals"
    assert "10000" in answer.json()["errors"][0]["remedy"]
