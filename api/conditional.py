"""Validators of pages: an answer that the client already has is not sent again."""

from __future__ import annotations

import hashlib
import re

from fastapi import Request, Response
from fastapi.responses import StreamingResponse

_TAG = re.compile(r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"')


def unless_known(request: Request, response: Response) -> Response:
    """The response with an ETag, or 304 when the client's If-None-Match has it. Only whole answers to GET have one.

    The tag is weak: the same answer compressed and plain is one answer.
    """
    if request.method != "GET" or response.status_code != 200 or isinstance(response, StreamingResponse):
        return response
    tag = f'W/"{hashlib.blake2b(response.body, digest_size=16).hexdigest()}"'
    response.headers["ETag"] = tag
    if not _has(request.headers.get("if-none-match", ""), tag):
        return response
    kept = ("etag", "cache-control", "vary", "last-modified")
    return Response(
        status_code=304, headers={name: response.headers[name] for name in kept if name in response.headers}
    )


def _has(header: str, tag: str) -> bool:
    """Whether If-None-Match names the tag, compared weakly; '*' names every one."""
    return header.strip() == "*" or any(
        known.removeprefix("W/") == tag.removeprefix("W/") for known in _TAG.findall(header)
    )
