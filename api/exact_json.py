"""Bodies read exactly: numbers never pass through a float, a key written twice is an error, NaN stays a word."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from decimal import Decimal, InvalidOperation
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute

from api.context import Context
from api.faults import Fault
from api.problems import Problem, invalid
from api.texts import Text


class ExactRequest(Request):
    """A request whose JSON has `Decimal` where there was a point or an exponent, and whose body is bounded."""

    async def body(self) -> bytes:
        if not hasattr(self, "_body"):
            self._body = await self._bounded(body_limit_of(self))
        return self._body

    async def _bounded(self, limit: int) -> bytes:
        pieces, size = [], 0
        async for piece in self.stream():
            size += len(piece)
            if size > limit:
                raise Problem("too_large", limit=limit, headers={"Connection": "close"})
            pieces.append(piece)
        return b"".join(pieces)

    async def json(self) -> Any:
        if not hasattr(self, "_json"):
            self._json = decode(await self.body())
        return self._json


class ExactRoute(APIRoute):
    """A route that reads its body by `ExactRequest`."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def exact(request: Request) -> Response:
            return await handle(ExactRequest(request.scope, request.receive))

        return exact


def body_limit_of(request: Request) -> int:
    """How many bytes a body may have."""
    context = request.app.state.context
    assert isinstance(context, Context)
    return context.settings.body_limit


def decode(body: bytes) -> Any:
    """The JSON value of UTF-8 bytes. Raises Problem malformed_json or, for a repeated key, invalid_request."""
    try:
        return json.loads(
            body.decode("utf-8"), parse_float=Decimal, parse_constant=str, object_pairs_hook=_without_repeats
        )
    except json.JSONDecodeError as e:
        raise _malformed(f"{e.msg} at character {e.pos}", f"ошибка у знака {e.pos} ({e.msg})") from e
    except UnicodeDecodeError as e:
        raise _malformed(f"byte {e.start} is not UTF-8", f"байт {e.start} не в UTF-8") from e
    except RecursionError as e:
        raise _malformed("it is nested too deeply", "слишком глубокая вложенность") from e
    except (ValueError, InvalidOperation) as e:
        raise _malformed("a number in it is too long", "слишком длинное число") from e


def _malformed(en: str, ru: str) -> Problem:
    return Problem("malformed_json", reason=Text(en, ru))


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        seen: set[str] = set()
        repeated = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise invalid(Fault(repeated, None, "repeated_key"))
    return members
