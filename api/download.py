"""Answers that are files: sent while they are made, and refused as problems while that is still possible."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

from fastapi.responses import StreamingResponse

CSV = "text/csv"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
PDF = "application/pdf"


async def download(pieces: AsyncIterator[bytes], media_type: str, name: str) -> StreamingResponse:
    """A file of that name. Whatever goes wrong before its first piece is raised here, and answered as a problem.

    What goes wrong later breaks the transfer off: the client sees an incomplete answer, never a short file.
    """
    first = await anext(pieces, b"")
    headers = {
        "Content-Disposition": f"attachment; filename=\"{_ascii(name)}\"; filename*=UTF-8''{quote(name)}",
        "Cache-Control": "private, no-store",
        "Vary": "Accept-Language",
        "X-Content-Type-Options": "nosniff",
    }
    return StreamingResponse(_all(first, pieces), headers=headers, media_type=media_type)


async def _all(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for piece in rest:
        yield piece


def _ascii(name: str) -> str:
    return "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "_" for c in name)


def files(*media_types: str, description: str) -> dict[int | str, dict[str, Any]]:
    """How an operation that answers a file is declared: text or bytes of one of these types."""
    content = {
        media_type: {
            "schema": {"type": "string"} if media_type.startswith("text/") or media_type.endswith("xml")
            else {"type": "string", "contentMediaType": media_type}
        }
        for media_type in media_types
    }  # fmt: skip
    disposition = {"description": "The name of the file.", "schema": {"type": "string"}}
    return {200: {"description": description, "content": content, "headers": {"Content-Disposition": disposition}}}
