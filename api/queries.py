"""Parameters of addresses: what comes as text and is meant as a number."""

from __future__ import annotations

import re
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

_CURSOR = r"^[A-Za-z0-9_=.-]{1,500}$"


def _cursor(text: object) -> object:
    if text is not None and not (isinstance(text, str) and re.fullmatch(_CURSOR, text)):
        raise fault("bad_cursor")
    return text


Cursor = Annotated[str, BeforeValidator(_cursor), WithJsonSchema({"type": "string", "pattern": _CURSOR})]
"""`next` of the page before, unchanged."""
