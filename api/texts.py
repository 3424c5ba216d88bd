"""A sentence in Russian and in English; braces in it are filled with parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Language = Literal["en", "ru"]


@dataclass(frozen=True, slots=True)
class Text:
    """One sentence in both languages, with braces for parameters."""

    en: str
    ru: str

    def say(self, language: Language, parameters: Mapping[str, object] | None = None) -> str:
        """The sentence in one language with its parameters filled in."""
        return self.plain(language).format_map(parameters or {})

    def plain(self, language: Language) -> str:
        """The sentence as it is written: braces in it are only braces."""
        return self.ru if language == "ru" else self.en


def in_language(parameters: Mapping[str, object], language: Language) -> dict[str, object]:
    """The same parameters, of those that are sentences themselves the one in the language."""
    return {name: one.plain(language) if isinstance(one, Text) else one for name, one in parameters.items()}
