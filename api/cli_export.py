"""`amr export …`: the files of the API, written by the command line of whoever runs the service."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Protocol, TypeVar

import typer
from pydantic import BaseModel, ValidationError

from api import export_consumption, export_readings
from api.cli_files import Use, said, write_file
from api.company import Company
from api.context import ApiSettings
from api.doorkeeper import Caller, Role
from api.export_consumption import consumption_rows
from api.export_readings import reading_rows
from api.export_selection import Pages
from api.exports import ConsumptionFile, ReadingsFile, table_file
from api.green_button_routes import UsageQuery, usage
from api.problems import invalid
from api.statement import Statement, rows
from api.statement_routes import FORMATS, StatementQuery
from api.texts import Language
from api.validation import faults_of
from api.xml80020_export import day_message
from api.xml80020_routes import DayQuery
from ingest.errors import Misconfigured
from storage.cli_words import HasStore

export = typer.Typer(no_args_is_help=True, help="Readings, consumption, statements, 80020 and Green Button as files.")

_STAFF = Caller("amr export", Role.ADMIN, None)
_Model = TypeVar("_Model", bound=BaseModel)

Points = Annotated[list[str] | None, typer.Option("--point", help="Code of a point; repeat it. Usually all.")]
From = Annotated[str, typer.Option("--from", help="First instant, or a date in the point's zone.")]
To = Annotated[str, typer.Option("--to", help="Instant or date after the last.")]
Output = Annotated[Path | None, typer.Option("--output", "-o", help="File to write; - writes to standard output.")]
Words = Annotated[str, typer.Option("--language", help="Of headings: ru or en.")]


class HasCompany(HasStore, Protocol):
    """What these verbs need of the settings in the context."""

    def company(self) -> Company: ...

    def api(self) -> ApiSettings: ...


@export.command("readings")
def export_readings_file(
    context: typer.Context,
    since: From,
    until: To,
    points: Points = None,
    channel: Annotated[str | None, typer.Option(help="OBIS code C.D.E; usually all.")] = None,
    form: Annotated[str, typer.Option("--format", help="csv or xlsx.")] = "csv",
    dialect: Annotated[str, typer.Option(help="Of CSV: plain, or excel.")] = "plain",
    language: Words = "ru",
    output: Output = None,
) -> None:
    """Every reading of every source and quality, with what is known of it."""
    given = {"point": points or [], "from": since, "to": until, "format": form, "dialect": dialect, "channel": channel}
    query, words = _asked(ReadingsFile, given), _language(language)

    def pieces(pages: Pages) -> AsyncIterator[bytes]:
        batches = reading_rows(pages, _STAFF, query.points, query.channel, (query.since, query.until))
        return table_file(export_readings.COLUMNS, batches, query.format, query.dialect, words)

    write_file(context.obj, Use("exportReadings", given), pieces, output or Path(f"readings.{query.format}"))


@export.command("consumption")
def export_consumption_file(
    context: typer.Context,
    since: From,
    until: To,
    points: Points = None,
    step: Annotated[str, typer.Option(help="half-hour, hour, day, month or year.")] = "day",
    channel: Annotated[str, typer.Option(help="OBIS code of a counter.")] = "1.8.0",
    gaps: Annotated[str, typer.Option(help="missing, distribute or substitute.")] = "missing",
    form: Annotated[str, typer.Option("--format", help="csv or xlsx.")] = "csv",
    dialect: Annotated[str, typer.Option(help="Of CSV: plain, or excel.")] = "plain",
    language: Words = "ru",
    output: Output = None,
) -> None:
    """Amounts by calendar steps, computed as the API computes them."""
    given = {"point": points or [], "from": since, "to": until, "step": step, "channel": channel, "gaps": gaps}
    given |= {"format": form, "dialect": dialect}
    query, words = _asked(ConsumptionFile, given), _language(language)
    chosen: ApiSettings = context.obj.api()
    most, now = chosen.interval_limit, datetime.now(UTC)

    def pieces(pages: Pages) -> AsyncIterator[bytes]:
        batches = consumption_rows(pages, _STAFF, query.points, query, most, now, chosen.policy)
        return table_file(export_consumption.COLUMNS, batches, query.format, query.dialect, words)

    write_file(context.obj, Use("exportConsumption", given), pieces, output or Path(f"consumption.{query.format}"))


@export.command("statement")
def export_statement(
    context: typer.Context,
    month: Annotated[str, typer.Argument(help="Like 2026-03.")],
    points: Points = None,
    channels: Annotated[list[str] | None, typer.Option("--channel", help="OBIS code; repeat it. Usually all.")] = None,
    form: Annotated[str, typer.Option("--format", help="xlsx or pdf.")] = "xlsx",
    language: Words = "ru",
    output: Output = None,
) -> None:
    """The month's statement of readings, to print and to sign; AMR_COMPANY_NAME stands at its head."""
    settings: HasCompany = context.obj
    given = {"point": points or [], "month": month, "format": form, "channel": channels or []}
    query = _asked(StatementQuery, given)
    company = settings.company()
    made = datetime.now(company.zone).date()
    policy = settings.api().policy
    statement = Statement(query.month, company.name, _language(language), made, tuple(query.channels), policy)
    write, _ = FORMATS[query.format]
    write_file(
        settings,
        Use("exportStatement", given),
        lambda pages: write(statement, rows(pages, _STAFF, query.points, statement)),
        output or Path(f"statement-{query.month:%Y-%m}.{query.format}"),
    )


@export.command("80020")
def export_80020(
    context: typer.Context,
    day: Annotated[str, typer.Argument(help="The first day, like 2026-03-10.")],
    days: Annotated[int, typer.Option(min=1, max=366, help="How many days, a file each.")] = 1,
    points: Points = None,
    inn: Annotated[str | None, typer.Option(help="INN of the sender; usually AMR_COMPANY_INN.")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the sender; usually AMR_COMPANY_NAME.")] = None,
    area_inn: Annotated[str | None, typer.Option(help="Whose points these are; usually the sender's.")] = None,
    area_name: Annotated[str | None, typer.Option(help="The same by name.")] = None,
    zone: Annotated[str | None, typer.Option(help="The sender's clock; usually AMR_COMPANY_ZONE.")] = None,
    number: Annotated[str | None, typer.Option(help="Of the first message; usually one more every day.")] = None,
    folder: Annotated[Path, typer.Option(help="Where the files go.")] = Path(),
) -> None:
    """Days of half-hours as 80020 messages."""
    settings: HasCompany = context.obj
    given: dict[str, object] = {"point": points or [], "inn": inn, "name": name, "zone": zone}
    given |= {"area_inn": area_inn, "area_name": area_name, "number": number}
    given = {key: value for key, value in given.items() if value is not None}
    first = _asked(DayQuery, {**given, "day": day})
    for count in range(days):
        query = first.model_copy(update={"day": first.day + timedelta(days=count)})
        if first.number is not None:
            query = query.model_copy(update={"number": first.number + count})
        with said():
            message = query.message(settings.company(), datetime.now(UTC))
        make = partial(day_message, caller=_STAFF, codes=query.points, message=message, policy=settings.api().policy)
        asked = {**given, "day": query.day, "number": query.number}
        write_file(settings, Use("export80020", asked), make, folder / message.filename)


@export.command("green-button")
def export_green_button(
    context: typer.Context,
    point: Annotated[str, typer.Argument(help="Code of the point.")],
    since: From,
    until: To,
    step: Annotated[str, typer.Option(help="half-hour, hour, day or month.")] = "hour",
    channel: Annotated[str, typer.Option(help="OBIS code of a counter.")] = "1.8.0",
    language: Words = "ru",
    output: Output = None,
) -> None:
    """A point's consumption as Green Button data (NAESB ESPI)."""
    given = {"from": since, "to": until, "step": step, "channel": channel}
    query = _asked(UsageQuery, given)
    chosen: ApiSettings = context.obj.api()
    words, most, now = _language(language), chosen.interval_limit, datetime.now(UTC)
    name = "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in point)
    write_file(
        context.obj,
        Use("getGreenButton", given, point),
        lambda pages: usage(pages, _STAFF, point, query, words, most, now, chosen.policy),
        output or Path(f"green-button-{name}.xml"),
    )


def _asked(model: type[_Model], given: dict[str, Any]) -> _Model:
    """What was typed, checked as the API checks it. Misconfigured names the option, the value and the remedy."""
    try:
        return model.model_validate(given)
    except ValidationError as error:
        problem = invalid(*faults_of(error.errors()))
        raise Misconfigured(str(problem.render("en")["detail"])) from error


def _language(text: str) -> Language:
    if text == "ru":
        return "ru"
    if text == "en":
        return "en"
    raise Misconfigured(f"--language {text!r}: write ru or en")
