"""A statement of readings as PDF to print and sign: A4 across, the heading of the table on every page.

The one place that imports fpdf2. Its own fonts have no Cyrillic: the letters are Roboto's, embedded.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal

import font_roboto  # type: ignore[import-untyped]
from fpdf import FPDF
from fpdf.enums import Align, TableBordersLayout, VAlign
from fpdf.fonts import FontFace

from api import statement_words as words
from api.answers import plain
from api.export_cells import Cell, headings
from api.faults import Fault
from api.making import making
from api.problems import invalid
from api.statement import Row, Statement, cells
from api.texts import Language
from ingest.statement import totals

MOST_LINES = 1_000
"""Some fifty pages, and seconds of work: more is for a workbook."""

_FONT = "Roboto"
_PIECE = 64 << 10
_NUMBERS = {0, 5, 6, 7, 8, 9}
_GREY = (235, 235, 235)


async def statement_pdf(statement: Statement, points: AsyncIterator[list[Row]]) -> AsyncIterator[bytes]:
    """The bytes of the document. Raises 422 for more than MOST_LINES lines before the first of them."""
    rows: list[Row] = []
    with making():
        async for of_point in points:
            rows += of_point
            if len(rows) > MOST_LINES:
                raise invalid(Fault("format", "pdf", "too_many_lines", most=MOST_LINES))
        raw = await asyncio.to_thread(_document, statement, rows)
    for begin in range(0, len(raw), _PIECE):
        yield raw[begin : begin + _PIECE]


class _Page(FPDF):
    """A page with its number at the foot."""

    def __init__(self, statement: Statement) -> None:
        super().__init__(orientation="landscape", format="A4")
        self._statement = statement
        self.add_font(_FONT, fname=font_roboto.Roboto)
        self.add_font(_FONT, style="B", fname=font_roboto.RobotoBold)
        self.set_title(statement.title)
        self.set_lang(statement.language)
        self.set_creation_date(datetime(statement.made.year, statement.made.month, statement.made.day, tzinfo=UTC))
        self.set_margins(10, 10)
        self.set_auto_page_break(True, 12)

    def footer(self) -> None:
        self.set_y(-9)
        self.set_font(_FONT, size=7)
        number = words.PAGE.say(self._statement.language, {"page": self.page_no()})
        self.cell(0, 5, number, align=Align.R)


def _document(statement: Statement, rows: Sequence[Row]) -> bytes:
    page = _Page(statement)
    page.add_page()
    page.set_font(_FONT, "B", 13)
    page.multi_cell(0, 7, statement.title, align=Align.C, new_x="LMARGIN", new_y="NEXT")
    page.set_font(_FONT, size=9)
    for text in filter(None, (statement.company, statement.subtitle)):
        page.multi_cell(0, 5, text, align=Align.C, new_x="LMARGIN", new_y="NEXT")
    page.ln(3)
    _table(page, statement, rows)
    _sign(page, statement)
    return bytes(page.output())


def _table(page: FPDF, statement: Statement, rows: Sequence[Row]) -> None:
    page.set_font(_FONT, size=7)
    bold = FontFace(emphasis="BOLD")
    aligns = [Align.R if number in _NUMBERS else Align.L for number in range(len(words.COLUMNS))]
    with page.table(
        col_widths=[column.width for column in words.COLUMNS],
        text_align=aligns,
        v_align=VAlign.T,
        line_height=3.4,
        padding=0.6,
        headings_style=FontFace(emphasis="BOLD", fill_color=_GREY),
        borders_layout=TableBordersLayout.ALL,
    ) as table:
        _row(table, headings(words.COLUMNS, statement.language), statement.language)
        for number, row in enumerate(rows, 1):
            _row(table, cells(number, row, statement), statement.language)
        for total in totals(row.line for row in rows if row.line is not None):
            _row(table, statement.total_row(total), statement.language, bold)


def _row(table: object, row: Sequence[Cell], language: Language, style: FontFace | None = None) -> None:
    line = table.row(style=style)  # type: ignore[attr-defined]
    for cell in row:
        line.cell(_text(cell, language))


def _text(cell: Cell, language: Language) -> str:
    """Russians write decimal commas."""
    if cell is None:
        return ""
    if isinstance(cell, Decimal):
        return plain(cell).replace(".", "," if language == "ru" else ".")
    return str(cell)


def _sign(page: FPDF, statement: Statement) -> None:
    """All lines to sign on, on one page."""
    lines = statement.signatures()
    page.set_font(_FONT, size=9)
    if page.will_page_break(10.0 * len(lines) + 4):
        page.add_page()
    page.ln(4)
    for line in lines:
        page.cell(0, 10, line, new_x="LMARGIN", new_y="NEXT")
