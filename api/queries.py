"""Parameters of addresses: what comes as text and is meant as a number."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Annotated

from pydantic import BeforeValidator, WithJsonSchema

from api.faults import Fault
from api.problems import invalid
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


def _flag(text: object) -> object:
    if text not in ("true", "false", False):
        raise fault("not_a_choice", expected="true, false")
    return text == "true"


Flag = Annotated[bool, BeforeValidator(_flag), WithJsonSchema({"type": "boolean"})]
"""Yes or no."""

_CURSOR = r"^[A-Za-z0-9_=.-]{1,500}$"


def _cursor(text: object) -> object:
    if text is not None and not (isinstance(text, str) and re.fullmatch(_CURSOR, text)):
        raise fault("bad_cursor")
    return text


Cursor = Annotated[str, BeforeValidator(_cursor), WithJsonSchema({"type": "string", "pattern": _CURSOR})]
"""`next` of the page before, unchanged."""


LARGEST = 2**62


def _number(text: object) -> int:
    if not isinstance(text, str) or not (text.isascii() and text.isdigit() and len(text) < 19 and int(text)):
        raise fault("out_of_range", least=1, most=LARGEST)
    return int(text)


Number = Annotated[int, BeforeValidator(_number), WithJsonSchema({"type": "integer", "minimum": 1, "maximum": LARGEST})]
"""The number of one thing in an address."""


def number_cursor(last: int) -> str:
    """The cursor of a list of numbered things, the youngest first: whatever is older than its last one."""
    return str(last)


def number_position(cursor: str | None) -> int:
    """The number that the things of the page are older than. Raises the 422 for a cursor of another list."""
    if cursor is None:
        return LARGEST
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) < 19):
        raise invalid(Fault("cursor", cursor, "bad_cursor"))
    return int(cursor)


def name_cursor(last: str) -> str:
    """The cursor of a list in the order of names: whatever comes behind its last one."""
    return base64.urlsafe_b64encode(last.encode()).decode()


def name_position(cursor: str | None) -> str:
    """The name that the things of the page come behind. Raises the 422 for a cursor of another list."""
    if cursor is None:
        return ""
    try:
        name = base64.b64decode(cursor, b"-_", validate=True).decode()
    except (ValueError, binascii.Error) as e:
        raise invalid(Fault("cursor", cursor, "bad_cursor")) from e
    if not name.isprintable():
        raise invalid(Fault("cursor", cursor, "bad_cursor"))
    return name
