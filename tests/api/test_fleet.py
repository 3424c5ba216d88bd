"""The fleet over HTTP: for engineers only, by the rules and with the messages of the command line."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from api.problem_examples import ROLES
from storage import fleet_lock
from tests.api.conftest import House, bearer
from tests.api.document import operations, served

FILE = """
[[point]]
code = "flat-4"
zone = "Europe/Samara"
[[meter]]
serial = "M-4"
model = "sdm630"
line = "bus"
address = "4"
[[installation]]
point = "flat-4"
meter = "M-4"
since = 2024-01-01
opening = {"1.8.0" = "10"}
"""


async def put(house: House, path: str, body: Any, who: str = "egor") -> httpx.Response:
    return await house.client.put(f"/api/v1{path}", json=body, headers=bearer(who))


async def apply(house: House, text: str | bytes, who: str = "egor", **query: str) -> httpx.Response:
    headers = {**bearer(who), "Content-Type": "application/toml"}
    content = text.encode() if isinstance(text, str) else text
    return await house.client.post("/api/v1/fleet", content=content, headers=headers, params=query)


async def test_only_the_roles_of_an_operation_come_in(house: House) -> None:
    staff = {"olga": "operator", "egor": "engineer", "root": "admin", "boris": "consumer"}
    refused = 0
    for method, path, operation in operations(await served(house)):
        if ROLES not in operation:
            continue
        address = path.format(code="flat-1", name="bus", serial="M-1", number=1)
        kept_out = [who for who, role in staff.items() if role not in operation[ROLES]]
        assert kept_out, (method, path)
        for who in kept_out:
            answer = await house.client.request(method, address, headers=bearer(who), json={})
            assert (answer.status_code, answer.json()["code"]) == (403, "forbidden"), (method, path, who)
            refused += 1
        assert (await house.client.request(method, address, json={})).status_code == 401, (method, path)
    async with house.database.connection() as conn:
        rows = await (await conn.execute("SELECT role, count(*) FROM audit WHERE status = 403 GROUP BY 1")).fetchall()
    assert dict(rows)["operator"] >= 20, "what was refused to staff is on record"
    assert refused >= 40


async def test_engineers_look_through_the_fleet(house: House) -> None:
    first = (await house.get("/meters", "egor", limit=3)).json()
    rest = (await house.get("/meters", "root", limit=3, cursor=first["next"])).json()
    assert [one["serial"] for one in first["items"] + rest["items"]] == ["M-1", "M-1-NEW", "M-2", "M-3"]
    assert rest["next"] is None
    assert [one["serial"] for one in (await house.get("/meters", "egor", gateway="gw")).json()["items"]] == ["M-3"]
    on_bus = (await house.get("/meters", "egor", line="bus")).json()["items"]
    assert [(one["serial"], one["point"]) for one in on_bus] == [("M-1", None), ("M-1-NEW", "flat-1")]
    card = (await house.get("/meters/M-1-NEW", "egor")).json()
    assert [register["channel"] for register in card["registers"]] == ["1.8.0", "3.8.0", "32.7.0"]
    assert [stay["point"] for stay in card["installations"]] == ["flat-1"]
    [line] = (await house.get("/lines", "egor")).json()["items"]
    assert (line["name"], line["meters"]) == ("bus", 2)
    history = (await house.get("/points/flat-1/history", "egor")).json()
    assert [one["meter"] for one in history["installations"]] == ["M-1", "M-1-NEW"]
    assert [one["consumer"] for one in history["contracts"]] == ["anna", "boris"]
    assert (await house.get("/models/sdm630", "egor")).json()["registers"][0]["max_rate"] == "20"
    for path in ("/meters/none", "/lines/none", "/models/none", "/meters/%00", "/lines/" + "x" * 300):
        answer = await house.get(path, "egor")
        assert (answer.status_code, answer.json()["code"]) == (404, "no_such_thing"), path


async def test_a_file_is_looked_at_then_applied_and_comes_back(house: House) -> None:
    looked = (await apply(house, FILE, dry_run="true")).json()
    assert (looked["dry_run"], looked["added"]) == (True, 3)
    assert (await house.get("/meters/M-4", "egor")).status_code == 404
    done = (await apply(house, FILE)).json()
    assert (done["dry_run"], done["added"], [one["kind"] for one in done["items"]]) == (
        False,
        3,
        ["point", "meter", "installation"],
    )
    assert (await apply(house, FILE)).json()["items"] == []
    exported = await house.get("/fleet", "egor")
    assert exported.headers["content-type"].startswith("application/toml")
    again = (await apply(house, exported.text)).json()
    assert (again["added"], again["changed"]) == (0, 0), again["text"]


async def test_every_mistake_of_a_file_is_named(house: House) -> None:
    wrong = FILE.replace("Europe/Samara", "Europe/Atlantis").replace("sdm630", "sdm6300")
    answer = await apply(house, wrong)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert [(one["field"], one["value"]) for one in answer.json()["errors"]] == [
        ("point flat-4: zone", "Europe/Atlantis"),
        ("meter M-4: model", "sdm6300"),
    ]
    assert "did you mean 'sdm630'?" in answer.json()["errors"][1]["message"]
    assert answer.json()["errors"][1]["message"].startswith("line 5: ")
    taken = await apply(house, FILE.replace('"M-4"', '"M-2"').replace('line = "bus"\naddress = "4"\n', ""))
    assert (taken.status_code, taken.json()["code"]) == (409, "conflict")
    assert "installation M-2 at flat-4" in taken.json()["detail"]
    assert "the meter is stored at point flat-2" in taken.json()["detail"]
    for body, status in ((b"\xff\xfe", 400), (b"[[point", 422), (b"", 200)):
        assert (await apply(house, body)).status_code == status, body
    too_large = await apply(house, b"#" * (8 * 1024 * 1024 + 1))
    assert (too_large.status_code, too_large.json()["code"]) == (413, "too_large")


async def test_single_things_are_changed_by_the_same_rules(house: House) -> None:
    assert (await put(house, "/points/flat-9", {"name": "Девять", "zone": "Europe/Samara"})).json()["added"] == 1
    line = {"kind": "modbus-tcp", "address": "127.0.0.1:9", "options": {"password": "000000"}}
    assert "000000" not in (await put(house, "/lines/second", line)).text
    shown = (await house.get("/lines/second", "egor")).json()
    assert shown["options"] == {"password": "***"}
    kept = {"kind": "modbus-tcp", "address": "127.0.0.1:10", "options": {"password": "***"}}
    changed = (await put(house, "/lines/second", kept)).json()
    assert [one["field"] for one in changed["items"][0]["changes"]] == ["address"], "stars keep the password"
    assert "000000" not in (await house.get("/fleet", "egor")).text
    meter = {"model": "sdm630", "line": "second", "address": "1", "period": "1h", "verified_until": "2031-05-01"}
    assert (await put(house, "/meters/M-9", meter)).json()["added"] == 1
    assert (await house.get("/meters/M-9", "egor")).json()["verified_until"] == "2031-05-01"
    up = {"meter": "M-9", "since": "2025-01-01", "ct": 40, "opening": {"1.8.0": "3.5"}}
    looked = await house.client.post(
        "/api/v1/points/flat-9/installations", params={"dry_run": "true"}, json=up, headers=bearer("egor")
    )
    assert (looked.status_code, looked.json()["added"]) == (200, 1)
    assert (await house.post("/points/flat-9/installations", "egor", up)).json()["added"] == 1
    assert (await house.post("/points/flat-9/contracts", "egor", {"consumer": "vera", "since": "2025-01-01"})).json()[
        "added"
    ] == 1
    card = (await house.get("/points/flat-9", "vera")).json()
    assert (card["installation"]["meter"], card["installation"]["ratio"]) == ("M-9", "40")
    history = (await house.get("/points/flat-9/history", "egor")).json()
    assert history["installations"][0]["since"] == "2025-01-01T00:00:00+04:00"
    assert history["installations"][0]["opening"] == {"1.8.0": "3.5"}


@pytest.mark.parametrize(
    ("path", "body", "status", "said"),
    [
        ("/meters/M-9", {"model": "nothing"}, 422, "is not in the catalogue"),
        ("/meters/M-9", {"model": "sdm630", "line": "bus", "address": "2"}, 409, "belongs to stored meter M-1-NEW"),
        ("/meters/M-9", {"model": "sdm630", "line": "nowhere", "address": "2"}, 422, "there is no such line"),
        ("/meters/M-9", {"model": "sdm630", "line": "bus"}, 422, "write the meter's address"),
        ("/meters/M-9", {"model": "sdm630", "period": "0s"}, 422, "period"),
        ("/meters/M-9", {"model": "own", "registers": [{"channel": "99.99.9"}]}, 422, "no known unit"),
        ("/lines/bus", {"kind": "telegraph", "address": "x"}, 422, "is not a kind of line"),
        ("/lines/b", {"kind": "modbus-tcp", "address": "127.0.0.1:1"}, 409, "one wire is one line"),
        ("/lines/b", {"kind": "modbus-tcp", "address": "h:1", "options": {"a": None}}, 422, "fleet"),
        ("/points/p", {"zone": "Mars/Base"}, 422, "is not a time zone"),
        ("/points/p", {"official_code": "34-1"}, 409, "belongs to stored point flat-1"),
        ("/points/p", {"name": " x"}, 422, "spaces"),
        ("/points/p", {"nam": "x"}, 422, "there is no such field"),
    ],
)
async def test_what_the_rules_refuse_is_said_as_the_command_line_says_it(
    house: House, path: str, body: dict[str, object], status: int, said: str
) -> None:
    answer = await put(house, path, body)
    assert answer.status_code == status, answer.text
    assert said in answer.json()["detail"]
    assert (await house.get(path, "egor")).status_code == (200 if path == "/lines/bus" else 404), "nothing was stored"


async def test_a_change_beside_another_one_is_told_whose_that_is(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet_lock, "PATIENCE", 0.0)
    point = {"zone": "Europe/Samara"}
    async with house.database.connection() as conn:
        await fleet_lock.lock_fleet(conn, "Иванов")
        for answer in (await put(house, "/points/flat-9", point), await apply(house, FILE)):
            assert (answer.status_code, answer.json()["code"]) == (503, "fleet_busy")
            assert int(answer.headers["retry-after"]) > 0
            assert "Иванов" in answer.json()["detail"]
    assert (await put(house, "/points/flat-9", point)).status_code == 200
