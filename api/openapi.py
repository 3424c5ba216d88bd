"""The contract as OpenAPI 3.1: what the framework writes of the routes, made true for problems."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

MEDIA_TYPE = "application/problem+json"
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


def methods_at(document: dict[str, Any], path: str) -> list[str]:
    """The methods served at an address, as the contract has them."""
    found = {
        method.upper()
        for template, methods in document["paths"].items()
        if re.fullmatch(re.sub(r"\{[^}]*\}", "[^/]+", template), path)
        for method in methods
    }
    return sorted(found)


def _operations(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for path in document["paths"].values():
        yield from (operation for operation in path.values() if isinstance(operation, dict))
