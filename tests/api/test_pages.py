"""What costs nothing twice: ETags and compression; and which pages of the web may call us."""

from __future__ import annotations

from datetime import datetime
from email.utils import parsedate_to_datetime

import pytest

from api.context import ApiSettings
from tests.api.conftest import START, House, bearer, daily

ADDRESS = "/api/v1/points/flat-2/readings"


async def test_an_unchanged_page_is_not_sent_again(house: House) -> None:
    await house.store(*daily("M-2", "1.8.1", "1", "1", 3))
    first = await house.client.get(ADDRESS, headers=bearer("olga"))
    tag = first.headers["etag"]
    for known in (tag, tag.removeprefix("W/"), f'"other", {tag}', "*"):
        again = await house.client.get(ADDRESS, headers={**bearer("olga"), "If-None-Match": known})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    for unknown in ('"other"', "", "W/", tag[:-2]):
        again = await house.client.get(ADDRESS, headers={**bearer("olga"), "If-None-Match": unknown})
        assert (again.status_code, again.content) == (200, first.content)


async def test_anything_new_changes_the_tag(house: House) -> None:
    tags = set()
    for day in range(3):
        await house.store(*daily("M-2", "1.8.1", "1", "1", day + 1))
        tags.add((await house.client.get(ADDRESS, headers=bearer("olga"))).headers["etag"])
    await house.post("/points/flat-2/readings", "vera", {"taken_at": START.isoformat(), "values": {"1.8.2": 5}})
    tags.add((await house.client.get(ADDRESS, headers=bearer("olga"))).headers["etag"])
    assert len(tags) == 4


async def test_the_latest_readings_say_when_they_came(house: House) -> None:
    address = "/api/v1/points/flat-2/readings/latest"
    assert "last-modified" not in (await house.client.get(address, headers=bearer("olga"))).headers
    await house.store(*daily("M-2", "1.8.1", "1", "1", 3))
    answer = await house.client.get(address, headers=bearer("olga"))
    came = datetime.fromisoformat(answer.json()["items"][0]["received_at"])
    assert parsedate_to_datetime(answer.headers["last-modified"]) == came.replace(microsecond=0)
    known = {**bearer("olga"), "If-None-Match": answer.headers["etag"]}
    again = await house.client.get(address, headers=known)
    assert (again.status_code, again.headers["last-modified"]) == (304, answer.headers["last-modified"])


async def test_errors_have_no_tag(house: House) -> None:
    answer = await house.client.get("/api/v1/points/nowhere", headers={**bearer("olga"), "If-None-Match": "*"})
    assert answer.status_code == 404
    assert "etag" not in answer.headers


async def test_long_answers_are_compressed_for_those_who_can(house: House) -> None:
    await house.store(*daily("M-2", "1.8.1", "1", "1", 50))
    packed = await house.client.get(ADDRESS, headers={**bearer("olga"), "Accept-Encoding": "gzip"})
    plain = await house.client.get(ADDRESS, headers={**bearer("olga"), "Accept-Encoding": "identity"})
    assert packed.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert packed.content == plain.content
    assert int(packed.headers["content-length"]) * 3 < int(plain.headers["content-length"])
    assert packed.headers["etag"] == plain.headers["etag"]


async def test_other_origins_are_not_invited_by_default(house: House) -> None:
    answer = await house.client.get(ADDRESS, headers={**bearer("olga"), "Origin": "https://cabinet.example"})
    assert "access-control-allow-origin" not in answer.headers


class TestOrigins:
    """With an origin named by the deployment."""

    @pytest.fixture
    def settings(self) -> ApiSettings:
        return ApiSettings(origins=("https://cabinet.example",))

    async def test_named_origins_may_call_and_others_may_not(self, house: House) -> None:
        asked = {"Origin": "https://cabinet.example", "Access-Control-Request-Method": "POST"}
        headers = "authorization,content-type,idempotency-key"
        preflight = await house.client.options(ADDRESS, headers={**asked, "Access-Control-Request-Headers": headers})
        assert preflight.status_code == 200
        assert preflight.headers["access-control-allow-origin"] == "https://cabinet.example"
        assert "POST" in preflight.headers["access-control-allow-methods"]
        foreign = await house.client.options(ADDRESS, headers={**asked, "Origin": "https://evil.example"})
        assert "access-control-allow-origin" not in foreign.headers

    async def test_errors_can_be_read_by_the_page_too(self, house: House) -> None:
        origin = {"Origin": "https://cabinet.example"}
        for headers, status in (({}, 401), (bearer("olga"), 422)):
            answer = await house.client.get(f"{ADDRESS}?limit=x", headers={**origin, **headers})
            assert answer.status_code == status
            assert answer.headers["access-control-allow-origin"] == "https://cabinet.example"

    async def test_the_page_may_read_where_what_it_made_is(self, house: House) -> None:
        headers = {**bearer("boris"), "Origin": "https://cabinet.example"}
        made = await house.client.post("/api/v1/points/flat-1/reading-requests", headers=headers)
        assert made.headers["location"].endswith(f"/reading-requests/{made.json()['number']}")
        assert "Location" in made.headers["access-control-expose-headers"]

    async def test_faults_of_ours_can_be_read_by_the_page_too(self, house: House) -> None:
        async with house.database.connection() as conn:
            await conn.execute("ALTER TABLE point DROP COLUMN address")
        headers = {**bearer("olga"), "Origin": "https://cabinet.example"}
        answer = await house.client.get("/api/v1/points", headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (500, "internal")
        assert answer.headers["access-control-allow-origin"] == "https://cabinet.example"
        assert "address" not in answer.text
