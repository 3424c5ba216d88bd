"""JSON read exactly: numbers never pass through a float, a key written twice is an error, NaN stays a word."""

from __future__ import annotations

import json
from decimal import Decimal, InvalidOperation
from typing import Any

from api.faults import Fault
from api.problems import Problem, invalid
from api.texts import Text


def decode(body: bytes) -> Any:
    """The JSON value of UTF-8 bytes. Raises Problem malformed_json or, for a repeated key, invalid_request."""
    try:
        return json.loads(
            body.decode("utf-8"), parse_float=Decimal, parse_constant=str, object_pairs_hook=_without_repeats
        )
    except json.JSONDecodeError as e:
        raise _malformed(f"{e.msg} at character {e.pos}", f"ошибка у знака {e.pos} ({e.msg})") from e
    except UnicodeDecodeError as e:
        raise _malformed(f"byte {e.start} is not UTF-8", f"байт {e.start} не в UTF-8") from e
    except RecursionError as e:
        raise _malformed("it is nested too deeply", "слишком глубокая вложенность") from e
    except (ValueError, InvalidOperation) as e:
        raise _malformed("a number in it is too long", "слишком длинное число") from e


def _malformed(en: str, ru: str) -> Problem:
    return Problem("malformed_json", reason=Text(en, ru))


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        seen: set[str] = set()
        repeated = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise invalid(Fault(repeated, None, "repeated_key"))
    return members
