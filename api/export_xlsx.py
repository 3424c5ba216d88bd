"""Rows as a workbook, written as they come: memory holds one batch, the disk the rest.

A number of more digits than a spreadsheet can hold exactly is written as text.
"""

from __future__ import annotations

import asyncio
import re
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from typing import IO, Any

from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE
from openpyxl.styles import Alignment, Font
from openpyxl.utils import get_column_letter

from api.answers import plain
from api.export_cells import Cell, Column, headings
from api.faults import Fault
from api.making import making
from api.problems import invalid
from api.texts import Language

MOST_ROWS = 100_000
"""A workbook is ready only when it is whole: more than this takes longer than anybody waits. CSV has no such limit."""

_PLAIN = re.compile(r"(?![=#])[^\x00-\x1f]*")
"""Texts that are stored as they are: neither formulas nor error codes, with nothing that XML cannot hold."""

_EXACT_DIGITS = 15
_IN_MEMORY = 1 << 20
_PIECE = 64 << 10


def xlsx_file(
    columns: Sequence[Column], batches: AsyncIterator[Sequence[Sequence[Cell]]], title: str, language: Language
) -> AsyncIterator[bytes]:
    """The bytes of the workbook. Raises 422 for more than MOST_ROWS rows before the first of them."""
    return workbook_file(lambda book: _fill(book, columns, batches, title, language))


async def workbook_file(fill: Callable[[Workbook], Awaitable[None]]) -> AsyncIterator[bytes]:
    """The bytes of the workbook that `fill` makes; what it raises comes before the first of them."""
    with tempfile.SpooledTemporaryFile(_IN_MEMORY) as file:
        with making():
            book = Workbook(write_only=True)
            try:
                await fill(book)
            except BaseException:
                await asyncio.to_thread(_forget, book)
                raise
            await asyncio.to_thread(book.save, file)
        for piece in _pieces(file):
            yield piece


async def _fill(
    book: Workbook,
    columns: Sequence[Column],
    batches: AsyncIterator[Sequence[Sequence[Cell]]],
    title: str,
    language: Language,
) -> None:
    sheet = open_sheet(book, columns, title)
    sheet.append([heading_cell(sheet, text) for text in headings(columns, language)])
    rows = 0
    async for batch in batches:
        rows += len(batch)
        if rows > MOST_ROWS:
            raise invalid(Fault("format", "xlsx", "too_many_rows", most=MOST_ROWS))
        await asyncio.to_thread(_append, sheet, batch)


def open_sheet(book: Workbook, columns: Sequence[Column], title: str, *, head: int = 1) -> Any:
    """A sheet whose first `head` rows stay in sight."""
    sheet: Any = book.create_sheet(title)
    sheet.freeze_panes = f"A{head + 1}"
    for number, column in enumerate(columns, 1):
        sheet.column_dimensions[get_column_letter(number)].width = column.width
    return sheet


def heading_cell(sheet: Any, text: str, *, wrap: bool = True) -> Any:
    """A bold text."""
    cell = text_cell(sheet, text)
    cell.font = Font(bold=True)
    cell.alignment = Alignment(wrap_text=wrap, vertical="top")
    return cell


def text_cell(sheet: Any, text: str) -> Any:
    """A text that stays one, whatever it begins with."""
    cell: Any = WriteOnlyCell(sheet, value=ILLEGAL_CHARACTERS_RE.sub("", text))
    cell.data_type = "s"
    return cell


def any_cell(sheet: Any, cell: Cell, *, styled: bool = False) -> Any:
    """A cell of any kind; numbers as exact as a spreadsheet holds them, instants as text with their offset.

    Only a `styled` one is always an object that can be given a style.
    """
    if isinstance(cell, str):
        return cell if not styled and _PLAIN.fullmatch(cell) else text_cell(sheet, cell)
    if isinstance(cell, Decimal) and len(cell.normalize().as_tuple().digits) > _EXACT_DIGITS:
        return text_cell(sheet, plain(cell))
    value: Any = cell.isoformat() if isinstance(cell, datetime) else cell
    return WriteOnlyCell(sheet, value=value) if styled else value


def _append(sheet: Any, batch: Sequence[Sequence[Cell]]) -> None:
    for row in batch:
        sheet.append([any_cell(sheet, cell) for cell in row])


def _forget(book: Workbook) -> None:
    """Leave nothing of a workbook that will not be finished: only saving takes its temporary files away."""
    with tempfile.TemporaryFile() as file:
        book.save(file)


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    """A finished file from its beginning."""
    file.seek(0)
    while piece := file.read(_PIECE):
        yield piece
