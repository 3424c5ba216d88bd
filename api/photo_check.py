"""Whether bytes are a photo: by their first bytes, their dimensions and a whole decoding. The only place with Pillow.

Nothing of the file is changed: it is kept as evidence of what the display showed.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import struct
import warnings
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from PIL import Image as Pillow
from PIL import UnidentifiedImageError

from api.faults import Fault
from api.problems import Problem, invalid
from api.texts import Text
from ingest.errors import Busy
from storage.attachments import Image

MOST_PIXELS = 40_000_000
LEAST_SIDE = 64
"""Anything smaller shows no display."""

_MAGIC: Mapping[str, bytes] = {"image/jpeg": b"\xff\xd8\xff", "image/png": b"\x89PNG\r\n\x1a\n"}
TYPES = tuple(_MAGIC)
_FORMATS = {"image/jpeg": "JPEG", "image/png": "PNG"}
_DECODER = ThreadPoolExecutor(1, thread_name_prefix="photo")
"""One photo is decoded at a time: each may take as much memory as it has pixels."""
_MOST_WAITING = 16
_waiting = 0
_T = TypeVar("_T")


def check_type(header: str | None) -> str:
    """The media type of a Content-Type header. Raises the 415 naming what came and what may come."""
    media_type = (header or "").partition(";")[0].strip().lower()
    if media_type not in _MAGIC:
        raise Problem("unsupported_media_type", value=media_type[:80] or "-", types=", ".join(TYPES))
    return media_type


async def look_at(content: bytes, media_type: str) -> Image:
    """The photo that the bytes are. Raises the 422 saying why they are none, Busy when too many wait for a look."""
    _check_magic(content, media_type)
    global _waiting
    if _waiting >= _MOST_WAITING:
        raise Busy(f"{_waiting} photos wait to be looked at; try again in a moment")
    _waiting += 1
    try:
        width, height = await asyncio.get_running_loop().run_in_executor(_DECODER, _decode, content, media_type)
    finally:
        _waiting -= 1
    return Image(content, hashlib.sha256(content).digest(), media_type, width, height)


def _check_magic(content: bytes, media_type: str) -> None:
    if not content:
        raise invalid(Fault("body", None, "empty", what=Text("one photo", "одно фото")))
    found = next((name for name, magic in _MAGIC.items() if content.startswith(magic)), None)
    if found is None:
        raise invalid(Fault("body", content[:8].hex(" "), "not_a_photo"))
    if found != media_type:
        raise invalid(Fault("Content-Type", media_type, "other_type", found=found))


def _decode(content: bytes, media_type: str) -> tuple[int, int]:
    """Width and height, after every pixel was decoded once."""
    with _opened(content, media_type) as photo:
        width, height = photo.size
        shown = f"{width}x{height}"
        if width * height > MOST_PIXELS:
            raise invalid(Fault("body", shown, "too_many_pixels", most=MOST_PIXELS // 1_000_000))
        if min(width, height) < LEAST_SIDE:
            raise invalid(Fault("body", shown, "too_few_pixels", least=LEAST_SIDE))
        photo.draft("RGB", (width // 8, height // 8))  # a JPEG is read whole all the same, for a 64th of the memory
        _sound(photo.load)
    return width, height


def _opened(content: bytes, media_type: str) -> Pillow.Image:
    """The photo with its header read. The library's own warning of large ones is ours to give."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Pillow.DecompressionBombWarning)
        return _sound(lambda: Pillow.open(io.BytesIO(content), formats=(_FORMATS[media_type],)))


def _sound(read: Callable[[], _T]) -> _T:
    """What reading the file gives. Raises the 422 for everything that damaged files make the library raise."""
    try:
        return read()
    except Pillow.DecompressionBombError as e:
        raise invalid(Fault("body", None, "too_many_pixels", most=MOST_PIXELS // 1_000_000)) from e
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, IndexError, EOFError, struct.error) as e:
        raise invalid(Fault("body", str(e), "damaged_photo")) from e
