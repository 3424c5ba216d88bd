"""Which language to answer in: Accept-Language as RFC 9110 has it, of the two this service speaks."""

from __future__ import annotations

from typing import get_args

from fastapi import Request

from api.texts import Language

LANGUAGES: tuple[Language, ...] = get_args(Language)
DEFAULT: Language = "en"
_LONGEST = 20


def language_of(request: Request) -> Language:
    """The language the client likes best, English when it does not say."""
    header = request.headers.get("accept-language")
    return preferred(header) if header else DEFAULT


def preferred(header: str) -> Language:
    """The best of ours by the header's weights; the earlier of equals; ranges that cannot be read count for nothing."""
    best: Language = DEFAULT
    best_weight = 0.0
    for entry in header.split(",")[:_LONGEST]:
        tag, _, rest = entry.strip().partition(";")
        language = _ours(tag.strip().lower())
        weight = _weight(rest)
        if language is not None and weight > best_weight:
            best, best_weight = language, weight
    return best


def _ours(tag: str) -> Language | None:
    if tag == "*":
        return DEFAULT
    return next((language for language in LANGUAGES if tag.split("-")[0] == language), None)


def _weight(parameters: str) -> float:
    name, _, value = parameters.strip().partition("=")
    if not name:
        return 1.0
    try:
        weight = float(value)
    except ValueError:
        return 0.0
    return weight if name.strip() == "q" and 0 <= weight <= 1 else 0.0
