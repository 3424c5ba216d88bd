"""The quarantine and unknown meters over HTTP."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta

from ingest.delivery import Delivery, Reject
from tests.api import conftest
from tests.api.conftest import House


async def say(house: House, serial: str, value: str, minute: int = 0, channel: str = "1.8.0") -> None:
    """A message of gateway gw-7, as the subscriber would bring it."""
    at = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=60 - minute)
    await house.intake.accept(
        conftest.parse_own("amr/gw-7", f"{serial} {channel} {value} {at.isoformat()}".encode(), at)
    )


async def test_pieces_are_listed_shown_replayed_and_dropped(house: House) -> None:
    for minute in range(3):
        await say(house, "M-7", f"100.{minute}", minute)
    await house.intake.accept(Delivery("mqtt:amr/x", rejects=[Reject("malformed", "no JSON", b"\xffbad \x1b[31m")]))
    page = (await house.get("/quarantine", "egor", limit=2)).json()
    rest = (await house.get("/quarantine", "egor", limit=2, cursor=page["next"])).json()
    assert [one["reason"] for one in page["items"] + rest["items"]] == ["malformed", *["unknown_meter"] * 3]
    assert rest["next"] is None
    assert {one["reason"]: one["rows"] for one in page["reasons"]} == {"malformed": 1, "unknown_meter": 3}
    assert (page["room"]["rows"], page["unkept"]) == (4, [])
    shown = (await house.get(f"/quarantine/{page['items'][0]['id']}", "egor")).json()
    assert base64.b64decode(shown["raw"]) == b"\xffbad \x1b[31m"
    assert shown["text"].startswith("\\xffbad")
    stay = (await house.post("/quarantine/replay", "egor", {"meter": "M-7"})).json()
    assert (stay["tried"], stay["left"], stay["stay"], stay["next"]) == (3, 0, {"unknown_meter": 3}, None)
    gone = (await house.post("/quarantine/drop", "egor", {"reason": "malformed"})).json()
    assert gone == {"dropped": 1, "more": False}
    async with house.database.connection() as conn:
        [[detail]] = await (await conn.execute("SELECT detail FROM event WHERE kind = 'quarantine_drop'")).fetchall()
    assert detail["author"] == "egor"


async def test_a_choice_is_said_and_never_everything_by_accident(house: House) -> None:
    wrong: list[dict[str, object]] = [
        {},
        {"all": True, "reason": "malformed"},
        {"ids": []},
        {"ids": [0]},
        {"ids": ["1"]},
        {"ids": [2**60]},
    ]
    for body in wrong:
        for verb in ("drop", "replay"):
            answer = await house.post(f"/quarantine/{verb}", "egor", body)
            assert answer.status_code == 422, (verb, body)
    assert (await house.post("/quarantine/drop", "egor", {"all": True})).json() == {"dropped": 0, "more": False}
    for cursor in ("1", "x.y", "1.2.3", "9" * 17 + ".1", "-1.1"):
        assert (await house.get("/quarantine", "egor", cursor=cursor)).status_code in (200, 422), cursor
    for number in ("0", "x", "1e3", str(2**70)):
        assert (await house.get(f"/quarantine/{number}", "egor")).status_code == 422
    assert (await house.get("/quarantine/999", "egor")).json()["code"] == "no_such_thing"


async def test_an_unknown_meter_is_adopted_with_what_it_said(house: House) -> None:
    for minute in range(3):
        await say(house, "M-7", f"100.{minute}", minute)
    [stranger] = (await house.get("/unknown-meters", "egor")).json()["items"]
    assert (stranger["meter"], stranger["known"], stranger["gateways"]) == ("M-7", False, ["gw-7"])
    assert [(one["channel"], one["value"]) for one in stranger["values"]] == [("1.8.0", "100.2")]
    wrong = await house.post("/unknown-meters/M-7/adopt", "egor", {"point": "empty", "model": "nothing"})
    assert (wrong.status_code, "is not in the catalogue" in wrong.json()["detail"]) == (422, True)
    nowhere = await house.post("/unknown-meters/M-7/adopt", "egor", {"point": "nowhere", "model": "sdm630"})
    assert (nowhere.status_code, nowhere.json()["code"]) == (404, "no_such_thing")
    taken = await house.post("/unknown-meters/M-7/adopt", "egor", {"point": "flat-2", "model": "sdm630"})
    assert (taken.status_code, "M-2" in taken.json()["detail"]) == (409, True)
    done = await house.post("/unknown-meters/M-7/adopt", "egor", {"point": "empty", "model": "sdm630"})
    assert done.status_code == 200, done.text
    said = done.json()
    assert (said["gateway"], said["changed"], said["replayed"]["stored"], said["replayed"]["next"]) == (
        "gw-7",
        True,
        3,
        None,
    )
    latest = (await house.get("/points/empty/readings/latest", "boris")).json()
    assert [one["value"] for one in latest["items"]] == ["100.2"]
    assert (await house.get("/unknown-meters", "egor")).json()["items"] == []


async def test_a_foreign_meter_is_listed_with_its_owner(house: House) -> None:
    await say(house, "M-3", "5", channel="1.8.1")
    [stranger] = (await house.get("/unknown-meters", "egor", kind="foreign")).json()["items"]
    assert (stranger["meter"], stranger["known"], stranger["owner"], stranger["gateways"]) == (
        "M-3",
        True,
        "gw",
        ["gw-7"],
    )
