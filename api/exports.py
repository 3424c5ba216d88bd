"""Readings and consumption as files for spreadsheets: CSV as long as it takes, workbooks of bounded size."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from api import export_consumption, export_readings
from api.access import Asking
from api.consumption import ConsumptionQuery
from api.context import Here
from api.download import CSV, XLSX, download, files
from api.export_cells import Cell, Column
from api.export_consumption import consumption_rows
from api.export_csv import DialectName, csv_file, dialect
from api.export_readings import reading_rows
from api.export_selection import Named
from api.export_xlsx import xlsx_file
from api.fields import Channel, Input
from api.instants import When
from api.language import language_of
from api.responses import errors
from api.route import CabinetRoute
from api.texts import Language

router = APIRouter(tags=["exports"], route_class=CabinetRoute)

FileFormat = Literal["csv", "xlsx"]
_Format = Annotated[FileFormat, Field(description="xlsx holds 100 000 rows at most, csv any number")]
_Dialect = Annotated[
    DialectName,
    Field(
        description="of CSV: `plain` is RFC 4180 in UTF-8; `excel` begins with a byte order mark, and in Russian"
        " (Accept-Language) has semicolons and decimal commas, as Excel expects there"
    ),
]


class ReadingsFile(Input):
    """Which readings, as which file."""

    points: Named
    since: When = Field(alias="from", description="the first instant; a date begins in the point's zone")
    until: When = Field(alias="to", description="the instant after the last")
    channel: Channel | None = None
    format: _Format = "csv"
    dialect: _Dialect = "plain"


class ConsumptionFile(ConsumptionQuery):
    """Which amounts, as which file."""

    points: Named
    format: _Format = "csv"
    dialect: _Dialect = "plain"


@router.get(
    "/exports/readings",
    operation_id="exportReadings",
    summary="Readings as a file",
    response_class=Response,
    responses={**files(CSV, XLSX, description="The table."), **errors(404)},
)
async def export_readings_file(
    query: Annotated[ReadingsFile, Query()], request: Request, here: Here, caller: Asking
) -> Response:
    """Every reading of every source and quality within [from, to), point by point, of the time you may see.

    Headings are in the language of Accept-Language, instants on the clock of the point with its offset, numbers exact.
    Texts that a spreadsheet would run as a formula begin with an apostrophe. A transfer that breaks off is incomplete.
    """
    language = language_of(request)
    rows = reading_rows(here.page, caller, query.points, query.channel, (query.since, query.until))
    pieces = table_file(export_readings.COLUMNS, rows, query.format, query.dialect, language)
    return await download(pieces, _MEDIA[query.format], f"readings.{query.format}")


@router.get(
    "/exports/consumption",
    operation_id="exportConsumption",
    summary="Consumption as a file",
    response_class=Response,
    responses={**files(CSV, XLSX, description="The table."), **errors(404)},
)
async def export_consumption_file(
    query: Annotated[ConsumptionFile, Query()], request: Request, here: Here, caller: Asking
) -> Response:
    """The amounts of `getConsumption`, point by point; the limit of intervals holds for each point.

    An amount without grounds is an empty cell, never a zero. Of several points, those without the channel have no rows.
    """
    most, language = here.settings.interval_limit, language_of(request)
    rows = consumption_rows(here.page, caller, query.points, query, most, here.now(), here.settings.policy)
    pieces = table_file(export_consumption.COLUMNS, rows, query.format, query.dialect, language)
    return await download(pieces, _MEDIA[query.format], f"consumption.{query.format}")


_MEDIA = {"csv": CSV, "xlsx": XLSX}


def table_file(
    columns: Sequence[Column],
    rows: AsyncIterator[Sequence[Sequence[Cell]]],
    kind: FileFormat,
    how: DialectName,
    language: Language,
) -> AsyncIterator[bytes]:
    """The bytes of a table in one of the formats."""
    if kind == "xlsx":
        title = "Данные" if language == "ru" else "Data"
        return xlsx_file(columns, rows, title, language)
    return csv_file(columns, rows, dialect(how, language), language)
