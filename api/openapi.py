"""The contract as OpenAPI 3.1: what the framework writes of the routes, made true for problems."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from api.problems import MEDIA_TYPE

TAGS = [
    {"name": "points", "description": "Metering points: places consumption is owed at."},
    {"name": "readings", "description": "What the registers showed, automatic and typed in."},
    {"name": "consumption", "description": "Energy over intervals, computed from the readings."},
    {"name": "health", "description": "For whoever runs the service."},
]


def describe(document: dict[str, Any]) -> dict[str, Any]:
    """The same document with every error answered as a problem document."""
    for operation in _operations(document):
        for status, response in operation.get("responses", {}).items():
            content = response.get("content", {})
            if status >= "400" and "application/json" in content:
                response["content"] = {MEDIA_TYPE: content["application/json"]}
    return document


def _operations(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for path in document["paths"].values():
        yield from (operation for operation in path.values() if isinstance(operation, dict))
