"""The JSON of photos of displays, and examples of it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from api.fields import Output, SourceName


class PhotoOut(Output):
    """A photo kept beside an entry: what was typed in at the point for `taken_at`, by its source."""

    id: int
    point: str = Field(examples=["flat-12"])
    meter: str
    taken_at: datetime = Field(description="of the entry: its `taken_at`")
    source: SourceName
    media_type: Literal["image/jpeg", "image/png"]
    width: int = Field(description="pixels")
    height: int = Field(description="pixels")
    size: int = Field(description="bytes")
    added_at: datetime
    author: str | None = Field(description="for staff, and for the author")


class PhotosPage(Output):
    """Photos, the youngest first; `next` is the cursor of the next page, null on the last."""

    items: list[PhotoOut]
    next: str | None


_PHOTO = {
    "id": 17,
    "point": "flat-12",
    "meter": "SDM630-0001",
    "taken_at": "2026-03-20T19:30:00+04:00",
    "source": "consumer",
    "media_type": "image/jpeg",
    "width": 3024,
    "height": 4032,
    "size": 2481033,
    "added_at": "2026-03-20T19:31:02+04:00",
    "author": "consumer-77",
}

ANSWERS: Mapping[str, Any] = {"addPhoto": _PHOTO, "listPhotos": {"items": [_PHOTO], "next": None}}
"""What the operations answer, by operation id."""
