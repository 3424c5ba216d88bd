"""Pydantic's complaints as faults of ours: named field, the value as it came, stable code, remedy."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic_core import PydanticCustomError

from api.fault_texts import FAULTS
from api.faults import Fault
from api.texts import Text

_PLACES = {"body", "query", "path", "header"}
_WHOLE, _OBJECT = Text("a whole number", "целое число"), Text("an object", "объект")
_TYPES: Mapping[str, Text] = {
    "string_type": Text("a text", "текст"),
    "bool_type": Text("true or false", "true или false"),
    "dict_type": _OBJECT,
    "list_type": Text("a list", "список"),
    "model_type": _OBJECT,
    "model_attributes_type": _OBJECT,
    "int_type": _WHOLE,
    "int_parsing": _WHOLE,
    "int_from_float": _WHOLE,
}
_CHARACTERS, _ITEMS = Text("characters", "знаков"), Text("items", "элементов")
_ITEM = Text("one item", "одно значение")
_QUOTED = re.compile("'([^']*)'")


def fault(code: str, **parameters: object) -> PydanticCustomError:
    """What a validator of ours raises: a code of `FAULTS` with its parameters."""
    return PydanticCustomError(code, "{message}", {"message": FAULTS[code].message.en, **parameters})


def faults_of(errors: Sequence[Mapping[str, Any]]) -> list[Fault]:
    """One fault for each complaint, in their order."""
    return [_fault_of(error) for error in errors]


def _fault_of(error: Mapping[str, Any]) -> Fault:
    kind = error["type"]
    context = {name: value for name, value in error.get("ctx", {}).items() if name != "message"}
    field = ".".join(str(part) for part in error["loc"] if part not in _PLACES and part != "[key]") or "body"
    value = error.get("input")
    if kind in FAULTS and "message" in error.get("ctx", {}):  # pydantic has kinds of the same name
        return Fault(field, value, kind, **context)
    if kind in _TYPES:
        return Fault(field, value, "wrong_type", expected=_TYPES[kind])
    return _standard(kind, field, value, context, error["msg"])


def _standard(kind: str, field: str, value: object, context: Mapping[str, Any], message: str) -> Fault:
    if kind == "missing":
        return Fault(field, None, "missing")
    if kind == "extra_forbidden":
        return Fault(field, value, "unknown_field")
    if kind in ("enum", "literal_error"):
        return Fault(field, value, "not_a_choice", expected=", ".join(_QUOTED.findall(context["expected"])))
    if kind in ("string_too_long", "too_long"):
        what = _CHARACTERS if isinstance(value, str) else _ITEMS
        return Fault(field, value, "too_long", most=context["max_length"], what=what)
    if kind in ("too_short", "string_too_short"):
        return Fault(field, value, "empty", what=_ITEM)
    return Fault(field, value, "invalid_value", reason=message)
