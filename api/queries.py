"""Parameters of addresses: what comes as text and is meant as a number."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, WithJsonSchema

from api.validation import fault

MOST = 5_000


def _limit(text: object) -> int:
    if not isinstance(text, str) or not (text.isascii() and text.isdigit() and len(text) < 10):
        raise fault("out_of_range", least=1, most=MOST)
    if not 1 <= int(text) <= MOST:
        raise fault("out_of_range", least=1, most=MOST)
    return int(text)


Limit = Annotated[
    int, BeforeValidator(_limit), WithJsonSchema({"type": "integer", "minimum": 1, "maximum": MOST, "examples": [100]})
]
"""How many items of a list at once."""
