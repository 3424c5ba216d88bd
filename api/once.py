"""A write under an Idempotency-Key is done once: its repetitions get the first answer, for a day."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Header, Request, Response
from pydantic import BeforeValidator, WithJsonSchema

from api.answers import JSON
from api.context import Context
from api.doorkeeper import Caller
from api.problems import RETRY_SECONDS, Problem
from api.validation import fault
from storage import idempotency
from storage.idempotency import Earlier

_KEY = re.compile(r"[\x21-\x7e]{1,255}")


def _key(text: object) -> object:
    if text is not None and not (isinstance(text, str) and _KEY.fullmatch(text)):
        raise fault("bad_key")
    return text


IdempotencyKey = Annotated[
    str | None,
    BeforeValidator(_key),
    WithJsonSchema({"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[\\x21-\\x7e]+$"}),
    Header(
        alias="Idempotency-Key",
        description="Chosen by the client, new for every write: a retry under it is answered, not done again.",
    ),
]
"""The header of a write that may be retried."""


async def once(
    here: Context, caller: Caller, key: str | None, request: Request, act: Callable[[], Awaitable[Response]]
) -> Response:
    """The answer of `act`, or of the request that came before under the same key.

    Only answers that changed something are kept: after a refusal the key is free again.
    """
    if key is None:
        return await act()
    body = await request.body()
    digest = hashlib.sha256(b"\0".join((request.method.encode(), request.url.path.encode(), body))).digest()
    async with here.database.connection() as conn:
        earlier = await idempotency.begin(conn, caller.key, key, digest)
    if earlier is not None:
        return _again(earlier)
    kept = False
    try:
        response = await act()
        kept = response.status_code < 300
    finally:
        async with here.database.connection() as conn:
            if kept:
                await idempotency.finish(conn, caller.key, key, response.status_code, bytes(response.body))
            else:
                await idempotency.release(conn, caller.key, key)
    return response


def _again(earlier: Earlier) -> Response:
    if not earlier.same:
        raise Problem("key_reused")
    if earlier.status is None:
        raise Problem("still_running", headers={"Retry-After": str(RETRY_SECONDS)}, seconds=RETRY_SECONDS)
    headers = {"Idempotency-Replayed": "true", "Cache-Control": "no-store"}
    return Response(earlier.body, earlier.status, headers, JSON)
