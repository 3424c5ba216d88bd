"""How every operation of the cabinet runs: an exact body in; a problem, a record and a validator out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from prometheus_client import Histogram

from api.access import caller_of
from api.conditional import unless_known
from api.context import context_of
from api.exact_json import decode
from api.metrics import REQUESTS
from api.patience import BODY, SLOWEST
from api.problems import Problem, response_of
from api.texts import Text
from storage import audit


class ExactRequest(Request):
    """A request whose JSON has `Decimal` where there was a point or an exponent, and whose body is bounded."""

    def body_limit(self) -> int:
        """The most bytes that are read of it."""
        return context_of(self).settings.body_limit

    async def body(self) -> bytes:
        if not hasattr(self, "_body"):
            self._body = await self._bounded(self.body_limit())
        return self._body

    async def json(self) -> Any:
        if not hasattr(self, "_json"):
            self._json = decode(await self.body())
        return self._json

    async def _bounded(self, limit: int) -> bytes:
        pieces, size = [], 0
        begun = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout_at(begun + BODY) as patience:
                async for piece in self.stream():
                    size += len(piece)
                    if size > limit:
                        raise Problem("too_large", limit=limit, headers={"Connection": "close"})
                    pieces.append(piece)
                    patience.reschedule(begun + BODY + size / SLOWEST)
        except TimeoutError as e:
            reason = Text(
                f"after {size} bytes nothing more of the body came; send it again",
                f"после {size} байт тело запроса перестало приходить; пришлите его ещё раз",
            )
            raise Problem("bad_request", reason=reason, headers={"Connection": "close"}) from e
        return b"".join(pieces)


class FileRequest(ExactRequest):
    """A request whose body is a file: larger, and bounded all the same."""

    def body_limit(self) -> int:
        return context_of(self).settings.file_limit


class CabinetRoute(APIRoute):
    """A route whose errors are problems, whose use by staff and whose writes are on record, and whose pages have ETags.

    Errors are answered here and not in the outer layers, so that CORS headers and compression hold for them too.
    """

    request_class: type[ExactRequest] = ExactRequest

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()
        seconds: dict[int, Histogram] = {}

        async def run(request: Request) -> Response:
            begun = time.perf_counter()
            exact = self.request_class(request.scope, request.receive)
            try:
                response = await handle(exact)
            except Exception as error:  # noqa: BLE001 - the one table of errors decides, and logs what it does not know
                response = response_of(error, exact)
            try:
                await self._record(exact, response.status_code)
            except Exception as error:  # noqa: BLE001 - what cannot be put on record is not shown
                return response_of(error, exact)
            response = unless_known(exact, response)
            status = response.status_code
            if status not in seconds:  # finding the labels costs as much as a look-up of a token
                seconds[status] = REQUESTS.labels(self.operation_id, status)
            seconds[status].observe(time.perf_counter() - begun)
            return response

        return run

    async def _record(self, request: Request, status: int) -> None:
        """Put the use on record: all of staff's, and every write."""
        caller = caller_of(request)
        if caller is None or not (caller.staff or request.method not in ("GET", "HEAD")):
            return
        async with context_of(request).database.single() as conn:
            await audit.write(
                conn,
                actor=caller.name,
                role=caller.role.value,
                operation=self.operation_id or self.name,
                point=request.path_params.get("code") or getattr(request.state, "point", None),
                status=status,
                detail=_detail(request),
                client=request.client.host if request.client else None,
            )


class FileRoute(CabinetRoute):
    """The same for an operation that takes a file."""

    request_class = FileRequest


def _detail(request: Request) -> str:
    """What was asked beside the point: what else the address names, and the query."""
    names = [f"{name}={value}" for name, value in request.path_params.items() if name != "code"]
    return "&".join([*names, *filter(None, [request.url.query])])
