"""Problems as RFC 9457 documents, and the one table that turns every error into a status.

A 422 always has code `invalid_request` (or `quarantined`) and says in `errors` which field is wrong, what came and
what to do. All other codes stand alone.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Mapping, Sequence

import orjson
from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException as StarletteHTTPException

from api.faults import Fault, echo
from api.kinds import KINDS
from api.language import language_of
from api.methods import methods_at
from api.texts import Language, Text, in_language
from api.validation import faults_of
from ingest.errors import (
    AmrError,
    Busy,
    Elsewhere,
    FleetConflict,
    Malformed,
    NotFound,
    StoreRejected,
    StoreUnavailable,
    Unreachable,
)
from storage.database import StoreTimeout

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
RETRY_SECONDS = 5
_LONGEST_REASON = 2_000

ERRORS: Mapping[type[AmrError], str] = {
    NotFound: "not_found",
    Malformed: "bad_request",
    StoreRejected: "bad_request",
    FleetConflict: "conflict",
    StoreTimeout: "too_slow",
    StoreUnavailable: "unavailable",
    Busy: "unavailable",
    Elsewhere: "unavailable",
    Unreachable: "unavailable",
}
"""Our own errors by class, the nearest ancestor counts; a class not named here is a fault of ours: 500."""

STATUSES: Mapping[int, str] = {
    400: "bad_request",
    404: "not_found",
    405: "method_not_allowed",
    503: "unavailable",
}
"""What the framework answers by itself."""

_CANNOT_BE_STORED = Text("these values cannot be stored", "такие значения сохранить нельзя")


class Problem(HTTPException):
    """An answer that is an error: a code of `KINDS`, its parameters, the wrong fields and more members of its own."""

    def __init__(
        self,
        code: str,
        *,
        faults: Sequence[Fault] = (),
        headers: Mapping[str, str] | None = None,
        members: Mapping[str, object] | None = None,
        **parameters: object,
    ) -> None:
        super().__init__(KINDS[code].status, detail=code, headers=headers)
        self.code = code
        self.faults = faults
        self.members = members or {}
        self.parameters = parameters

    def render(self, language: Language) -> dict[str, object]:
        """The JSON of the whole problem in one language."""
        kind = KINDS[self.code]
        parameters = in_language(self.parameters, language)
        return {
            "type": f"/problems/{self.code}",
            "title": kind.title.say(language),
            "status": kind.status,
            "code": self.code,
            "detail": kind.detail.say(language, parameters),
            "errors": [fault.render(language) for fault in self.faults],
            **self.members,
        }


def invalid(*faults: Fault) -> Problem:
    """The 422 for wrong fields."""
    first = faults[0]
    return Problem(
        "invalid_request", faults=faults, first=Text(*(_sentence(first, language) for language in ("en", "ru")))
    )


def not_found(point: str) -> Problem:
    """The 404 for a point that is not there, or not for the one who asks: nobody can tell which."""
    return Problem("point_not_found", point=echo(point))


def answer(problem: Problem, request: Request) -> Response:
    """A problem as a response in the language the client asked for."""
    language = language_of(request)
    headers = {**(problem.headers or {}), "Content-Language": language, "Vary": "Accept-Language"}
    headers.setdefault("Cache-Control", "no-store")
    return Response(orjson.dumps(problem.render(language)), problem.status_code, headers, MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Let every error of this application be answered as a problem, outside the cabinet's own routes too."""
    for error in (Problem, StarletteHTTPException, RequestValidationError, AmrError, Exception):
        app.add_exception_handler(error, _handle)


async def _handle(request: Request, error: Exception) -> Response:
    return response_of(error, request)


def response_of(error: Exception, request: Request) -> Response:
    """The answer to any error; what is not known by class is a fault of ours, logged under a reference."""
    if isinstance(error, Problem):
        return answer(error, request)
    if isinstance(error, RequestValidationError):
        return answer(_of_validation(error, request), request)
    if isinstance(error, StarletteHTTPException):
        return answer(_of_framework(error, request), request)
    code = next((ERRORS[c] for c in type(error).__mro__ if c in ERRORS), None)
    if code is None:
        reference = secrets.token_hex(4)
        log.error("fault %s in %s %s", reference, request.method, request.url.path, exc_info=error)
        return answer(Problem("internal", reference=reference), request)
    return answer(_of_ours(code, error, request), request)


def _of_validation(error: RequestValidationError, request: Request) -> Problem:
    if isinstance(error.body, bytes):  # the framework reads no JSON that is not said to be some
        return invalid(Fault("Content-Type", request.headers.get("content-type"), "not_json_type"))
    broken = next((item for item in error.errors() if item["type"] == "json_invalid"), None)
    if broken is not None:
        return Problem("malformed_json", reason=echo(broken["ctx"]["error"]))
    return invalid(*faults_of(error.errors()))


def _of_framework(error: StarletteHTTPException, request: Request) -> Problem:
    """The framework's own refusals: no such path, no such method."""
    code = STATUSES.get(error.status_code, "bad_request" if error.status_code < 500 else "unavailable")
    headers = dict(error.headers or {})
    if error.status_code == 405:  # the framework names the methods of the first route it tried only
        allowed = methods_at(request.app.openapi(), request.url.path)
        headers["Allow"] = ", ".join(allowed) or headers.get("Allow", "GET")
    return Problem(
        code,
        headers=headers,
        reason=echo(error.detail),
        what=echo(request.url.path),
        method=request.method,
        allowed=headers.get("Allow", ""),
        seconds=RETRY_SECONDS,
    )


def _of_ours(code: str, error: Exception, request: Request) -> Problem:
    headers = {}
    if KINDS[code].status == 503:
        log.warning("%s %s: %s", request.method, request.url.path, error)
        headers = {"Retry-After": str(RETRY_SECONDS)}
    reason = _CANNOT_BE_STORED if isinstance(error, StoreRejected) else _in_one_line(error)
    return Problem(code, headers=headers, reason=reason, what=echo(request.url.path), seconds=RETRY_SECONDS)


def _in_one_line(error: Exception) -> str | None:
    """What an error of ours says: a conflict of the fleet names everything, each on its own line."""
    return echo(" ".join(str(error).splitlines()), _LONGEST_REASON)


def _sentence(fault: Fault, language: Language) -> str:
    said = fault.render(language)
    value = "" if fault.value is None else f" {fault.value!r}"
    return f"{said['field']}{value}: {said['message']}; {said['remedy']}"
