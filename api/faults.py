"""What is wrong with one field of a request: stable code, what it means and the remedy, in both languages."""

from __future__ import annotations

import json

from api.fault_texts import FAULTS
from api.texts import Language, in_language

_LONGEST_ECHO = 100
_OF_JSON = (dict, list, bool)
"""What JSON writes in another way than Python."""


class Fault:
    """One wrong field: its path like 'values.1.8.1', the value as it came, a code of `FAULTS` and its parameters."""

    __slots__ = ("code", "field", "parameters", "value")

    def __init__(self, field: str, value: object, code: str, **parameters: object) -> None:
        self.field = field
        self.value = echo(value)
        self.code = code
        self.parameters = parameters

    def render(self, language: Language) -> dict[str, object]:
        """The JSON of one item of a problem's `errors`."""
        text = FAULTS[self.code]
        parameters = in_language(self.parameters, language)
        return {
            "field": self.field,
            "value": self.value,
            "code": self.code,
            "message": text.message.say(language, parameters),
            "remedy": text.remedy.say(language, parameters),
        }


def echo(value: object, longest: int = _LONGEST_ECHO) -> str | None:
    """A value fit to be said back: as JSON has it, short, on one line; None stays None."""
    if value is None:
        return None
    text = json.dumps(value, ensure_ascii=False, default=_as_text) if isinstance(value, _OF_JSON) else _as_text(value)
    text = "".join(c if c.isprintable() else "�" for c in text[: longest + 1])
    return text if len(text) <= longest else text[:longest] + "…"


def _as_text(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
