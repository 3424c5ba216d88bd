"""Who asks, and which points they may see. What somebody may not see does not exist for them: 404, never 403."""

from __future__ import annotations

import math
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import Request, Security
from fastapi.routing import APIRoute
from fastapi.security import HTTPBearer

from api.context import context_of
from api.doorkeeper import READ, WRITE, Caller, Role
from api.faults import Fault
from api.instants import Range
from api.problems import Problem, invalid, not_found
from storage import points
from storage.points import Seen

_LONGEST_CODE = 200


class _Gate(HTTPBearer):
    """Lets in whoever has a token with one scope: one dependency, because every one costs each request its share."""

    def __init__(self, scope: str) -> None:
        said = "A token of `amr token create`, or of the identity provider."
        super().__init__(auto_error=False, scheme_name="bearer", description=said)
        self._scope = scope

    async def __call__(self, request: Request) -> Caller:  # type: ignore[override]
        """Who asks. Raises 401 for a missing, unknown, expired or revoked token, 403 for one without the scope, 429
        for one that asks too often.
        """
        caller = caller_of(request) or await self._admit(request)
        if self._scope not in caller.scopes:
            challenge = f'Bearer realm="amr", error="insufficient_scope", scope="{self._scope}"'
            raise Problem("insufficient_scope", headers={"WWW-Authenticate": challenge}, scope=self._scope)
        if request.scope["query_string"]:
            _refuse_unexpected(request)
        return caller

    async def _admit(self, request: Request) -> Caller:
        given = await super().__call__(request)
        here = context_of(request)
        header_came = request.headers.get("authorization") is not None
        caller = await here.doorkeeper.admit(given.credentials if given else None, header_came)
        request.state.caller = caller
        wait = here.limiter.take(caller.key)
        if wait:
            seconds = math.ceil(wait)
            raise Problem("too_many_requests", headers={"Retry-After": str(seconds)}, seconds=seconds)
        return caller


def _refuse_unexpected(request: Request) -> None:
    """Raise the 422 naming the parameters of an operation that has none; the others' own models refuse strange ones."""
    route, given = request.scope["route"], request.query_params.multi_items()
    if given and isinstance(route, APIRoute) and not route.dependant.query_params:
        raise invalid(*(Fault(name, value, "unknown_field") for name, value in given))


Asking = Annotated[Caller, Security(_Gate(READ))]
"""Whoever may read."""

Entering = Annotated[Caller, Security(_Gate(WRITE))]
"""Whoever may type in readings."""


def caller_of(request: Request) -> Caller | None:
    """Who asked, once known: None for a request without a valid token."""
    caller = getattr(request.state, "caller", None)
    return caller if isinstance(caller, Caller) else None


def require(*roles: Role) -> Callable[..., Coroutine[Any, Any, Caller]]:
    """A dependency that lets in only these roles; others get 403 (of an operation, never of a point)."""

    async def allowed(caller: Asking) -> Caller:
        if caller.role not in roles:
            raise Problem("forbidden", role=caller.role.value, allowed=", ".join(role.value for role in roles))
        return caller

    return allowed


def point_code(code: str) -> str:
    """A point's code from an address. Raises the 404 for one that no point can have."""
    if not 0 < len(code) <= _LONGEST_CODE or not code.isprintable():
        raise not_found(code)
    return code


async def see(conn: Any, caller: Caller, code: str) -> Seen:
    """The point, as far as the caller may see it. Raises the 404 that tells nothing."""
    seen = await points.find(conn, point_code(code), caller.consumer)
    if seen is None:
        raise not_found(code)
    return seen


async def see_all(conn: Any, caller: Caller, codes: Sequence[str]) -> dict[str, Seen]:
    """The points, as far as the caller may see them. Raises the same 404 for the first that is not visible."""
    seen = await points.find_many(conn, [point_code(code) for code in codes], caller.consumer)
    for code in codes:
        if code not in seen:
            raise not_found(code)
    return seen


def visible(seen: Seen, asked: Range) -> list[Range]:
    """The parts of a range that the caller may see, oldest first."""
    if seen.periods is None:
        return [asked]
    return [part for since, until in seen.periods if (part := asked.within(since, until)) is not None]


def everything(seen: Seen) -> list[Range]:
    """All the time the caller may see, oldest first."""
    return visible(seen, Range(_FIRST, _LAST))


_FIRST = datetime(1970, 1, 1, tzinfo=UTC)
_LAST = datetime(2200, 1, 1, tzinfo=UTC)
