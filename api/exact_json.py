"""JSON read exactly: numbers never pass through a float, a key written twice is an error, NaN stays a word."""

from __future__ import annotations

import json
from decimal import Decimal, InvalidOperation
from typing import Any

from api.faults import Fault
from api.problems import Problem, invalid
from api.texts import Text

_DEEPEST = 50
"""Nobody's request is nested deeper; whoever repeats or prints a much deeper value runs out of stack."""


def decode(body: bytes) -> Any:
    """The JSON value of UTF-8 bytes. Raises Problem malformed_json or, for a repeated key, invalid_request."""
    try:
        value = json.loads(
            body.decode("utf-8"), parse_float=Decimal, parse_constant=str, object_pairs_hook=_without_repeats
        )
    except json.JSONDecodeError as e:
        raise _malformed(f"{e.msg} at character {e.pos}", f"ошибка у знака {e.pos} ({e.msg})") from e
    except UnicodeDecodeError as e:
        raise _malformed(f"byte {e.start} is not UTF-8", f"байт {e.start} не в UTF-8") from e
    except RecursionError as e:
        raise _too_deep() from e
    except (ValueError, InvalidOperation) as e:
        raise _malformed("a number in it is too long", "слишком длинное число") from e
    if body.count(b"[") + body.count(b"{") > _DEEPEST and _deeper_than(_DEEPEST, value):
        raise _too_deep()
    return value


def _deeper_than(levels: int, value: Any) -> bool:
    """Whether something in it lies deeper: level by level, for what is too deep cannot be walked by calls."""
    level = [value]
    for _ in range(levels):
        level = [
            inner
            for one in level
            if isinstance(one, dict | list)
            for inner in (one.values() if isinstance(one, dict) else one)
        ]
    return any(isinstance(one, dict | list) for one in level)


def _too_deep() -> Problem:
    return _malformed("it is nested too deeply", "слишком глубокая вложенность")


def _malformed(en: str, ru: str) -> Problem:
    return Problem("malformed_json", reason=Text(en, ru))


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        seen: set[str] = set()
        repeated = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise invalid(Fault(repeated, None, "repeated_key"))
    return members
