"""Rows as CSV (RFC 4180, UTF-8), piece by piece; or the dialect that Excel opens by a double click.

Excel reads a file as UTF-8 only with a byte order mark, and where Russian is set up it expects semicolons and decimal
commas.
"""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Literal

from api.answers import plain
from api.export_cells import Cell, Column, defused, headings
from api.texts import Language

DialectName = Literal["plain", "excel"]
BOM = "\ufeff"


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a table is written."""

    separator: str = ","
    decimal: str = "."
    mark: str = ""


def dialect(name: DialectName, language: Language) -> Dialect:
    """`plain` is the same for everybody, `excel` is what Excel expects where that language is spoken."""
    if name == "plain":
        return Dialect()
    return Dialect(";", ",", BOM) if language == "ru" else Dialect(",", ".", BOM)


async def csv_file(
    columns: Sequence[Column], batches: AsyncIterator[Sequence[Sequence[Cell]]], how: Dialect, language: Language
) -> AsyncIterator[bytes]:
    """The bytes of the file. The headings come with the first batch, so that what fails at once fails before them."""
    told = False
    async for batch in batches:
        yield _piece(batch if told else [headings(columns, language), *batch], how, first=not told)
        told = True
    if not told:
        yield _piece([headings(columns, language)], how, first=True)


def _piece(rows: Sequence[Sequence[Cell]], how: Dialect, *, first: bool) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=how.separator, lineterminator="\r\n")
    writer.writerows([_cell(cell, how) for cell in row] for row in rows)
    return ((how.mark if first else "") + text.getvalue()).encode()


def _cell(cell: Cell, how: Dialect) -> str:
    if cell is None:
        return ""
    if isinstance(cell, str):
        return defused(cell)
    if isinstance(cell, datetime):
        return cell.isoformat()
    return plain(Decimal(cell)).replace(".", how.decimal)
