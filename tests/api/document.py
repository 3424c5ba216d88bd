"""The served contract, taken apart."""

from __future__ import annotations

from typing import Any

from tests.api.conftest import House


async def served(house: House) -> dict[str, Any]:
    """The OpenAPI document as clients get it."""
    answer = await house.client.get("/openapi.json")
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    return found


def operations(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    """Method, path and description of each operation."""
    return [
        (method, path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
