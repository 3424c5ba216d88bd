"""The month's statement of readings over HTTP."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from api.access import Asking
from api.context import Here
from api.download import PDF, XLSX, download, files
from api.export_fields import Month
from api.export_selection import Named
from api.fields import Channel, Input
from api.language import language_of
from api.responses import errors
from api.route import CabinetRoute
from api.statement import Statement, rows
from api.statement_pdf import statement_pdf
from api.statement_xlsx import statement_xlsx

router = APIRouter(tags=["exports"], route_class=CabinetRoute)

_MOST_CHANNELS = 20
StatementFormat = Literal["xlsx", "pdf"]
FORMATS = {"xlsx": (statement_xlsx, XLSX), "pdf": (statement_pdf, PDF)}


class StatementQuery(Input):
    """Which month of which points, as which file."""

    points: Named
    month: Month
    format: StatementFormat = "xlsx"
    channels: list[Channel] = Field(
        default_factory=list,
        max_length=_MOST_CHANNELS,
        alias="channel",
        description="which registers; repeat the parameter. Without it: all energies",
    )


@router.get(
    "/exports/statement",
    operation_id="exportStatement",
    summary="The month's statement of readings",
    response_class=Response,
    responses={**files(XLSX, PDF, description="The statement (ведомость снятия показаний)."), **errors(404)},
)
async def export_statement(
    query: Annotated[StatementQuery, Query()], request: Request, here: Here, caller: Asking
) -> Response:
    """A line for each register of each meter of the points (none named: all you may see), to print and to sign.

    Readings are as of 00:00 of the first day of the month and of the next, or of the contract's or meter's first and
    last instant within it. What is missing says so. A PDF holds 1 000 lines at most. In the language of
    Accept-Language.
    """
    now = here.now().astimezone(here.settings.company.zone)
    name, policy = here.settings.company.name, here.settings.policy
    statement = Statement(query.month, name, language_of(request), now.date(), tuple(query.channels), policy)
    write, media_type = FORMATS[query.format]
    pieces = write(statement, rows(here.page, caller, query.points, statement))
    return await download(pieces, media_type, f"statement-{query.month:%Y-%m}.{query.format}")
