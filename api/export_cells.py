"""Cells of exported tables: texts that no spreadsheet runs as formulas, exact numbers, instants with their offset."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from api.texts import Language, Text

Cell = str | Decimal | int | datetime | None
"""None is an empty cell: what is not known is not zero."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""A text that begins like this is run by Excel, LibreOffice and Google Sheets (OWASP, "CSV Injection")."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its heading, and its width in characters where a format has widths."""

    heading: Text
    width: int = 14


def defused(text: str) -> str:
    """The text, behind an apostrophe where a spreadsheet would run it; spaces before a formula do not hide it."""
    return f"'{text}" if text.lstrip(" \u00a0").startswith(_FORMULA) else text


def headings(columns: Sequence[Column], language: Language) -> list[str]:
    """The first row."""
    return [column.heading.plain(language) for column in columns]
