"""A statement of readings as a workbook, row by row."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

from openpyxl import Workbook
from openpyxl.styles import Alignment, Border, Font, Side

from api import statement_words as words
from api.export_cells import Cell, headings
from api.export_xlsx import MOST_ROWS, any_cell, heading_cell, open_sheet, text_cell, workbook_file
from api.faults import Fault
from api.problems import invalid
from api.statement import Row, Statement, cells
from ingest.statement import Line, totals

_THIN = Side(style="thin", color="808080")
_BOX = Border(left=_THIN, right=_THIN, top=_THIN, bottom=_THIN)


def statement_xlsx(statement: Statement, points: AsyncIterator[list[Row]]) -> AsyncIterator[bytes]:
    """The bytes of the workbook. Raises 422 for more than MOST_ROWS lines before the first of them."""
    return workbook_file(lambda book: _fill(book, statement, points))


async def _fill(book: Workbook, statement: Statement, points: AsyncIterator[list[Row]]) -> None:
    sheet = open_sheet(book, words.COLUMNS, statement.month.strftime("%Y-%m"), head=5)
    sheet.page_setup.orientation, sheet.page_setup.fitToHeight = "landscape", 0
    sheet.sheet_properties.pageSetUpPr.fitToPage = True
    sheet.append([heading_cell(sheet, statement.title, wrap=False)])
    sheet.append([text_cell(sheet, statement.company)])
    sheet.append([text_cell(sheet, statement.subtitle)])
    sheet.append([])
    sheet.append([_boxed(heading_cell(sheet, text)) for text in headings(words.COLUMNS, statement.language)])
    for total in totals(await _lines(sheet, statement, points)):
        sheet.append(_row(sheet, statement.total_row(total), bold=True))
    sheet.append([])
    for line in statement.signatures():
        sheet.append([text_cell(sheet, line)])
        sheet.append([])


async def _lines(sheet: object, statement: Statement, points: AsyncIterator[list[Row]]) -> list[Line]:
    number, known = 0, []
    async for rows in points:
        if number + len(rows) > MOST_ROWS:
            raise invalid(Fault("format", "xlsx", "too_many_lines", most=MOST_ROWS))
        table = [cells(number + place, row, statement) for place, row in enumerate(rows, 1)]
        await asyncio.to_thread(_append, sheet, table)
        number += len(rows)
        known += [row.line for row in rows if row.line is not None]
    return known


def _append(sheet: object, table: Sequence[Sequence[Cell]]) -> None:
    for row in table:
        sheet.append(_row(sheet, row))  # type: ignore[attr-defined]


def _row(sheet: object, row: Sequence[Cell], *, bold: bool = False) -> list[object]:
    return [_boxed(any_cell(sheet, cell, styled=True), bold=bold) for cell in row]


def _boxed(cell: object, *, bold: bool = False) -> object:
    cell.border = _BOX  # type: ignore[attr-defined]
    cell.alignment = Alignment(wrap_text=True, vertical="top")  # type: ignore[attr-defined]
    if bold:
        cell.font = Font(bold=True)  # type: ignore[attr-defined]
    return cell
