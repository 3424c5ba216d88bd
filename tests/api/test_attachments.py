"""Photos of displays: only real ones are taken, only beside an entry, and only those who may see it get them."""

from __future__ import annotations

import io
import struct
import zlib
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from PIL import Image

from api.attachment_schemas import PhotoOut, PhotosPage
from storage import attachments
from storage.policy import StoragePolicy
from storage.retention import retain
from tests.api.conftest import House, bearer

WHEN = "2023-01-20T12:00:00+04:00"
BODY = {"taken_at": WHEN, "values": {"1.8.1": "100", "1.8.2": "50"}}


def picture(kind: str = "JPEG", size: tuple[int, int] = (320, 240), colour: int = 0x336699) -> bytes:
    """A real photo."""
    file = io.BytesIO()
    Image.new("RGB", size, colour).save(file, kind)
    return file.getvalue()


async def add(
    house: House, content: bytes, who: str = "vera", media_type: str = "image/jpeg", at: str = WHEN, **more: Any
) -> httpx.Response:
    """Send a photo for flat-2."""
    headers = {**bearer(who), "Content-Type": media_type, **more}
    return await house.client.post(
        "/api/v1/points/flat-2/photos", params={"taken_at": at}, content=content, headers=headers
    )


@pytest.fixture
async def entered(house: House) -> House:
    """The house with one entry of vera's."""
    assert (await house.post("/points/flat-2/readings", "vera", BODY)).status_code == 201
    return house


@pytest.mark.parametrize(("kind", "ending"), [("JPEG", "jpg"), ("PNG", "png")])
async def test_a_photo_comes_back_as_it_was_sent_and_as_nothing_else(entered: House, kind: str, ending: str) -> None:
    content = picture(kind)
    answer = await add(entered, content, media_type=f"image/{kind.lower()}")
    assert answer.status_code == 201, answer.text
    photo = PhotoOut.model_validate_json(answer.content)
    assert (photo.width, photo.height, photo.size, photo.source, photo.author) == (
        320,
        240,
        len(content),
        "consumer",
        "vera",
    )
    assert photo.taken_at == datetime.fromisoformat(WHEN)
    got = await entered.get(f"/points/flat-2/photos/{photo.id}", "vera")
    assert got.content == content
    assert got.headers["content-type"] == f"image/{kind.lower()}"
    assert got.headers["content-disposition"] == f'attachment; filename="photo-{photo.id}.{ending}"'
    assert got.headers["x-content-type-options"] == "nosniff"
    listed = PhotosPage.model_validate_json((await entered.get("/points/flat-2/photos", "vera")).content)
    assert listed.items == [photo]


async def test_the_same_photo_again_is_the_same_and_the_sixth_is_one_too_many(entered: House) -> None:
    photos = [picture(colour=n * 40) for n in range(6)]
    first = await add(entered, photos[0])
    again = await add(entered, photos[0])
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    for content in photos[1:5]:
        assert (await add(entered, content)).status_code == 201
    refused = await add(entered, photos[5])
    assert (refused.status_code, refused.json()["code"]) == (409, "too_many_photos")
    page = (await entered.get("/points/flat-2/photos", "vera", limit=3)).json()
    rest = (await entered.get("/points/flat-2/photos", "vera", limit=3, cursor=page["next"])).json()
    numbers = [item["id"] for item in (*page["items"], *rest["items"])]
    assert numbers == sorted(numbers, reverse=True)
    assert (len(numbers), rest["next"]) == (5, None)


def bomb() -> bytes:
    """A PNG of a few bytes that claims 30000 x 30000 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")
    )


WRONG = [
    (b"", "image/jpeg", 422, "empty", "body"),
    (b"<svg onload=alert(1)>", "image/jpeg", 422, "not_a_photo", "body"),
    (b"GIF89a" + b"\0" * 100, "image/png", 422, "not_a_photo", "body"),
    (picture("PNG"), "image/jpeg", 422, "other_type", "Content-Type"),
    (picture()[:-200], "image/jpeg", 422, "damaged_photo", "body"),
    (picture("PNG")[:150], "image/png", 422, "damaged_photo", "body"),
    (b"\xff\xd8\xff" + b"no photo" * 20, "image/jpeg", 422, "damaged_photo", "body"),
    (bomb(), "image/png", 422, "too_many_pixels", "body"),
    (picture("PNG", (6500, 6500)), "image/png", 422, "too_many_pixels", "body"),
    (picture(size=(10, 500)), "image/jpeg", 422, "too_few_pixels", "body"),
    (picture(), "application/json", 415, "unsupported_media_type", None),
    (picture(), "image/webp", 415, "unsupported_media_type", None),
    (b"\xff\xd8\xff" + b"\0" * 9_000_000, "image/jpeg", 413, "too_large", None),
]


async def test_what_is_no_photo_is_refused_by_name(entered: House, subtests: pytest.Subtests) -> None:
    for content, media_type, status, code, field in WRONG:
        with subtests.test(code=code, media_type=media_type, size=len(content)):
            answer = await add(entered, content, media_type=media_type)
            assert answer.status_code == status, answer.text
            problem = answer.json()
            found = problem["errors"][0] if field else problem
            assert found["code"] == code
            if field:
                assert found["field"] == field
                assert found["remedy"]
    assert (await entered.get("/points/flat-2/photos", "vera")).json()["items"] == []


async def test_refusals_are_told_in_russian(entered: House) -> None:
    answer = await add(entered, b"nothing", **{"Accept-Language": "ru"})
    assert answer.json()["errors"][0]["message"] == "файл не похож ни на JPEG, ни на PNG"


async def test_a_photo_needs_an_entry_of_its_sender(entered: House) -> None:
    other = await add(entered, picture(), at="2023-01-21T12:00:00+04:00")
    assert (other.status_code, other.json()["errors"][0]["code"]) == (422, "no_entry")
    operator = await add(entered, picture(), "olga")
    assert operator.json()["errors"][0]["code"] == "no_entry"
    outside = await add(entered, picture(), at="2023-01-07T12:00:00+04:00")
    assert outside.json()["errors"][0]["code"] == "no_entry"
    assert (await entered.post("/points/flat-2/readings", "olga", BODY)).status_code == 201
    kept = await add(entered, picture(), "olga")
    assert (kept.status_code, kept.json()["source"]) == (201, "operator")
    shown = (await entered.get("/points/flat-2/photos", "vera", taken_at=WHEN)).json()["items"]
    assert (await entered.get("/points/flat-2/photos", "vera", taken_at="2023-01-21T00:00:00Z")).json()["items"] == []
    assert [(item["id"], item["author"]) for item in shown] == [(kept.json()["id"], None)]


async def test_only_those_who_may_see_the_entry_see_its_photo(entered: House) -> None:
    number = (await add(entered, picture())).json()["id"]
    path = f"/points/flat-2/photos/{number}"
    assert (await entered.get(path, "olga")).status_code == 200
    assert (await entered.get(path, "boris")).status_code == 404
    assert (await entered.get(path.replace("flat-2", "flat-3"), "olga")).status_code == 404
    assert (await entered.get("/points/flat-2/photos/999", "vera")).json()["code"] == "not_found"
    async with entered.database.connection() as conn:
        await conn.execute("UPDATE contract SET until = '2023-01-20T07:00Z' WHERE consumer = 'vera' AND until IS NULL")
    assert (await entered.get(path, "vera")).status_code == 404
    assert (await entered.get("/points/flat-2/photos", "vera")).json()["items"] == []


@pytest.mark.parametrize("number", ["0", "-1", "1.5", "..%2F..%2Fetc%2Fpasswd", "9" * 30, "1'--", "%00"])
async def test_a_number_is_nothing_but_a_number(entered: House, number: str) -> None:
    assert (await entered.get(f"/points/flat-2/photos/{number}", "vera")).status_code in (404, 422)


async def test_a_photo_goes_when_its_readings_go(entered: House) -> None:
    await add(entered, picture())
    policy, now = StoragePolicy(keep=timedelta(days=30)), datetime(2023, 6, 1, tzinfo=UTC)
    await retain(entered.database, policy, now)
    assert len((await entered.get("/points/flat-2/photos", "vera")).json()["items"]) == 1, "the first of its day stays"
    async with entered.database.connection() as conn:
        assert await attachments.forget(conn, now) == 0
        await conn.execute("DELETE FROM reading WHERE register_id = (SELECT min(register_id) FROM reading)")
        assert await attachments.forget(conn, now) == 0, "one zone is still there"
        await conn.execute("DELETE FROM reading")
        assert await attachments.forget(conn, datetime(2023, 1, 1, tzinfo=UTC)) == 0
        assert await attachments.forget(conn, now) == 1
