"""How errors are declared in OpenAPI: one problem document for every status an operation may answer."""

from __future__ import annotations

from typing import Any

from api.service_schemas import ProblemOut

_DESCRIPTIONS = {
    400: "The request cannot be read: broken JSON, for example.",
    401: "No token, or one that is unknown, expired or revoked.",
    403: "The token's role may not do this.",
    404: "There is no such thing, or it is not visible to this token: nobody can tell which.",
    405: "The method is not served at this address.",
    409: "It contradicts what is known; `code` says how, and nothing was stored.",
    413: "The body is too large.",
    415: "The body is of a type that is not taken here.",
    422: "Fields are wrong: `errors` names each with the value that came and the remedy.",
    429: "The token asks too often; try again after `Retry-After` seconds.",
    500: "A fault of ours; `detail` has the reference under which it is logged.",
    503: "Not available just now; try again after `Retry-After` seconds.",
}


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of an operation that may answer these statuses, and those every operation may answer."""
    return {
        status: {"model": ProblemOut, "description": _DESCRIPTIONS[status]}
        for status in sorted({*statuses, 401, 403, 422, 429, 500, 503})
    }


def open_errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The same for operations that need no token and take no fields."""
    return {status: {"model": ProblemOut, "description": _DESCRIPTIONS[status]} for status in statuses}
