"""Passwords among the options of lines and meters: shown as stars by whatever leaves the database. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

MASK = "***"
MASKED_NOTE = (
    f'# Passwords are "{MASK}" here: applied to the fleet they came from, the stored ones stay.\n'
    "# `amr fleet export --secrets` writes them out.\n"
)
_SECRET = re.compile(r"pas+w|pwd|secret|token|парол", re.IGNORECASE)
"""Misspelled too: a mistake in a file is told with its value."""
_ANOTHER = f"{MASK} (another one)"


class NothingToKeep(ValueError):
    """Stars where no password is stored that they could keep; the text is the option's name."""


def is_secret(name: object) -> bool:
    """Whether an option of that name is nobody's business."""
    return _SECRET.search(str(name)) is not None


def masked(options: Mapping[str, Any]) -> dict[str, Any]:
    """The same options with stars for what is secret, however deep."""
    return {name: MASK if is_secret(name) else _masked(value) for name, value in options.items()}


def restored(options: Mapping[str, Any], stored: Mapping[str, Any]) -> dict[str, Any]:
    """Options as they are to be stored: stars keep what is stored. Raises NothingToKeep naming the option."""
    kept: dict[str, Any] = {}
    for name, value in options.items():
        before = stored.get(name)
        if is_secret(name) and value == MASK:
            if before is None:
                raise NothingToKeep(name)
            kept[name] = before
        elif isinstance(value, Mapping):
            kept[name] = restored(value, before if isinstance(before, Mapping) else {})
        else:
            kept[name] = value
    return kept


def options_text(options: Mapping[str, Any], before: Mapping[str, Any]) -> str | None:
    """Options for people, None for none; a secret that is not the one before is told apart, and not told."""
    return json.dumps(_told(options, before), sort_keys=True, ensure_ascii=False) if options else None


def _told(options: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
    told: dict[str, Any] = {}
    for name, value in options.items():
        if is_secret(name):
            told[name] = _ANOTHER if name in before and before[name] != value else MASK
        elif isinstance(value, Mapping):
            there = before.get(name)
            told[name] = _told(value, there if isinstance(there, Mapping) else {})
        else:
            told[name] = value
    return told


def _masked(value: Any) -> Any:
    if isinstance(value, Mapping):
        return masked(value)
    return [_masked(one) for one in value] if isinstance(value, list) else value
