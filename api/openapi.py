"""The contract as OpenAPI 3.1: what the framework writes of the routes, made true for problems."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from api.examples import ANSWERS, problems_of
from api.problems import MEDIA_TYPE

VERSION = "1.0"
"""Of the contract; `api.contract` says what changes it."""

TAGS = [
    {"name": "points", "description": "Metering points: places consumption is owed at."},
    {"name": "readings", "description": "What the registers showed, automatic and typed in."},
    {"name": "consumption", "description": "Energy over intervals, computed from the readings."},
    {"name": "codes", "description": "The stable codes of problems and what they mean."},
    {"name": "health", "description": "For whoever runs the service."},
]


def describe(document: dict[str, Any]) -> dict[str, Any]:
    """The same document with an example for every answer, and every error answered as a problem document."""
    for name in ("HTTPValidationError", "ValidationError"):  # the framework's guess for what takes any text
        document["components"]["schemas"].pop(name, None)
    for operation in _operations(document):
        if "HTTPValidationError" in str(operation["responses"].get("422")):
            del operation["responses"]["422"]
        for status, response in operation["responses"].items():
            content = response["content"].pop("application/json")
            if int(status) >= 400:
                content["examples"] = problems_of(operation["operationId"], int(status))
                response["content"][MEDIA_TYPE] = content
            else:
                if (example := ANSWERS.get(operation["operationId"])) is not None:
                    content["example"] = example
                response["content"]["application/json"] = content
    return document


def _operations(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for path in document["paths"].values():
        yield from (operation for operation in path.values() if isinstance(operation, dict))
