"""The contract as OpenAPI 3.1: what the framework writes of the routes, made true for problems."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from api import (
    attachment_schemas,
    correction_schemas,
    event_schemas,
    fleet_examples,
    power_quality_schemas,
    request_schemas,
    service_request_schemas,
    xml80020_schemas,
)
from api.examples import ANSWERS
from api.problem_examples import problems_of
from api.problems import MEDIA_TYPE

EXAMPLES = {
    **ANSWERS,
    **attachment_schemas.ANSWERS,
    **correction_schemas.ANSWERS,
    **event_schemas.ANSWERS,
    **power_quality_schemas.ANSWERS,
    **request_schemas.ANSWERS,
    **service_request_schemas.ANSWERS,
    **fleet_examples.ANSWERS,
    **xml80020_schemas.ANSWERS,
}
"""One answer of each operation, by its id; what each room brings is put together here."""

_JSON, _STREAM = "application/json", "text/event-stream"

VERSION = "1.0"
"""Of the contract; `api.contract` says what changes it."""

TAGS = [
    {"name": "points", "description": "Metering points: places consumption is owed at."},
    {"name": "readings", "description": "What the registers showed, automatic and typed in."},
    {"name": "requests", "description": "What people ask for: a reading now, work on a meter; and how it goes on."},
    {"name": "consumption", "description": "Energy over intervals, computed from the readings."},
    {"name": "exports", "description": "The same as files: tables, monthly statements, 80020, Green Button."},
    {"name": "fleet", "description": "For engineers: the catalogue, lines, meters, and their history at the points."},
    {"name": "quarantine", "description": "For engineers: what could not become a reading, and meters not let in."},
    {"name": "codes", "description": "The stable codes of problems and what they mean."},
    {"name": "health", "description": "For whoever runs the service."},
]


def describe(document: dict[str, Any]) -> dict[str, Any]:
    """The same document with an example for every JSON answer, and every error answered as a problem document."""
    for name in ("HTTPValidationError", "ValidationError"):  # the framework's guess for what takes any text
        document["components"]["schemas"].pop(name, None)
    for schema in document["components"]["schemas"].values():
        _say_defaults(schema.get("properties", {}))
    for path, operation in _operations(document):
        if "HTTPValidationError" in str(operation["responses"].get("422")):
            del operation["responses"]["422"]
        for status, response in operation["responses"].items():
            if int(status) >= 400:
                _, content = response["content"].popitem()  # named after what the operation answers otherwise
                content["examples"] = problems_of(path, operation, int(status))
                response["content"][MEDIA_TYPE] = content
            elif _STREAM in response.get("content", {}):  # OpenAPI 3.1 has no word for the items of a stream
                response["content"][_STREAM] = {"schema": {"type": "string"}, "example": event_schemas.STREAM}
            elif _JSON in response.get("content", {}) and operation["operationId"] in EXAMPLES:
                response["content"][_JSON]["example"] = EXAMPLES[operation["operationId"]]
    return document


def _say_defaults(properties: dict[str, Any]) -> None:
    """Tell defaults in words: generators take a field that has one for a field that is always there."""
    for schema in properties.values():
        if schema.get("default") is not None:
            said = f"{json.dumps(schema.pop('default'))} when it is left out"
            schema["description"] = f"{schema['description']}; {said}" if "description" in schema else said


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        yield from ((path, operation) for operation in methods.values() if isinstance(operation, dict))
